import Foundation
import Messaging

/// Names of the places and peers of a cluster.
public enum Endpoints {
  private static let workerMark = "worker:"
  private static let clientMark = "client:"

  /// A new identity for a worker's socket.
  static func workerIdentity() -> [UInt8] { Array((workerMark + UUID().uuidString).utf8) }

  /// A new identity for a client's socket.
  public static func clientIdentity() -> [UInt8] { Array((clientMark + UUID().uuidString).utf8) }

  /// Whether a peer calls itself a client; its messages are read as a client's, and no others.
  static func isClient(_ peer: PeerIdentity) -> Bool {
    peer.bytes.starts(with: clientMark.utf8)
  }

  /// An endpoint to bind beside another: the same address and a free port, or a file next to it.
  public static func beside(_ endpoint: String, suffix: String) -> String {
    if endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") {
      return endpoint[..<colon] + ":*"
    }
    return "\(endpoint).\(suffix)"
  }
}
