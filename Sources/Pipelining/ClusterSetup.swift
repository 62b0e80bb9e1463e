import Messaging
import PaliGemma

/// What a coordinator tells its cluster to be.
public struct ClusterSetup: Sendable {
  /// The stages to fill.
  public var template: ClusterTemplate
  /// The checkpoint's folder as the workers see it.
  public var modelDirectory: String
  /// Precision of the arithmetic.
  public var precision: String
  /// Where the last stage sends tokens.
  public var resultsEndpoint: String
  /// A hash of the configuration, so that a worker with another model says so.
  public var fingerprint: String
  /// What workers are to measure themselves for; nil for nothing.
  public var model: ModelNumbers?
  /// Who makes the plan.
  public var planning = ClusterPlanning.template
  /// Plans are counted from here. Each coordinator's life begins at another number, so that what an
  /// earlier one left on its way is not taken for this one's.
  public var firstEpoch: UInt64
  /// How rows travel from stage to stage.
  public var encoding = TensorEncoding.exact
  /// Where workers without files of the model get its tensors; empty where nobody gives them.
  public var modelEndpoint = ""

  /// A setup.
  public init(
    template: ClusterTemplate, modelDirectory: String, precision: String,
    resultsEndpoint: String, fingerprint: String, firstEpoch: UInt64 = 0
  ) {
    self.template = template
    self.modelDirectory = modelDirectory
    self.precision = precision
    self.resultsEndpoint = resultsEndpoint
    self.fingerprint = fingerprint
    self.firstEpoch = firstEpoch
  }
}

/// Who makes a cluster's plan.
public enum ClusterPlanning: Sendable, Equatable {
  /// Whoever wrote the template: it is filled as it is, and shrunk only in need.
  case template
  /// The coordinator, from what the workers measure, over all that come; the first plan is made when so
  /// many have come.
  case measured(minimum: Int)
}

/// Something the coordinator's user may want to read or log.
public enum CoordinatorReport: Sendable, Equatable {
  /// The coordinator listens.
  case listening(endpoint: String)
  /// Results are taken at one endpoint, and workers are told of another that leads there.
  case advertised(results: String, as: String)
  /// A worker has registered.
  case workerJoined(name: String, endpoint: String)
  /// A worker is gone, or has lost its stage.
  case workerLost(name: String, reason: String)
  /// A worker is much slower than it was, and nobody is there to take its place.
  case workerSlow(name: String, how: String)
  /// What a worker that has measured itself would bring.
  case workerWeighed(name: String, what: String)
  /// Something under way was lost between the workers; the plan is begun anew with the same ones.
  case stalled(milliseconds: Int)
  /// What a worker that has come would be good for.
  case advice(String)
  /// A client orders something of the cluster.
  case ordered(ClusterOrder, by: String)
  /// What the gatekeeper of its endpoints did.
  case gate(GateReport)
  /// A worker without files of the model was told what these blocks are made of.
  case shared(blocks: Range<Int>, byteCount: Int)
  /// A worker has its weights, of so many bytes, in memory or mapped.
  case loaded(name: String, byteCount: Int, milliseconds: Int)
  /// A plan was made.
  case assigned(epoch: UInt64, stages: [String])
  /// A token has gone through all stages.
  case ready(epoch: UInt64)
  /// A message that could not be read was dropped.
  case dropped(String)
}
