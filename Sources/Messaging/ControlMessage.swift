/// What worker and coordinator say to each other, beside the data path.
public enum ControlMessage: Sendable, Equatable {
  /// Worker: here I am.
  case register(Register)
  /// Worker: my stage is loaded.
  case ready(Ready)
  /// Worker: I am alive, and this is what I did.
  case heartbeat(Heartbeat)
  /// Worker: I cannot do what was assigned.
  case workerFailure(WorkerFailure)
  /// Worker: I leave.
  case goodbye
  /// Worker: this is how fast I am.
  case workerSpeed(WorkerSpeed)
  /// Worker: how long do so many bytes take to you?
  case linkProbe(sentNanoseconds: UInt64, byteCount: Int)
  /// Coordinator: you are known under this number.
  case welcome(Welcome)
  /// Coordinator: run this stage.
  case assign(Assign)
  /// Coordinator: I am alive, and this is the epoch.
  case heartbeatReply(HeartbeatReply)
  /// Coordinator: drop these requests and their caches.
  case cancel(epoch: UInt64, requests: [UInt64])
  /// Coordinator: drop every request of epochs before this one.
  case reset(epoch: UInt64)
  /// Coordinator: stop.
  case shutdown(reason: String)
  /// Coordinator: I don't know you, or no longer; introduce yourself.
  case registerAgain
  /// Coordinator: the bytes sent at this time of the worker's clock have come.
  case linkEcho(sentNanoseconds: UInt64)
}

/// Weights that a worker holds from an earlier plan, be it another coordinator's.
public struct LoadedStage: Sendable, Hashable {
  /// The blocks of the model's chain.
  public var blocks: Range<Int>
  /// How they are held.
  public var precision: String
  /// Of the model's configuration.
  public var fingerprint: String
  /// Says what is held.
  public init(blocks: Range<Int>, precision: String, fingerprint: String) {
    self.blocks = blocks
    self.precision = precision
    self.fingerprint = fingerprint
  }
}

/// A worker introduces itself.
public struct Register: Sendable, Equatable {
  /// Unique among workers, chosen by whoever starts it.
  public var name: String
  /// The machine.
  public var host: String
  /// Where other stages reach it.
  public var dataEndpoint: String
  /// The kernels' choice, such as `avx512`.
  public var instructionSet: String
  /// Threads of the kernels' pool.
  public var threads: Int
  /// Memory it may use.
  public var memoryBytes: Int
  /// Version of the program.
  public var softwareVersion: String
  /// The key that the worker proved to have; no part of the message, and set by whoever receives it.
  public var publicKey = ""
  /// What it holds already; nil when nothing.
  public var loaded: LoadedStage?
  /// Where it gives the weights that it has to other workers; empty where it doesn't.
  public var weightsEndpoint = ""
  /// Makes the introduction.
  public init(
    name: String,
    host: String,
    dataEndpoint: String,
    instructionSet: String,
    threads: Int,
    memoryBytes: Int,
    softwareVersion: String,
    loaded: LoadedStage? = nil
  ) {
    self.name = name
    self.host = host
    self.dataEndpoint = dataEndpoint
    self.instructionSet = instructionSet
    self.threads = threads
    self.memoryBytes = memoryBytes
    self.softwareVersion = softwareVersion
    self.loaded = loaded
  }
}

/// A worker has loaded its stage.
public struct Ready: Sendable, Equatable {
  /// The plan.
  public var epoch: UInt64
  /// The stage loaded.
  public var stage: Int
  /// How long loading took.
  public var loadMilliseconds: Int
  /// Bytes of weights held.
  public var weightBytes: Int
  /// Whether it has the whole model in a folder, and not only the weights of its stage.
  public var hasAllWeights = false
  /// Makes the report.
  public init(epoch: UInt64, stage: Int, loadMilliseconds: Int, weightBytes: Int) {
    self.epoch = epoch
    self.stage = stage
    self.loadMilliseconds = loadMilliseconds
    self.weightBytes = weightBytes
  }
}

/// A worker cannot do what was assigned.
public struct WorkerFailure: Sendable, Equatable {
  /// The plan.
  public var epoch: UInt64
  /// Why.
  public var failure: Failure
  /// Makes the report.
  public init(epoch: UInt64, failure: Failure) {
    self.epoch = epoch
    self.failure = failure
  }
}
