import GoldenFixtures
import Messaging
import PaliGemma
import Pipelining
import Testing

@Suite struct PlanTests {
  @Test func evenCutsCoverTheChainAndBalance() throws {
    let config = try Golden("tiny-a").config
    for count in 1...config.blockCount {
      let plan = try PipelinePlan.even(stageCount: count, config: config)
      #expect(plan.stages.count == count)
      #expect(plan.stages.last?.blocks.upperBound == config.blockCount)
      // The costliest stage is as cheap as any other cut could make it: compare with brute force.
      if count == 3 {
        let cost = { (range: Range<Int>) in
          range.reduce(0.0) { $0 + config.operations(of: config.blocks[$1]) }
        }
        var best = Double.infinity
        for first in 1..<config.blockCount - 1 {
          for second in first + 1..<config.blockCount {
            let worst = [0..<first, first..<second, second..<config.blockCount].map(cost).max()
            best = min(best, worst ?? .infinity)
          }
        }
        let actual = plan.stages.map { cost($0.blocks) }.max() ?? .infinity
        #expect(abs(actual - best) <= 1e-9 * best)
      }
    }
  }

  @Test func brokenPlansAreRefusedWithTheRule() throws {
    let config = try Golden("tiny-a").config
    let end = config.blockCount
    let cases: [([PipelinePlan.Stage], String)] = [
      ([], "end at block 0"),
      ([.init(blocks: 1..<end, workers: [0])], "block 0 comes next"),
      ([.init(blocks: 0..<end - 1, workers: [0])], "end at block"),
      ([.init(blocks: 0..<end, workers: [0, 1])], "has one"),
      ([.init(blocks: 0..<end, workers: [])], "has one"),
      (
        [.init(blocks: 0..<3, workers: [0]), .init(blocks: 3..<end, workers: [0])], "one stage only"
      ),
    ]
    for (stages, rule) in cases {
      #expect { try PipelinePlan(stages: stages, config: config) } throws: { error in
        let failure = error as? Failure
        return failure?.code == "invalid_plan" && failure?.message.contains(rule) == true
      }
    }
    #expect(throws: Failure.self) { try PipelinePlan.even(stageCount: 100, config: config) }
    #expect(throws: Failure.self) { try PipelinePlan.even(stageCount: 0, config: config) }
  }

  @Test func visionStagesMayHaveReplicas() throws {
    let config = try Golden("tiny-a").config
    let split = config.tokenEmbeddingIndex
    let plan = try PipelinePlan(
      stages: [
        .init(blocks: 0..<split, workers: [4, 2]),
        .init(blocks: split..<config.blockCount, workers: [1]),
      ], config: config)
    #expect(plan.embeddingStage == 1)
    #expect(plan.decodeStageCount == 1)
  }
}
