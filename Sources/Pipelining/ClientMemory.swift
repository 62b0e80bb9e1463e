import Messaging

/// Bytes of pictures that clients have sent and that are not answered yet: bounded for each client and
/// for all, so that nobody can fill the coordinator's memory. Owned by the coordinator's thread.
struct ClientMemory {
  private let limits: Limits
  private var held: [PeerIdentity: [UInt64: Int]] = [:]
  /// Of all clients.
  private(set) var byteCount = 0

  init(_ limits: Limits) { self.limits = limits }

  /// Takes note of a submission.
  ///
  /// - Returns: false when there is no room for it; the client tries again later.
  mutating func take(_ submit: Submit, from peer: PeerIdentity) -> Bool {
    let bytes = submit.images.reduce(submit.prompt.utf8.count) { $0 + $1.byteCount }
    let own = held[peer] ?? [:]
    // The same tag twice is one request, and refused elsewhere.
    guard own[submit.tag] == nil else { return true }
    let ownByteCount = own.values.reduce(0, +)
    guard own.count < limits.clientRequests, ownByteCount + bytes <= limits.clientByteCount,
      byteCount + bytes <= limits.clientsByteCount
    else { return false }
    held[peer, default: [:]][submit.tag] = bytes
    byteCount += bytes
    return true
  }

  /// The submission was answered.
  mutating func release(_ tag: UInt64, of peer: PeerIdentity) {
    guard let bytes = held[peer]?.removeValue(forKey: tag) else { return }
    byteCount -= bytes
    if held[peer]?.isEmpty ?? false { held[peer] = nil }
  }
}
