import CZeroMQ
import Foundation

/// A CURVE key pair in Z85, 40 characters each.
public struct CurveKeyPair: Sendable, Equatable, CustomStringConvertible {
  /// The half that others may know.
  public let publicKey: String
  /// The half that must not leave this machine, nor appear in a log.
  public let secretKey: String

  /// Takes keys that were made before, such as those read from a key file.
  public init(publicKey: String, secretKey: String) throws(MessagingError) {
    try CurveKeyPair.check(publicKey, named: "public key")
    try CurveKeyPair.check(secretKey, named: "secret key")
    self.publicKey = publicKey
    self.secretKey = secretKey
  }

  /// Makes a new pair.
  public static func generate() throws(MessagingError) -> CurveKeyPair {
    var publicKey = [CChar](repeating: 0, count: 41)
    var secretKey = [CChar](repeating: 0, count: 41)
    guard zmq_curve_keypair(&publicKey, &secretKey) == 0 else { throw .zeroMQ("make a key pair") }
    return try CurveKeyPair(publicKey: text(of: publicKey), secretKey: text(of: secretKey))
  }

  /// Refuses what is not a key, before a socket does so without saying why.
  static func check(_ key: String, named name: String) throws(MessagingError) {
    var decoded = [UInt8](repeating: 0, count: 32)
    guard key.utf8.count == 40, !key.utf8.contains(0), zmq_z85_decode(&decoded, key) != nil else {
      throw MessagingError(
        code: .malformed,
        operation: "read a CURVE \(name)",
        cause: "not 40 characters of Z85",
        remedy: "make keys with `palisade keys init`"
      )
    }
  }

  /// Whether the two halves belong together.
  func isPair() throws(MessagingError) -> Bool {
    var derived = [CChar](repeating: 0, count: 41)
    guard zmq_curve_public(&derived, secretKey) == 0 else { throw .zeroMQ("check a key pair") }
    return CurveKeyPair.text(of: derived) == publicKey
  }

  private static func text(of key: [CChar]) -> String {
    String(decoding: key.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// The public key only.
  public var description: String { "CURVE key \(publicKey)" }
}

/// How a socket protects what it sends.
public enum Security: Sendable, Equatable {
  /// Not at all: for `inproc://`, `ipc://` and loopback.
  case plain
  /// The end that is known by its public key; usually the one that binds.
  ///
  /// Who else may come through the door says the context's gatekeeper; without one nobody may.
  case curveServer(CurveKeyPair, Door)
  /// The end that knows the server's public key and shows its own.
  case curveClient(CurveKeyPair, serverPublicKey: String)
}
