import ArgumentParser
import Messaging

/// How a process of a cluster shows who it is, and whom it believes.
struct LinkOptions: ParsableArguments {
  @Option(
    help: "The cluster's folder of keys (`palisade keys init`), to use this role's key of it.")
  var keys: String?
  @Option(help: "The key file of this process, instead of one of --keys.")
  var key: String?
  @Flag(help: "Without keys, speak to other machines all the same: anybody may listen and join.")
  var insecure = false

  /// Whether nothing was said.
  var isEmpty: Bool { keys == nil && key == nil && !insecure }

  /// How the sockets of a process of `role` are protected. Being insecure is said on standard error.
  ///
  /// - Throws: what is wrong with the keys.
  func links(_ role: LinkRole) throws -> Links {
    if keys == nil && key == nil {
      guard insecure else { return .local }
      Terminal.note(
        "\(role.rawValue): INSECURE: without --keys whoever reaches this process may join the "
          + "cluster, read what it sends and send what it likes")
      return .insecure
    }
    let folder = keys.map { KeyFolder($0) }
    guard let own = try key.map({ try KeyFile(path: $0) }) ?? folder?.key(for: role) else {
      return .local
    }
    guard own.role == role else {
      throw CommandFailure(
        "\(key ?? keys ?? "") is the key of a \(own.role.rawValue); a \(role.rawValue) needs one of "
          + "its own, which `palisade keys add` makes")
    }
    guard role == .coordinator else { return .curve(own) }
    guard let folder else {
      throw CommandFailure(
        "a coordinator needs --keys DIR: its list of those who are let in is there")
    }
    return .curve(own, allowListFile: folder.allowListFile)
  }

  /// A gatekeeper's report for a log.
  static func text(_ report: GateReport) -> String {
    switch report {
    case .refused(let door, let address, let reason):
      "turned \(StatusText.plain(address)) away at the \(door) door: \(reason)"
    case .muted(let peer, let reason):
      "does not listen to \(StatusText.plain(peer)) for a while: it sent \(reason)"
    case .listRead(let count): "the list of keys has changed: \(count) are let in"
    case .listUnreadable(let reason):
      "the list of keys can't be read, the last one stays: \(reason)"
    }
  }
}
