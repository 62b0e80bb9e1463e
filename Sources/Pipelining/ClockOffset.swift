import Messaging

/// How far the coordinator's clock is ahead of this process's, by the exchange of heartbeats.
///
/// As in NTP: the reply is taken to have been written in the middle between sending and receiving.
/// Of the last exchanges the one with the shortest round trip counts, because waiting in a queue
/// only ever makes an exchange longer; the error is at most half of that round trip.
struct ClockOffset {
  private struct Exchange {
    let offset: Int64
    let roundTrip: UInt64
  }
  /// Eight seconds of heartbeats: crystals drift apart by less than 1 ms in that time.
  private var exchanges = Ring<Exchange>(capacity: 16)

  private var best: Exchange? { exchanges.newest().min { $0.roundTrip < $1.roundTrip } }

  /// Whether there was an exchange.
  var isAligned: Bool { exchanges.count > 0 }

  /// The round trip of the exchange that counts; 0 before the first.
  var roundTripNanoseconds: UInt64 { best?.roundTrip ?? 0 }

  /// Takes note of a reply.
  ///
  /// - Parameters:
  ///   - sent: this clock when the heartbeat was sent.
  ///   - coordinator: the coordinator's clock when it answered.
  ///   - received: this clock when the answer came.
  mutating func exchanged(sent: UInt64, coordinator: UInt64, received: UInt64) {
    // A reply without times, or one that was never asked for.
    guard sent > 0, coordinator > 0, coordinator <= UInt64(Int64.max) / 2, received >= sent,
      received - sent < 60_000_000_000
    else { return }
    let middle = sent + (received - sent) / 2
    guard middle <= UInt64(Int64.max) / 2 else { return }
    exchanges.append(
      Exchange(offset: Int64(coordinator) - Int64(middle), roundTrip: received - sent))
  }

  /// A span of this clock as one of the coordinator's; nil before the first exchange.
  func shifted(_ span: TraceSpan) -> TraceSpan? {
    guard let best, let start = Int64(exactly: span.startNanoseconds) else { return nil }
    let (sum, overflow) = start.addingReportingOverflow(best.offset)
    guard !overflow, sum >= 0, sum <= Int64.max / 2 else { return nil }
    var shifted = span
    shifted.startNanoseconds = UInt64(sum)
    shifted.waitingNanoseconds = min(span.waitingNanoseconds, UInt64(sum))
    return shifted
  }
}
