import Messaging

/// Times a few messages to the coordinator and back, small ones and large ones, one at a time: how long
/// the way is, and how wide. Owned by the thread that sends them.
struct LinkProbing {
  private static let sizes =
    [0, 0, 0, 0] + [Int](repeating: MessageLimits.linkProbeByteCount, count: 3)
  /// An echo that takes longer than this is not waited for.
  private static let patienceNanoseconds: UInt64 = 3_000_000_000
  private var times: [(size: Int, nanoseconds: UInt64)] = []
  private var sent: UInt64?
  private var isGivenUp = false

  /// Whether everything was measured, or nothing will be.
  var isDone: Bool { isGivenUp || times.count == Self.sizes.count }

  /// The next message to be sent at time `now`; nil while an echo is awaited, and at the end.
  mutating func next(now: UInt64) -> ControlMessage? {
    if let sent {
      if now - min(now, sent) > Self.patienceNanoseconds { isGivenUp = true }
      return nil
    }
    guard !isDone else { return nil }
    sent = now
    return .linkProbe(sentNanoseconds: now, byteCount: Self.sizes[times.count])
  }

  /// Takes an echo in.
  mutating func take(_ echo: UInt64, now: UInt64) {
    guard echo == sent, !isDone else { return }
    times.append((Self.sizes[times.count], now - min(now, echo)))
    sent = nil
  }

  /// Fills in what is known.
  func fill(_ speed: inout WorkerSpeed) {
    let small = times.filter { $0.size == 0 }.map(\.nanoseconds).min()
    let large = times.filter { $0.size > 0 }.map(\.nanoseconds).min()
    guard let small else { return }
    speed.linkLatencySeconds = Double(small) / 2e9
    guard let large, large > small else { return }
    speed.linkBytesPerSecond =
      Double(MessageLimits.linkProbeByteCount) / (Double(large - small) / 1e9)
  }
}
