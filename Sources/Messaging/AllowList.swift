/// The public keys that are let in, each with what its holder may be.
///
/// As text: a line per key, `role name key`; lines that begin with # say nothing.
public struct AllowList: Sendable, Equatable {
  /// Whose key it is.
  public struct Entry: Sendable, Equatable {
    /// What the holder may be.
    public let role: LinkRole
    /// A name for people, and for `palisade keys remove`.
    public let name: String
  }

  /// By public key.
  public private(set) var entries: [String: Entry] = [:]

  /// Lets nobody in.
  public init() {}

  /// Reads the text of a list.
  public init(text: String) throws(MessagingError) {
    for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
      let words = line.split(separator: " ")
      guard words.count == 3, let role = LinkRole(rawValue: String(words[0])) else {
        throw .malformed("read a list of keys", "a line is not `role name key`")
      }
      try add(String(words[2]), role: role, name: String(words[1]))
    }
  }

  /// The list as text, in an order that doesn't depend on chance.
  public var text: String {
    let lines = entries.map { "\($0.value.role.rawValue) \($0.value.name) \($0.key)\n" }
    return "# Palisade: role, name and public key of everybody who is let in\n"
      + lines.sorted().joined()
  }

  /// Lets the holder of `key` in.
  public mutating func add(
    _ key: String, role: LinkRole, name: String
  ) throws(MessagingError) {
    try CurveKeyPair.check(key, named: "public key")
    guard KeyName.isGood(name) else { throw KeyName.error(name) }
    try Bounds.count(entries.count + 1, atMost: MessageLimits.allowedKeyCount, "keys let in")
    entries[key] = Entry(role: role, name: name)
  }

  /// Lets the holders of keys named so in no more.
  ///
  /// - Returns: how many there were.
  public mutating func remove(named name: String) -> Int {
    let before = entries.count
    entries = entries.filter { $0.value.name != name }
    return before - entries.count
  }
}

/// Names of keys: they become file names and words of a line.
enum KeyName {
  static func isGood(_ name: String) -> Bool {
    (1...64).contains(name.utf8.count) && name.first != "." && name.first != "-"
      && name.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
          UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }

  static func error(_ name: String) -> MessagingError {
    MessagingError(
      code: .malformed, operation: "name a key", cause: "'\(name.prefix(80))' is no name for a key",
      remedy: "take 1 to 64 letters, digits, '.', '-' and '_', the first a letter or digit")
  }
}
