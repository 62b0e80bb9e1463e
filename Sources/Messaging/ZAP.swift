import CZeroMQ

/// ZeroMQ's authentication protocol (RFC 27), as libzmq speaks it with the handler in its process.
enum ZAP {
  /// Where libzmq looks for the handler of a context.
  static let endpoint = "inproc://zeromq.zap.01"
  private static let version = Array("1.0".utf8)

  /// What libzmq asks about a connection.
  struct Request {
    let domain: String
    let address: String
    let mechanism: String
    /// The peer's public key, which the handshake has proved to be its own.
    let key: String?

    init?(_ frames: [Frame]) {
      guard frames.count >= 6, frames[0].bytes == ZAP.version else { return nil }
      domain = String(decoding: frames[2].bytes, as: UTF8.self)
      address = String(decoding: frames[3].bytes, as: UTF8.self)
      mechanism = String(decoding: frames[5].bytes, as: UTF8.self)
      key = frames.count == 7 ? ZAP.text(ofKey: frames[6].bytes) : nil
    }
  }

  enum Verdict {
    case admitted(user: String)
    case refused
    case malformed
  }

  /// The answer to `request`.
  ///
  /// A refusal is "temporary" (300): libzmq then closes the connection without a word, and the peer
  /// tries again, so that a key that is added later, or a neighbour that comes a moment too early,
  /// is let in. After 400 a peer of libzmq would never try again.
  static func reply(to request: [Frame], _ verdict: Verdict) -> [Frame] {
    let id = request.count > 1 ? request[1] : Frame(bytes: [])
    let (status, text, user) =
      switch verdict {
      case .admitted(let user): ("200", "OK", user)
      case .refused: ("300", "not on the list", "")
      case .malformed: ("500", "no request of ZAP 1.0", "")
      }
    return [
      Frame(bytes: version), id, Frame(bytes: Array(status.utf8)), Frame(bytes: Array(text.utf8)),
      Frame(bytes: Array(user.utf8)), Frame(bytes: []),
    ]
  }

  private static func text(ofKey key: [UInt8]) -> String? {
    var text = [CChar](repeating: 0, count: 41)
    guard key.count == 32, zmq_z85_encode(&text, key, key.count) != nil else { return nil }
    return String(decoding: text.prefix(40).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
