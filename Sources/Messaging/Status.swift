/// One worker in its stage, as the coordinator sees it.
public struct StageStatus: Sendable, Equatable {
  /// What the stage is called, such as `vision`.
  public var name: String
  /// Which stage of the plan.
  public var stage: Int
  /// Its blocks of the model's chain.
  public var blocks: Range<Int>
  /// The worker's name.
  public var worker: String
  /// The worker's number in the cluster.
  public var workerIndex: Int
  /// The machine it is on.
  public var node: String
  /// Share of the time since the stage began that was spent computing, 0 to 1.
  public var busyShare = 0.0
  /// The same for the last seconds.
  public var recentBusyShare = 0.0
  /// Share of the last seconds in which requests were under way and this stage computed nothing.
  public var bubbleShare = 0.0
  /// Bytes a second from stages, over the last seconds.
  public var receivedBytesPerSecond = 0.0
  /// Bytes a second to stages, over the last seconds.
  public var sentBytesPerSecond = 0.0
  /// What it did so far.
  public var counters = Counters()
  /// What it holds now.
  public var gauges = Gauges()
  /// The kernels' choice, such as `avx512`.
  public var instructionSet = ""
  /// Threads of the kernels' pool.
  public var threads = 0
  /// Memory of its machine.
  public var memoryBytes = 0
  /// Since it was last heard.
  public var silenceMilliseconds = 0
  /// Of the exchange that its clock is aligned by: spans are right to half of it.
  public var roundTripNanoseconds: UInt64 = 0
  /// Micro-batches computed.
  public var microBatches: UInt64 { counters.microBatches }
  /// Bytes received from stages.
  public var receivedBytes: UInt64 { counters.receivedBytes }
  /// Bytes sent to stages.
  public var sentBytes: UInt64 { counters.sentBytes }
  /// Makes a row without measurements.
  public init(
    name: String,
    stage: Int = 0,
    blocks: Range<Int>,
    worker: String,
    workerIndex: Int = 0,
    node: String = ""
  ) {
    self.name = name
    self.stage = stage
    self.blocks = blocks
    self.worker = worker
    self.workerIndex = workerIndex
    self.node = node
  }
}

/// How long something took, over the last minute.
public struct Latency: Sendable, Equatable {
  /// How many were measured.
  public var count: UInt64
  /// Half took at most so long.
  public var p50Milliseconds: Double
  /// 95 of 100 took at most so long.
  public var p95Milliseconds: Double
  /// 99 of 100 took at most so long.
  public var p99Milliseconds: Double
  /// Nothing measured, unless told otherwise.
  public init(
    count: UInt64 = 0,
    p50Milliseconds: Double = 0,
    p95Milliseconds: Double = 0,
    p99Milliseconds: Double = 0
  ) {
    self.count = count
    self.p50Milliseconds = p50Milliseconds
    self.p95Milliseconds = p95Milliseconds
    self.p99Milliseconds = p99Milliseconds
  }
}

/// What an engine did for its callers.
public struct ServiceStatus: Sendable, Equatable {
  /// Since it started.
  public var uptimeMilliseconds = 0
  /// Requests that wait to be let into the pipeline.
  public var waiting = 0
  /// Requests in the pipeline.
  public var inFlight = 0
  /// Requests answered.
  public var succeeded: UInt64 = 0
  /// Requests that ended in an error.
  public var failed: UInt64 = 0
  /// Pictures of requests answered.
  public var images: UInt64 = 0
  /// Tokens generated.
  public var tokens: UInt64 = 0
  /// Requests answered a second, over the last seconds.
  public var requestsPerSecond = 0.0
  /// Pictures of requests answered a second, over the last seconds.
  public var imagesPerSecond = 0.0
  /// Tokens generated a second, over the last seconds.
  public var tokensPerSecond = 0.0
  /// From submission to the first token.
  public var firstToken = Latency()
  /// From submission to the answer.
  public var answer = Latency()
  /// All zero.
  public init() {}
}

/// The state of the pipeline.
public struct Status: Sendable, Equatable {
  /// One word, such as `ready`.
  public var state: String
  /// The same for people.
  public var message: String
  /// One row per stage and replica.
  public var stages: [StageStatus]
  /// Requests, tokens and latencies.
  public var service: ServiceStatus
  /// The stage that sets the pace; empty when nothing was computed lately.
  public var bottleneck: String
  /// The model that answers; nil when it isn't known.
  public var model: ModelIdentity?
  /// All workers there are, spares included.
  public var nodes: [NodeStatus] = []
  /// How many workers the plan should use; 0 where there are none.
  public var wantedWorkerCount = 0
  /// The side of the model's pictures in pixels; nil when it isn't known.
  public var pictureSide: Int?
  /// Requests that a batch keeps under way so that no place of its is ever empty; 0 when it isn't told.
  public var batchWindow = 0
  /// How rows travel from stage to stage.
  public var encoding = TensorEncoding.exact
  /// The model's `config.json` in words, for those who plan; empty when it isn't told.
  public var modelNumbers = ""
  /// What the plan should do at full load, from what its workers measured; 0 when that isn't known.
  public var predictedImagesPerSecond = 0.0
  /// What sets the pace in that prediction.
  public var predictedBottleneck = ""
  /// Makes a status.
  public init(
    state: String,
    message: String = "",
    stages: [StageStatus] = [],
    service: ServiceStatus = ServiceStatus(),
    bottleneck: String = "",
    model: ModelIdentity? = nil,
    pictureSide: Int? = nil
  ) {
    self.state = state
    self.message = message
    self.stages = stages
    self.service = service
    self.bottleneck = bottleneck
    self.model = model
    self.pictureSide = pictureSide
  }
}
