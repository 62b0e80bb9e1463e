import Foundation
import Messaging

/// What a worker needs to know before it meets its coordinator.
public struct WorkerConfiguration: Sendable {
  /// Where the coordinator listens.
  public var coordinatorEndpoint: String
  /// Where this worker takes micro-batches; port `*` is a free one.
  public var dataEndpoint: String
  /// Where others reach `dataEndpoint`, behind a translation of addresses or a proxy; nil means there.
  public var advertisedEndpoint: String?
  /// Where other workers get the weights that this one has; nil for a free port beside `dataEndpoint`.
  public var weightsEndpoint: String?
  /// Where others reach that one; nil means there, or, with an `advertisedEndpoint`, nowhere.
  public var advertisedWeights: String?
  /// A name for logs and for cluster files.
  public var name: String
  /// The checkpoint's folder on this machine; nil takes the path the coordinator gives.
  public var modelDirectory: String?
  /// Where tensors from the coordinator are kept, on a machine that has no files of the model.
  public var cache = ModelCache()
  /// Threads of the kernels.
  public var threadCount: Int
  /// How long to wait for a coordinator that isn't there, or not any more.
  public var patienceMilliseconds: Int
  /// Whether it finds out anew how fast it is, and doesn't believe the file of an earlier time.
  public var isMeasuredAnew = false
  /// Whether it makes its weights up and takes the configuration alone from the model's folder: for
  /// measurements (`palisade bench pipeline`).
  public var makesWeightsUp = false
  /// How its sockets are protected.
  public var links = Links.local
  /// Every maximum.
  public var limits: Limits
  /// The program's version, told to the coordinator.
  public var softwareVersion: String

  /// A configuration; without a data endpoint it takes one beside the coordinator's.
  public init(
    coordinatorEndpoint: String, dataEndpoint: String? = nil, name: String,
    modelDirectory: String? = nil, threadCount: Int, patienceMilliseconds: Int = 60_000,
    limits: Limits = Limits(), softwareVersion: String
  ) {
    self.coordinatorEndpoint = coordinatorEndpoint
    self.dataEndpoint = dataEndpoint ?? Endpoints.data(for: coordinatorEndpoint)
    self.name = name
    self.modelDirectory = modelDirectory
    self.threadCount = threadCount
    self.patienceMilliseconds = patienceMilliseconds
    self.limits = limits
    self.softwareVersion = softwareVersion
  }
}

/// Where a worker keeps tensors that it got from its coordinator.
public struct ModelCache: Sendable, Equatable {
  /// The folder.
  public var directory: String
  /// Bytes that it may have.
  public var byteCountMaximum: Int
  /// Whether to use it although the model's files may be on this machine.
  public var isPreferred: Bool

  /// 20 GB: the 3B in f32, and as much again of others.
  public static let standardByteCount = 20_000_000_000

  /// A cache; without a folder it is the user's own, as XDG's rules have it.
  public init(
    directory: String? = nil, byteCountMaximum: Int = Self.standardByteCount,
    isPreferred: Bool = false
  ) {
    self.directory = directory ?? MachineFacts.cacheFolder + "/tensors"
    self.byteCountMaximum = byteCountMaximum
    self.isPreferred = isPreferred
  }
}

/// Something the worker's user may want to read or log.
public enum WorkerReport: Sendable, Equatable {
  /// It listens for micro-batches.
  case listening(endpoint: String)
  /// The coordinator has taken it in.
  case welcomed(worker: Int)
  /// It knows how fast it is, from a file of an earlier time or by having measured now.
  case measured(WorkerSpeed, milliseconds: Int)
  /// Its stage is loaded.
  case ready(
    stage: Int, blocks: Range<Int>, weightBytes: Int, milliseconds: Int, areWeightsKept: Bool)
  /// It has no files of the model, and gets the weights of its stage from other workers and the
  /// coordinator; some of them are in its cache.
  case fetching(byteCount: Int, cached: Int, directory: String)
  /// The weights are there; so many bytes had to come, and so many of them came from other workers.
  case fetched(byteCount: Int, fromWorkers: Int, milliseconds: Int)
  /// The plan ended; it waits for another.
  case reset
  /// What the gatekeeper of its data endpoint did.
  case gate(GateReport)
  /// The coordinator is silent; the worker keeps what it holds and waits.
  case away(milliseconds: Int)
  /// The coordinator is heard again.
  case back
  /// A message was dropped, or a stage could not be loaded.
  case trouble(String)
  /// The coordinator said to end.
  case told(reason: String)
}
