/// One micro-batch in one stage: when it came, was computed, and was sent on.
public struct TraceSpan: Sendable, Equatable {
  /// Of the micro-batch; the same in every stage it goes through.
  public var sequence: UInt64
  /// Which stage of the plan.
  public var stage: Int
  /// Which worker of the cluster; the coordinator fills it in.
  public var worker: Int
  /// Prefill or decode.
  public var phase: Phase
  /// Requests with rows in it; 0 when it only releases caches.
  public var requestCount: Int
  /// The first of them.
  public var firstRequest: UInt64
  /// Rows of all of them.
  public var rowCount: Int
  /// Micro-batches that waited behind it when it began.
  public var queueLength: Int
  /// When computing began, in the coordinator's clock (in the recorder's own, before it is sent).
  public var startNanoseconds: UInt64
  /// From its arrival until then.
  public var waitingNanoseconds: UInt64
  /// Computing.
  public var busyNanoseconds: UInt64
  /// Handing the results to the sockets.
  public var sendingNanoseconds: UInt64
  /// Makes a span.
  public init(
    sequence: UInt64,
    stage: Int,
    worker: Int = 0,
    phase: Phase,
    requestCount: Int,
    firstRequest: UInt64 = 0,
    rowCount: Int,
    queueLength: Int = 0,
    startNanoseconds: UInt64,
    waitingNanoseconds: UInt64 = 0,
    busyNanoseconds: UInt64 = 0,
    sendingNanoseconds: UInt64 = 0
  ) {
    self.sequence = sequence
    self.stage = stage
    self.worker = worker
    self.phase = phase
    self.requestCount = requestCount
    self.firstRequest = firstRequest
    self.rowCount = rowCount
    self.queueLength = queueLength
    self.startNanoseconds = startNanoseconds
    self.waitingNanoseconds = waitingNanoseconds
    self.busyNanoseconds = busyNanoseconds
    self.sendingNanoseconds = sendingNanoseconds
  }
}

/// Whose spans are in a trace: a worker in its stage.
public struct TraceTrack: Sendable, Equatable {
  /// Which stage of the plan.
  public var stage: Int
  /// What it is called.
  public var stageName: String
  /// Which worker of the cluster.
  public var worker: Int
  /// What it is called.
  public var workerName: String
  /// The machine it is on.
  public var node: String
  /// Makes a track.
  public init(stage: Int, stageName: String, worker: Int, workerName: String, node: String) {
    self.stage = stage
    self.stageName = stageName
    self.worker = worker
    self.workerName = workerName
    self.node = node
  }
}

/// What all stages computed lately, in one clock.
public struct Trace: Sendable, Equatable {
  /// The workers of the plan.
  public var tracks: [TraceTrack]
  /// Oldest first.
  public var spans: [TraceSpan]
  /// The coordinator's clock when it answered.
  public var nowNanoseconds: UInt64
  /// Makes a trace.
  public init(tracks: [TraceTrack] = [], spans: [TraceSpan] = [], nowNanoseconds: UInt64 = 0) {
    self.tracks = tracks
    self.spans = spans
    self.nowNanoseconds = nowNanoseconds
  }
}
