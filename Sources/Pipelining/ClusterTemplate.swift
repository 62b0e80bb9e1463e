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

  /// The template for fewer workers than it wants: first with fewer replicas, then with the decoder in
  /// fewer shards, at last all in one. What a stage says about names is for the whole template.
  ///
  /// - Returns: nil when there are no workers, or enough.
  func reduced(to count: Int, config: ModelConfig) -> ClusterTemplate? {
    guard count >= 1, count < workerCount else { return nil }
    var stages = stages
    while stages.reduce(0, { $0 + $1.replicaCount }) > count,
      let most = stages.indices.max(by: { stages[$0].replicaCount < stages[$1].replicaCount }),
      stages[most].replicaCount > 1
    {
      stages[most].replicaCount -= 1
    }
    for index in stages.indices { stages[index].workerNames = [] }
    if stages.count <= count { return try? ClusterTemplate(stages: stages, config: config) }
    if count == 1 {
      let all = Stage(name: "all", blocks: 0..<config.blockCount)
      return try? ClusterTemplate(stages: [all], config: config)
    }
    return try? .even(visionCount: 1, shardCount: count - 1, config: config)
  }

  /// Fills the stages from the workers there are: whoever holds a stage's weights keeps it, then in
  /// order of their coming.
  ///
  /// - Parameters:
  ///   - workers: index and name of each.
  ///   - holding: the blocks that a worker has loaded.
  /// - Returns: worker indices per stage; nil while some are missing.
  func filled(
    from workers: [(index: Int, name: String)], holding: (Int) -> Range<Int>? = { _ in nil }
  ) -> [[Int]]? {
    var free = workers
    var places = [[Int]](repeating: [], count: stages.count)
    // Stages that name their workers choose first.
    let order = stages.indices.sorted {
      (stages[$0].workerNames.isEmpty ? 1 : 0, $0) < (stages[$1].workerNames.isEmpty ? 1 : 0, $1)
    }
    for isHolder in [true, false] {
      for stage in order {
        let (names, blocks) = (stages[stage].workerNames, stages[stage].blocks)
        while places[stage].count < stages[stage].replicaCount {
          let fits = free.indices.filter {
            names.isEmpty || names.contains(free[$0].name)
          }
          // Of those that hold nothing of use, one that holds nothing at all.
          let at =
            isHolder
            ? fits.first { holding(free[$0].index) == blocks }
            : fits.first { holding(free[$0].index) == nil } ?? fits.first
          guard let at else { break }
          places[stage].append(free.remove(at: at).index)
        }
      }
    }
    return zip(stages, places).allSatisfy { $0.replicaCount == $1.count } ? places : nil
  }
}
