/// What a worker did since it started its stage.
public struct Counters: Sendable, Equatable {
  /// Time spent computing.
  public var busyNanoseconds: UInt64 = 0
  /// Time spent waiting for a message.
  public var waitingNanoseconds: UInt64 = 0
  /// Payload and header bytes received from stages.
  public var receivedBytes: UInt64 = 0
  /// Payload and header bytes sent to stages.
  public var sentBytes: UInt64 = 0
  /// Micro-batches computed.
  public var microBatches: UInt64 = 0
  /// Rows computed in prefill.
  public var prefillRows: UInt64 = 0
  /// Rows computed in decode.
  public var decodeRows: UInt64 = 0
  /// Pictures whose rows the vision cache had.
  public var visionCacheHits: UInt64 = 0
  /// Pictures whose rows had to be computed, with a vision cache or without.
  public var visionCacheMisses: UInt64 = 0
  /// Spans that no heartbeat carried, because too many came between two.
  public var droppedSpans: UInt64 = 0
  /// All zero.
  public init() {}
}

/// What a worker holds now.
public struct Gauges: Sendable, Equatable {
  /// Micro-batches that wait for the stage.
  public var queueLength = 0
  /// Tokens that wait for a decode step; 0 where none starts.
  public var waitingTokens = 0
  /// Memory of the whole process that is in RAM.
  public var residentBytes = 0
  /// Weights held.
  public var weightBytes = 0
  /// KV caches held.
  public var cacheCount = 0
  /// Memory of those.
  public var cacheBytes = 0
  /// Memory of the rows that the vision cache holds.
  public var visionCacheBytes = 0
  /// Of the weights that it fetches, those that are there; 0 while it fetches none.
  public var fetchedBytes = 0
  /// All the weights that it fetches; 0 while it fetches none.
  public var fetchBytes = 0
  /// All zero.
  public init() {}
}

/// A worker is alive.
public struct Heartbeat: Sendable, Equatable {
  /// The plan.
  public var epoch: UInt64
  /// What it did so far.
  public var counters: Counters
  /// What it holds now.
  public var gauges: Gauges
  /// The micro-batch being computed; 0 when idle.
  public var busySequence: UInt64
  /// For how long it has been; 0 when idle.
  public var busyMilliseconds: Int
  /// The worker's clock at sending; the reply gives it back.
  public var sentNanoseconds: UInt64
  /// Of the exchange that the clocks are aligned by; 0 before the first.
  public var roundTripNanoseconds: UInt64
  /// What was computed since the heartbeat before, in the coordinator's clock.
  public var spans: [TraceSpan]
  /// Workers that should send to this one and are not heard.
  public var silentWorkers: [Int]
  /// Makes the report.
  public init(
    epoch: UInt64,
    counters: Counters = Counters(),
    gauges: Gauges = Gauges(),
    busySequence: UInt64 = 0,
    busyMilliseconds: Int = 0,
    sentNanoseconds: UInt64 = 0,
    roundTripNanoseconds: UInt64 = 0,
    spans: [TraceSpan] = [],
    silentWorkers: [Int] = []
  ) {
    self.epoch = epoch
    self.counters = counters
    self.gauges = gauges
    self.busySequence = busySequence
    self.busyMilliseconds = busyMilliseconds
    self.sentNanoseconds = sentNanoseconds
    self.roundTripNanoseconds = roundTripNanoseconds
    self.spans = spans
    self.silentWorkers = silentWorkers
  }
}

/// The coordinator is alive.
public struct HeartbeatReply: Sendable, Equatable {
  /// The plan.
  public var epoch: UInt64
  /// The heartbeat's `sentNanoseconds`.
  public var echoNanoseconds: UInt64
  /// The coordinator's clock at sending; 0 when it doesn't say.
  public var coordinatorNanoseconds: UInt64
  /// Makes the reply.
  public init(epoch: UInt64, echoNanoseconds: UInt64 = 0, coordinatorNanoseconds: UInt64 = 0) {
    self.epoch = epoch
    self.echoNanoseconds = echoNanoseconds
    self.coordinatorNanoseconds = coordinatorNanoseconds
  }
}
