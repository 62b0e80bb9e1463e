import Messaging

/// What one worker did and holds, and how fast, as the engine's thread hears of it.
struct WorkerMeasure {
  private(set) var counters = Counters()
  private(set) var gauges = Gauges()
  private var epoch: UInt64?
  private var roundTripNanoseconds: UInt64 = 0
  private var heard: UInt64
  private var busy = RecentCounter()
  private var received = RecentCounter()
  private var sent = RecentCounter()

  init(at now: UInt64) { heard = now }

  /// Takes what a worker reports.
  mutating func take(_ heartbeat: Heartbeat, at now: UInt64) {
    // A new plan, a new stage: everything is counted from the start.
    if epoch != heartbeat.epoch { self = WorkerMeasure(at: now) }
    epoch = heartbeat.epoch
    (counters, gauges, heard) = (heartbeat.counters, heartbeat.gauges, now)
    roundTripNanoseconds = heartbeat.roundTripNanoseconds
    busy.set(Double(counters.busyNanoseconds), at: now)
    received.set(Double(counters.receivedBytes), at: now)
    sent.set(Double(counters.sentBytes), at: now)
  }

  /// Takes one step of a stage in this process, which `idleNanoseconds` of waiting preceded.
  mutating func take(
    _ span: TraceSpan, gauges: Gauges, vision: (hits: UInt64, misses: UInt64),
    idleNanoseconds: UInt64, at now: UInt64
  ) {
    counters.count(span)
    (counters.visionCacheHits, counters.visionCacheMisses) = vision
    counters.waitingNanoseconds += idleNanoseconds
    (self.gauges, heard) = (gauges, now)
    busy.add(Double(span.busyNanoseconds), from: span.startNanoseconds, to: now)
  }

  /// Fills in what was measured; `activeShare` is the part of the last seconds that had work.
  func fill(_ row: inout StageStatus, activeShare: Double, at now: UInt64) {
    let whole = Double(counters.busyNanoseconds) + Double(counters.waitingNanoseconds)
    row.busyShare = whole > 0 ? Double(counters.busyNanoseconds) / whole : 0
    row.recentBusyShare = min(1, busy.rate(at: now) / 1e9)
    row.bubbleShare = max(0, activeShare - row.recentBusyShare)
    row.receivedBytesPerSecond = received.rate(at: now)
    row.sentBytesPerSecond = sent.rate(at: now)
    (row.counters, row.gauges) = (counters, gauges)
    row.silenceMilliseconds = Int((now - min(now, heard)) / 1_000_000)
    row.roundTripNanoseconds = roundTripNanoseconds
  }
}

extension Counters {
  /// Counts one micro-batch.
  mutating func count(_ span: TraceSpan) {
    microBatches += 1
    busyNanoseconds += span.busyNanoseconds
    switch span.phase {
    case .prefill: prefillRows += UInt64(span.rowCount)
    case .decode: decodeRows += UInt64(span.rowCount)
    }
  }
}
