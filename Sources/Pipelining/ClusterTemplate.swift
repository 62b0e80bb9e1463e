import Messaging
import PaliGemma

/// What a cluster should look like, before it is known which workers come.
public struct ClusterTemplate: Sendable, Equatable {
  /// One stage to be filled.
  public struct Stage: Sendable, Equatable {
    /// A name for messages: `vision`, `shard-1`.
    public var name: String
    /// The blocks it computes.
    public var blocks: Range<Int>
    /// How many workers run it.
    public var replicaCount: Int
    /// Names of the workers that may run it; empty means any.
    public var workerNames: [String]

    /// A stage over `blocks` for `replicaCount` workers.
    public init(
      name: String, blocks: Range<Int>, replicaCount: Int = 1, workerNames: [String] = []
    ) {
      self.name = name
      self.blocks = blocks
      self.replicaCount = replicaCount
      self.workerNames = workerNames
    }
  }

  /// The stages in order.
  public let stages: [Stage]

  /// Takes stages that cut the whole chain.
  ///
  /// - Throws: `invalid_plan` when they don't.
  public init(stages: [Stage], config: ModelConfig) throws(Failure) {
    self.stages = stages
    // The same rules as for a plan, with made-up workers.
    var worker = 0
    var filled: [PipelinePlan.Stage] = []
    for stage in stages {
      let end = worker + max(0, stage.replicaCount)
      filled.append(PipelinePlan.Stage(blocks: stage.blocks, workers: Array(worker..<end)))
      worker = end
    }
    _ = try PipelinePlan(stages: filled, config: config)
  }

  /// One vision stage with `visionCount` replicas, and the decoder in `shardCount` shards of about
  /// equal cost.
  ///
  /// - Throws: `invalid_plan` when there are more shards than blocks.
  public static func even(
    visionCount: Int, shardCount: Int, config: ModelConfig
  ) throws(Failure) -> ClusterTemplate {
    let split = config.tokenEmbeddingIndex
    let cuts = try PipelinePlan.evenCuts(
      of: split..<config.blockCount, into: shardCount, config: config)
    let vision = Stage(name: "vision", blocks: 0..<split, replicaCount: visionCount)
    let shards = cuts.enumerated().map { Stage(name: "shard-\($0 + 1)", blocks: $1) }
    return try ClusterTemplate(stages: [vision] + shards, config: config)
  }

  /// Workers it takes in all.
  public var workerCount: Int { stages.reduce(0) { $0 + $1.replicaCount } }

  /// Names that the first stage whose named workers haven't come asks for; empty when none is.
  func missingNames(among present: [String]) -> [String] {
    stages.first { stage in
      !stage.workerNames.isEmpty
        && stage.workerNames.filter(present.contains).count < stage.replicaCount
    }?.workerNames ?? []
  }

  /// Fills the stages from the workers there are, in order of their coming.
  ///
  /// - Parameter workers: index and name of each.
  /// - Returns: worker indices per stage; nil while some are missing.
  func filled(from workers: [(index: Int, name: String)]) -> [[Int]]? {
    var free = workers
    var places = [[Int]](repeating: [], count: stages.count)
    // Stages that name their workers choose first.
    let order = stages.indices.sorted {
      (stages[$0].workerNames.isEmpty ? 1 : 0, $0) < (stages[$1].workerNames.isEmpty ? 1 : 0, $1)
    }
    for stage in order {
      let names = stages[stage].workerNames
      for _ in 0..<stages[stage].replicaCount {
        guard let at = free.firstIndex(where: { names.isEmpty || names.contains($0.name) }) else {
          return nil
        }
        places[stage].append(free.remove(at: at).index)
      }
    }
    return places
  }
}
