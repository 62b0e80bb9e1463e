import Messaging

/// Who is listened to at one of the coordinator's doors: holders of keys that are let in, as long as
/// they stay within what a peer may send. Owned by the door's thread.
struct DoorWatch {
  private let gate: Gatekeeper
  private let door: Door
  private let report: (GateReport) -> Void
  private var ledger: PeerLedger

  init(
    _ gate: Gatekeeper, door: Door = .control, limits: PeerLedger.Limits = PeerLedger.Limits(),
    report: @escaping (GateReport) -> Void
  ) {
    self.gate = gate
    self.door = door
    self.report = report
    ledger = PeerLedger(limits)
  }

  /// Looks at a message before a byte of it is read.
  ///
  /// - Returns: who sent it; nil for a peer that is not listened to now.
  mutating func sender(
    of delivery: Delivery, from peer: PeerIdentity, now: Int
  ) -> Sender? {
    let byteCount = delivery.frames.reduce(0) { $0 + $1.byteCount }
    guard tell(ledger.note(name(peer), byteCount: byteCount, now: now), peer) else { return nil }
    return gate.sender(delivery.senderKey, at: door)
  }

  /// Takes note of a message that was no good.
  mutating func refuse(_ peer: PeerIdentity, now: Int) {
    _ = tell(ledger.refuse(name(peer), now: now), peer)
  }

  /// By identity and not by key: many workers may share a key, and one of them that is broken must not
  /// silence the others.
  private func name(_ peer: PeerIdentity) -> String { String(decoding: peer.bytes, as: UTF8.self) }

  private func tell(_ verdict: PeerLedger.Verdict, _ peer: PeerIdentity) -> Bool {
    if case .muted(let reason) = verdict { report(.muted(peer: name(peer), reason: reason)) }
    return verdict == .heard
  }
}
