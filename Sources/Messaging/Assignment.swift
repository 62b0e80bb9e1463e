/// The coordinator knows a worker now.
public struct Welcome: Sendable, Equatable {
  /// The worker's number, as routes use it.
  public var worker: Int
  /// How often to send a heartbeat.
  public var heartbeatMilliseconds: Int
  /// After how long a silence each takes the other for dead.
  public var silenceMilliseconds: Int
  /// What the worker is to measure itself for; nil when it needn't.
  public var model: ModelNumbers?
  /// Makes the answer.
  public init(
    worker: Int, heartbeatMilliseconds: Int, silenceMilliseconds: Int, model: ModelNumbers? = nil
  ) {
    self.model = model
    self.worker = worker
    self.heartbeatMilliseconds = heartbeatMilliseconds
    self.silenceMilliseconds = silenceMilliseconds
  }
}

/// Where a worker receives from other stages.
public struct WorkerAddress: Sendable, Equatable {
  /// The worker's number.
  public var worker: Int
  /// Its data endpoint.
  public var endpoint: String
  /// The key by which others know its data endpoint; empty without keys.
  public var publicKey: String
  /// Makes an address.
  public init(worker: Int, endpoint: String, publicKey: String = "") {
    self.worker = worker
    self.endpoint = endpoint
    self.publicKey = publicKey
  }
}

/// One stage of the plan and who runs it.
public struct StageAssignment: Sendable, Equatable {
  /// The blocks of the model's chain.
  public var blocks: Range<Int>
  /// Its replicas.
  public var workers: [WorkerAddress]
  /// Makes an assignment.
  public init(blocks: Range<Int>, workers: [WorkerAddress]) {
    self.blocks = blocks
    self.workers = workers
  }
}

/// The coordinator tells a worker what to run.
public struct Assign: Sendable, Equatable {
  /// The plan.
  public var epoch: UInt64
  /// The checkpoint's folder, on the worker's machine.
  public var modelDirectory: String
  /// How weights are held, as PaliGemma names it.
  public var precision: String
  /// The stage of the worker that reads this: an index into `stages`.
  public var stage: Int
  /// The whole plan.
  public var stages: [StageAssignment]
  /// Where the coordinator takes token batches.
  public var resultsEndpoint: String
  /// Micro-batches in flight at most: the bound of every queue on the data path.
  public var maximumMicroBatches: Int
  /// Of the model's configuration; a worker that reads another refuses.
  public var fingerprint: String
  /// The plan before, when caches are kept from it; 0 when none are.
  public var keptEpoch: UInt64
  /// The requests whose caches are kept; all others go.
  public var keptRequests: [UInt64]
  /// How rows travel to the next stage.
  public var encoding: TensorEncoding
  /// Where a worker without files of the model gets its tensors; empty where nobody gives them.
  public var modelEndpoint: String
  /// Workers of the plan that have some of the stage's weights, and where they give them; those with
  /// the most first.
  public var weightSources: [WorkerAddress] = []
  /// Makes the order.
  public init(
    epoch: UInt64,
    modelDirectory: String,
    precision: String,
    stage: Int,
    stages: [StageAssignment],
    resultsEndpoint: String,
    maximumMicroBatches: Int,
    fingerprint: String,
    keptEpoch: UInt64 = 0,
    keptRequests: [UInt64] = [],
    encoding: TensorEncoding = .exact,
    modelEndpoint: String = ""
  ) {
    self.epoch = epoch
    self.modelDirectory = modelDirectory
    self.precision = precision
    self.stage = stage
    self.stages = stages
    self.resultsEndpoint = resultsEndpoint
    self.maximumMicroBatches = maximumMicroBatches
    self.fingerprint = fingerprint
    self.keptEpoch = keptEpoch
    self.keptRequests = keptRequests
    self.encoding = encoding
    self.modelEndpoint = modelEndpoint
  }
}
