/// How the sockets of a process are protected. Everything that makes sockets to other processes is
/// given this one value, so that no link is forgotten.
public struct Links: Sendable {
  private enum Protection: Sendable {
    case local, insecure
    case curve(KeyFile, allowListFile: String?)
  }
  private let protection: Protection
  private init(_ protection: Protection) { self.protection = protection }

  /// Plain sockets that stay on this machine: `ipc://` and loopback.
  public static let local = Links(.local)
  /// Plain sockets anywhere. Whoever reaches them is believed; never a default.
  public static let insecure = Links(.insecure)

  /// CURVE on every link, with the key of this process. The coordinator's list of those who are let
  /// in is in `allowListFile`; others need none.
  public static func curve(_ key: KeyFile, allowListFile: String? = nil) -> Links {
    Links(.curve(key, allowListFile: allowListFile))
  }

  /// The public key of this process; empty without.
  public var publicKey: String { key?.keys.publicKey ?? "" }
  /// Whether links have keys.
  public var areKeyed: Bool { key != nil }
  /// Whether plain sockets may leave this machine.
  public var isInsecure: Bool {
    if case .insecure = protection { true } else { false }
  }

  private var key: KeyFile? {
    if case .curve(let key, _) = protection { key } else { nil }
  }

  /// Who watches the doors of this process: the sockets that it binds in `context`. It must live as
  /// long as they do. `report` is told of those who were turned away, and of changes of the list.
  ///
  /// - Throws: when the list of those who are let in can't be read.
  public func gatekeeper(
    in context: Context, report: @escaping @Sendable (GateReport) -> Void = { _ in }
  ) throws(MessagingError) -> Gatekeeper {
    guard case .curve(let key, let file) = protection else { return Gatekeeper() }
    var list = AllowList()
    if file == nil {
      try list.add(key.coordinatorKey, role: .coordinator, name: LinkRole.coordinator.rawValue)
    }
    return try Gatekeeper(list, file: file, in: context, report: report)
  }

  /// `options` for a socket that binds.
  public func listening(at door: Door, _ options: SocketOptions) -> SocketOptions {
    protected(options) { .curveServer($0.keys, door) }
  }

  /// `options` for a socket that connects to the coordinator.
  public func toCoordinator(_ options: SocketOptions) -> SocketOptions {
    protected(options) { .curveClient($0.keys, serverPublicKey: $0.coordinatorKey) }
  }

  /// `options` for a socket that connects to a worker, whose key the coordinator has told.
  public func toWorker(
    _ options: SocketOptions, publicKey: String
  ) throws(MessagingError) -> SocketOptions {
    guard areKeyed == !publicKey.isEmpty else {
      throw MessagingError(
        code: .insecure, operation: "connect to a worker",
        cause: areKeyed ? "it has no key" : "it has a key, and this process has none",
        remedy: "give every process of the cluster its key, or none of them")
    }
    return protected(options) { .curveClient($0.keys, serverPublicKey: publicKey) }
  }

  private func protected(
    _ options: SocketOptions, _ security: (KeyFile) -> Security
  ) -> SocketOptions {
    var options = options
    options.allowsPlainOffHost = isInsecure
    options.security = key.map(security) ?? .plain
    return options
  }
}
