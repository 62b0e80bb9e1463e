import Messaging
import PaliGemma

/// Which worker computes which blocks.
public struct PipelinePlan: Sendable, Equatable {
  /// One step of the pipeline.
  public struct Stage: Sendable, Equatable {
    /// The blocks it computes, of `ModelConfig.blocks`.
    public var blocks: Range<Int>
    /// Indices of the workers that run it. More than one are replicas, each taking whole
    /// micro-batches; only stages before the token embedding may have them, because only they
    /// keep nothing of a request.
    public var workers: [Int]

    /// A stage over `blocks`.
    public init(blocks: Range<Int>, workers: [Int]) {
      self.blocks = blocks
      self.workers = workers
    }
  }

  /// The stages in the order of the blocks.
  public let stages: [Stage]
  /// The stage with the token embedding, where decode steps start.
  public let embeddingStage: Int

  /// Checks that the stages are a contiguous cut of the whole chain.
  ///
  /// - Throws: `invalid_plan`, saying which rule is broken.
  public init(stages: [Stage], config: ModelConfig) throws(Failure) {
    var next = 0
    for (index, stage) in stages.enumerated() {
      guard stage.blocks.lowerBound == next, !stage.blocks.isEmpty else {
        throw Self.broken(
          "stage \(index + 1) has blocks \(stage.blocks.lowerBound)–\(stage.blocks.upperBound - 1), but block \(next) "
            + "comes next")
      }
      next = stage.blocks.upperBound
      let keepsNothing = next <= config.tokenEmbeddingIndex
      guard stage.workers.count == 1 || (keepsNothing && !stage.workers.isEmpty) else {
        throw Self.broken(
          "stage \(index) has \(stage.workers.count) workers; a stage with decoder layers has one,"
            + " a vision stage at least one")
      }
    }
    let workers = stages.flatMap(\.workers)
    guard Set(workers).count == workers.count else {
      throw Self.broken("a worker runs one stage only")
    }
    guard next == config.blockCount,
      let embedding = stages.firstIndex(where: {
        $0.blocks.contains(config.tokenEmbeddingIndex)
      })
    else {
      throw Self.broken("the stages end at block \(next) of \(config.blockCount)")
    }
    self.stages = stages
    embeddingStage = embedding
  }

  private static func broken(_ reason: String) -> Failure {
    Failure(
      code: "invalid_plan",
      message: "\(reason); `palisade checkpoint inspect` lists the blocks of a model")
  }

  /// Stages from the token embedding to the head: those a decode step goes through.
  public var decodeStageCount: Int { stages.count - embeddingStage }

  /// A plan within one process: `stageCount` stages of about equal cost, worker i runs stage i.
  ///
  /// - Throws: `invalid_plan` when there are fewer blocks than stages.
  public static func even(stageCount: Int, config: ModelConfig) throws(Failure) -> PipelinePlan {
    let cuts = try evenCuts(of: 0..<config.blockCount, into: stageCount, config: config)
    return try PipelinePlan(
      stages: cuts.enumerated().map { Stage(blocks: $1, workers: [$0]) }, config: config)
  }

  /// Cuts `blocks` into `count` contiguous ranges so that the costliest is as cheap as can be.
  ///
  /// - Throws: `invalid_plan` when there are fewer blocks than ranges.
  public static func evenCuts(
    of blocks: Range<Int>, into count: Int, config: ModelConfig
  ) throws(Failure) -> [Range<Int>] {
    guard count >= 1, count <= blocks.count else {
      throw broken("\(blocks.count) blocks can't be cut into \(count) stages")
    }
    let all = config.blocks
    var costUpTo = [0.0]  // costUpTo[i]: of the first i blocks of the range
    for index in blocks {
      costUpTo.append(costUpTo[costUpTo.count - 1] + config.operations(of: all[index]))
    }
    // best[i]: the least possible cost of the costliest range when the first i blocks make k
    // ranges; from[k][i]: where the last of them starts.
    var best = costUpTo
    var from: [[Int]] = []
    for ranges in 1..<count {
      var next = [Double](repeating: .infinity, count: blocks.count + 1)
      var start = [Int](repeating: 0, count: blocks.count + 1)
      for end in ranges + 1..<blocks.count + 1 {
        for cut in ranges..<end {
          let cost = max(best[cut], costUpTo[end] - costUpTo[cut])
          if cost < next[end] { (next[end], start[end]) = (cost, cut) }
        }
      }
      best = next
      from.append(start)
    }
    var end = blocks.count
    var cuts: [Range<Int>] = []
    for start in from.reversed() {
      cuts.append(start[end] + blocks.lowerBound..<end + blocks.lowerBound)
      end = start[end]
    }
    cuts.append(blocks.lowerBound..<blocks.lowerBound + end)
    return cuts.reversed()
  }
}
