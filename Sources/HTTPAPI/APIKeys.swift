import Foundation
import Messaging

/// The keys that let a client in.
public struct APIKeys: Sendable {
  private let keys: [[UInt8]]
  /// A shorter key could be guessed.
  static let byteCountMinimum = 16
  /// More keys than people who share a cluster.
  static let countMaximum = 1000

  /// Takes the keys themselves.
  ///
  /// - Throws: `invalid_api_keys` when there is none, or one is too short.
  public init(_ keys: [String]) throws(Failure) {
    guard !keys.isEmpty, keys.count <= Self.countMaximum else {
      throw Failure(
        code: "invalid_api_keys",
        message: "there are \(keys.count) keys; give 1 to \(Self.countMaximum), one a line")
    }
    for (index, key) in keys.enumerated() where key.utf8.count < Self.byteCountMinimum {
      throw Failure(
        code: "invalid_api_keys",
        message: "key \(index + 1) has fewer than \(Self.byteCountMinimum) characters; "
          + "`openssl rand -hex 24` makes a good one")
    }
    self.keys = keys.map { Array($0.utf8) }
  }

  /// Reads a file of keys: one a line, blank lines and lines that begin with # left out.
  ///
  /// - Throws: `invalid_api_keys` when it can't be read, when others than its owner may read or write
  ///   it, or when a key is too short.
  public init(file: String) throws(Failure) {
    func refuse(_ message: String) -> Failure {
      Failure(code: "invalid_api_keys", message: "\(file): \(message)")
    }
    var status = stat()
    guard stat(file, &status) == 0 else {
      throw refuse("\(String(cString: strerror(errno))); give a file with a key a line")
    }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= 1 << 20 else {
      throw refuse("this is no file of at most 1 MiB")
    }
    guard status.st_mode & 0o077 == 0 else {
      throw refuse("others than its owner may read or write it; `chmod 600 \(file)`")
    }
    guard status.st_uid == geteuid() || geteuid() == 0 else {
      throw refuse("it belongs to somebody else; make one of your own")
    }
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
      throw refuse("it cannot be read as UTF-8 text")
    }
    let keys = text.split(whereSeparator: \.isNewline)
      .map { $0.trimmingCharacters(in: .whitespaces) }
      .filter { !$0.isEmpty && !$0.hasPrefix("#") }
    do throws(Failure) { try self.init(keys) } catch { throw refuse(error.message) }
  }

  /// Whether `key` is one of them, in a time that depends on the lengths alone, and so tells nothing
  /// about how much of it is right.
  public func contains(_ key: String) -> Bool {
    let given = Array(key.utf8)
    var isKnown = false
    // No early exit: every key is compared, and every byte of it.
    for known in keys { isKnown = Self.areEqual(known, given) || isKnown }
    return isKnown
  }

  @inline(never)
  private static func areEqual(_ known: [UInt8], _ given: [UInt8]) -> Bool {
    var difference = known.count ^ given.count
    for (index, byte) in given.enumerated() {
      difference |= Int(byte ^ known[index % known.count])
    }
    return difference == 0
  }
}
