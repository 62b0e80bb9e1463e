import Foundation

/// The folder of a cluster's keys, as the machine has it where they are made.
///
/// `coordinator.key`, `worker.key`, `client.key`, a file per key that was added, and `allowed`: the
/// public keys that the coordinator lets in. Another machine needs its own key file and no more.
public struct KeyFolder: Sendable {
  /// Where it is.
  public let path: String

  /// A folder of keys; whether it is one shows when it is used.
  public init(_ path: String) {
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
  }

  /// The file of the key that is named so.
  public func file(_ name: String) -> String { "\(path)/\(name).key" }
  /// The list of those who are let in.
  public var allowListFile: String { "\(path)/allowed" }

  /// Makes the folder, the coordinator's key, and a key each named `worker` and `client`.
  ///
  /// - Throws: `.addressInUse` when there are keys already: new ones would lock everybody out.
  public func make() throws(MessagingError) {
    try PrivateFile.makeFolder(path)
    for file in [file(LinkRole.coordinator.rawValue), allowListFile]
    where access(file, F_OK) == 0 {
      throw MessagingError(
        code: .addressInUse, operation: "make keys", endpoint: file, cause: "it is there already",
        remedy: "give another folder; `palisade keys add` makes one more key in this one")
    }
    let keys = try CurveKeyPair.generate()
    try KeyFile(
      role: .coordinator, name: LinkRole.coordinator.rawValue, keys: keys,
      coordinatorKey: keys.publicKey
    ).write(to: file(LinkRole.coordinator.rawValue))
    try PrivateFile.write(AllowList().text, to: allowListFile)
    try add(.worker, name: LinkRole.worker.rawValue)
    try add(.client, name: LinkRole.client.rawValue)
  }

  /// Makes one more key and lets its holder in.
  ///
  /// - Returns: its file.
  @discardableResult
  public func add(_ role: LinkRole, name: String) throws(MessagingError) -> String {
    guard KeyName.isGood(name), role != .coordinator else { throw KeyName.error(name) }
    try PrivateFile.checkFolder(path)
    let coordinator = try KeyFile(path: file(LinkRole.coordinator.rawValue))
    var list = try allowList()
    guard access(file(name), F_OK) != 0, !list.entries.values.contains(where: { $0.name == name })
    else {
      throw MessagingError(
        code: .addressInUse, operation: "make a key", endpoint: file(name),
        cause: "there is a key named \(name)", remedy: "take another name, or remove that key first"
      )
    }
    let keys = try CurveKeyPair.generate()
    try list.add(keys.publicKey, role: role, name: name)
    try KeyFile(
      role: role, name: name, keys: keys, coordinatorKey: coordinator.keys.publicKey
    ).write(to: file(name))
    try PrivateFile.write(list.text, to: allowListFile)
    return file(name)
  }

  /// Lets the key's holder in no more, and deletes its file here.
  ///
  /// - Throws: `.malformed` when there is no such key.
  public func remove(_ name: String) throws(MessagingError) {
    guard KeyName.isGood(name) else { throw KeyName.error(name) }
    try PrivateFile.checkFolder(path)
    var list = try allowList()
    guard list.remove(named: name) > 0 else {
      throw MessagingError(
        code: .malformed, operation: "remove a key", endpoint: path,
        cause: "no key named \(name) is let in", remedy: "`palisade keys list` shows the names")
    }
    // First out, then gone: a crash in between leaves a file that opens nothing.
    try PrivateFile.write(list.text, to: allowListFile)
    unlink(file(name))
  }

  /// Who is let in.
  public func allowList() throws(MessagingError) -> AllowList {
    try PrivateFile.checkFolder(path)
    return try AllowList(text: PrivateFile.read(allowListFile))
  }

  /// The key of this folder for a process of `role`.
  public func key(for role: LinkRole) throws(MessagingError) -> KeyFile {
    try PrivateFile.checkFolder(path)
    return try KeyFile(path: file(role.rawValue))
  }
}
