/// One process's key: what `palisade worker --key FILE` reads.
public struct KeyFile: Sendable, Equatable, CustomStringConvertible {
  /// What its holder may be.
  public let role: LinkRole
  /// A name for people.
  public let name: String
  /// The holder's own pair.
  public let keys: CurveKeyPair
  /// The coordinator's public key: whom the holder believes.
  public let coordinatorKey: String

  init(role: LinkRole, name: String, keys: CurveKeyPair, coordinatorKey: String) {
    self.role = role
    self.name = name
    self.keys = keys
    self.coordinatorKey = coordinatorKey
  }

  /// Reads a key file that only its owner may read.
  ///
  /// - Throws: `.insecure` for a file that others may read or write, or of somebody else's;
  ///   `.malformed` when it is no key file.
  public init(path: String) throws(MessagingError) {
    let text = try PrivateFile.read(path)
    var fields: [String: String] = [:]
    for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
      let words = line.split(separator: " ")
      guard words.count == 2, fields.updateValue(String(words[1]), forKey: String(words[0])) == nil
      else { throw Self.malformed(path) }
    }
    guard fields.count == 5, let role = fields["role"].flatMap(LinkRole.init),
      let name = fields["name"],
      let publicKey = fields["public"], let secretKey = fields["secret"],
      let coordinatorKey = fields["coordinator"], KeyName.isGood(name)
    else { throw Self.malformed(path) }
    try CurveKeyPair.check(coordinatorKey, named: "coordinator's key")
    let keys = try CurveKeyPair(publicKey: publicKey, secretKey: secretKey)
    guard try keys.isPair() else { throw Self.malformed(path) }
    self.init(role: role, name: name, keys: keys, coordinatorKey: coordinatorKey)
  }

  func write(to path: String) throws(MessagingError) {
    try PrivateFile.write(
      """
      # Palisade: a key that lets its holder into a cluster. Keep it to yourself.
      role \(role.rawValue)
      name \(name)
      public \(keys.publicKey)
      secret \(keys.secretKey)
      coordinator \(coordinatorKey)

      """, to: path)
  }

  /// Nothing secret.
  public var description: String { "\(role.rawValue) \(name), \(keys)" }

  private static func malformed(_ path: String) -> MessagingError {
    MessagingError(
      code: .malformed, operation: "read a key", endpoint: path, cause: "it is no key file",
      remedy: "give a file that `palisade keys init` or `palisade keys add` made")
  }
}
