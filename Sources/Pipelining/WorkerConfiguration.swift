import Foundation
import Messaging

/// What a worker needs to know before it meets its coordinator.
public struct WorkerConfiguration: Sendable {
  /// Where the coordinator listens.
  public var coordinatorEndpoint: String
  /// Where this worker takes micro-batches; port `*` is a free one.
  public var dataEndpoint: String
  /// A name for logs and for cluster files.
  public var name: String
  /// The checkpoint's folder on this machine; nil takes the path the coordinator gives.
  public var modelDirectory: String?
  /// Threads of the kernels.
  public var threadCount: Int
  /// How long to wait for a coordinator that isn't there, or not any more.
  public var patienceMilliseconds: Int
  /// Whether it finds out anew how fast it is, and doesn't believe the file of an earlier time.
  public var isMeasuredAnew = false
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

/// Something the worker's user may want to read or log.
public enum WorkerReport: Sendable, Equatable {
  /// It listens for micro-batches.
  case listening(endpoint: String)
  /// The coordinator has taken it in.
  case welcomed(worker: Int)
  /// It knows how fast it is, from a file of an earlier time or by having measured now.
  case measured(WorkerSpeed, milliseconds: Int)
  /// Its stage is loaded.
  case ready(stage: Int, blocks: Range<Int>, weightBytes: Int, milliseconds: Int)
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
