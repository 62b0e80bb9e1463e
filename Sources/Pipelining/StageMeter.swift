import Messaging

/// Takes the times of a stage's micro-batches. Owned by the stage's executor.
struct StageMeter {
  private let stage: Int
  private var arrivals: [UInt64: UInt64] = [:]
  private var span: TraceSpan?
  /// More than can wait (`Limits.messagesInFlight`); what is left over then never came to its turn.
  private static let arrivalsMaximum = 4096

  init(stage: Int) { self.stage = stage }

  /// Notes when a micro-batch came.
  mutating func arrived(_ batch: MicroBatch) {
    if arrivals.count >= Self.arrivalsMaximum { arrivals = [:] }
    arrivals[batch.sequence] = Clock.nanoseconds
  }

  /// Notes that computing begins; `queueLength` micro-batches wait behind it.
  mutating func begin(_ batch: MicroBatch, queueLength: Int) {
    let now = Clock.nanoseconds
    let arrival = arrivals.removeValue(forKey: batch.sequence) ?? now
    span = TraceSpan(
      sequence: batch.sequence, stage: stage, phase: batch.segments.first?.phase ?? .decode,
      requestCount: batch.segments.count, firstRequest: batch.segments.first?.request ?? 0,
      rowCount: batch.segments.reduce(0) { $0 + $1.rowCount }, queueLength: queueLength,
      startNanoseconds: now, waitingNanoseconds: Self.bounded(now - min(now, arrival)))
  }

  /// Notes that computing has ended.
  mutating func end() {
    guard let start = span?.startNanoseconds else { return }
    span?.busyNanoseconds = Self.bounded(Clock.nanoseconds - start)
  }

  /// The last micro-batch, once.
  mutating func takeSpan() -> TraceSpan? {
    defer { span = nil }
    return span
  }

  /// A duration as a message may carry it.
  static func bounded(_ nanoseconds: UInt64) -> UInt64 {
    min(nanoseconds, MessageLimits.spanNanoseconds)
  }
}
