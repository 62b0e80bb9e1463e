import Messaging
import Testing

/// A ledger that an expectation may write in.
private final class Book {
  private var ledger: PeerLedger
  init(_ limits: PeerLedger.Limits) { ledger = PeerLedger(limits) }
  func note(_ peer: String, byteCount: Int, now: Int) -> PeerLedger.Verdict {
    ledger.note(peer, byteCount: byteCount, now: now)
  }
  func refuse(_ peer: String, now: Int) -> PeerLedger.Verdict { ledger.refuse(peer, now: now) }
  func counts(of peer: String) -> (messages: Int, bytes: Int, refused: Int) {
    ledger.counts(of: peer)
  }
  var count: Int { ledger.count }
}

@Suite struct PeerLedgerTests {
  private var limits: PeerLedger.Limits {
    var limits = PeerLedger.Limits()
    limits.messagesPerSecond = 10
    limits.bytesPerSecond = 1000
    limits.refusalsPerSecond = 1
    limits.burstSeconds = 2
    limits.ignoredMilliseconds = 5000
    limits.peerCount = 8
    return limits
  }

  @Test func whoStaysWithinTheLimitsIsHeardForEver() {
    let ledger = Book(limits)
    for step in 0..<5000 {
      #expect(ledger.note("a", byteCount: 100, now: step * 100) == .heard)
    }
    #expect(ledger.counts(of: "a") == (5000, 500_000, 0))
    #expect(ledger.counts(of: "b") == (0, 0, 0))
  }

  @Test func tooManyMessagesAreIgnoredForAWhileAndToldOnce() {
    let ledger = Book(limits)
    for _ in 0..<20 { #expect(ledger.note("a", byteCount: 1, now: 1000) == .heard) }
    let verdict = ledger.note("a", byteCount: 1, now: 1000)
    #expect(verdict == .muted(reason: "more than 10 messages a second"))
    for step in 0..<10 { #expect(ledger.note("a", byteCount: 1, now: 1000 + step) == .ignored) }
    // Nobody else is concerned.
    #expect(ledger.note("b", byteCount: 1, now: 1005) == .heard)
    #expect(ledger.note("a", byteCount: 1, now: 5999) == .ignored)
    #expect(ledger.note("a", byteCount: 1, now: 6000) == .heard)
  }

  @Test func whoGoesOnFloodingStaysIgnored() {
    let ledger = Book(limits)
    var (heard, told) = (0, 0)
    for step in 0..<60_000 {
      switch ledger.note("a", byteCount: 1, now: step) {
      case .heard: heard += 1
      case .muted: told += 1
      case .ignored: break
      }
    }
    // A minute of a thousand messages a second: a burst now and then, and a line for each.
    #expect(heard <= 12 * 21 && told <= 13, "\(heard) \(told)")
  }

  @Test func bytesAreCountedWithoutOverflow() {
    let ledger = Book(limits)
    #expect(ledger.note("a", byteCount: 2000, now: 0) == .heard)
    #expect(
      ledger.note("a", byteCount: 1, now: 0) == .muted(reason: "more than 1000 bytes a second"))
    for step in 1..<100 { _ = ledger.note("b", byteCount: .max, now: step) }
    #expect(ledger.note("b", byteCount: 1, now: 200) == .ignored)
  }

  @Test func refusalsAddUp() {
    let ledger = Book(limits)
    for step in 0..<50 {
      // One every two seconds is somebody's mistake, not an attack.
      #expect(ledger.note("a", byteCount: 1, now: step * 2000) == .heard)
      #expect(ledger.refuse("a", now: step * 2000) == .heard)
    }
    #expect(ledger.refuse("b", now: 0) == .heard)
    #expect(ledger.refuse("b", now: 0) == .heard)
    #expect(ledger.refuse("b", now: 0) == .muted(reason: "3 messages that are no good"))
    #expect(ledger.note("b", byteCount: 1, now: 10) == .ignored)
    #expect(ledger.refuse("b", now: 10) == .ignored)
    #expect(ledger.counts(of: "b").refused == 4)
  }

  @Test func aCrowdOfPeersIsForgottenNotKept() {
    let ledger = Book(limits)
    for peer in 0..<1000 {
      _ = ledger.note("peer \(peer)", byteCount: 1, now: peer)
      #expect(ledger.count <= 8)
    }
    // The newest are still known.
    #expect(ledger.counts(of: "peer 999").messages == 1)
  }
}
