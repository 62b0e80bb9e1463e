/// What a client orders of a running cluster.
public enum ClusterOrder: Sendable, Equatable {
  /// Do without the workers of this name, or on the machine of this name, and let them go.
  case drain(node: String)
  /// Plan for so many workers.
  case scale(workerCount: Int)
}

/// What became of an order.
public struct OrderAnswer: Sendable, Equatable {
  /// Whether it was followed.
  public var isDone: Bool
  /// What was done, or why it was not.
  public var text: String
  /// Makes an answer.
  public init(isDone: Bool, text: String) {
    self.isDone = isDone
    self.text = text
  }
}

/// One worker of a cluster, with a stage or without.
public struct NodeStatus: Sendable, Equatable {
  /// What a worker does in its cluster.
  public enum State: String, Sendable, CaseIterable {
    /// It has a stage of the plan.
    case working
    /// It could have one.
    case spare
    /// It was lost too often lately, and gets none for a while.
    case resting
    /// It was told to end.
    case leaving
  }

  /// The worker's name.
  public var worker: String
  /// The machine it is on.
  public var node: String
  /// What it does.
  public var state: State
  /// Its stage's name; empty without one.
  public var stage: String
  /// Threads of the kernels' pool.
  public var threads: Int
  /// Memory of its machine.
  public var memoryBytes: Int
  /// The worker's number in the cluster.
  public var workerIndex: Int
  /// How fast it is; nil while that is not known.
  public var speed: WorkerSpeed?
  /// Why the plan leaves it out; empty otherwise.
  public var note: String
  /// Makes a row.
  public init(
    worker: String, node: String, state: State, stage: String = "", threads: Int = 0,
    memoryBytes: Int = 0, workerIndex: Int = 0, speed: WorkerSpeed? = nil, note: String = ""
  ) {
    self.workerIndex = workerIndex
    self.speed = speed
    self.note = note
    self.worker = worker
    self.node = node
    self.state = state
    self.stage = stage
    self.threads = threads
    self.memoryBytes = memoryBytes
  }
}
