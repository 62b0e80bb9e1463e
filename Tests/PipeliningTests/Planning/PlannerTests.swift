import Messaging
import PaliGemma
import Testing

@testable import Pipelining

@Suite struct PlannerTests {
  /// Every plan there is, one after the other.
  private struct BruteForce {
    let nodes: [PlanNode]
    let config: ModelConfig
    let workload: Workload
    let limits = Limits()
    var best = Double.infinity

    mutating func run() -> Double {
      extend([], start: 0, used: [])
      return best
    }

    private mutating func extend(_ plan: [PipelinePlan.Stage], start: Int, used: Set<Int>) {
      guard start < config.blockCount else {
        best = min(best, time(plan))
        return
      }
      for end in start + 1...config.blockCount {
        for first in nodes where !used.contains(first.index) {
          let others = nodes.filter {
            $0.index > first.index && !used.contains($0.index) && $0.speed == first.speed
              && $0.memoryBytes == first.memoryBytes
          }
          for more in 0...(end <= config.tokenEmbeddingIndex ? others.count : 0) {
            let workers = [first.index] + others.prefix(more).map(\.index)
            extend(
              plan + [PipelinePlan.Stage(blocks: start..<end, workers: workers)], start: end,
              used: used.union(workers))
          }
        }
      }
    }

    func time(_ plan: [PipelinePlan.Stage]) -> Double {
      let decodes = plan.count { $0.blocks.upperBound > config.tokenEmbeddingIndex }
      var slowest = 0.0
      for stage in plan {
        let members = nodes.filter { stage.workers.contains($0.index) }
        let costs = BlockCosts(
          members[0].speed, config: config, workload: workload, decodeStages: decodes)
        let need = MemoryNeed(config: config, precision: "f32", limits: limits)
          .byteCount(of: stage.blocks, decodeStages: decodes)
        let memory = members[0].memoryBytes
        if memory > 0, need > memory { return .infinity }
        let count = Double(members.count)
        slowest = max(slowest, costs.seconds(stage.blocks) / count)
        let (first, last) = (stage.blocks.lowerBound, stage.blocks.upperBound)
        if first > 0 { slowest = max(slowest, costs.linkSeconds(before: first) / count) }
        if last < config.blockCount {
          slowest = max(slowest, costs.linkSeconds(before: last) / count)
        }
      }
      return slowest
    }
  }

  @Test(arguments: 0..<40) func thePlanIsTheBestThereIs(_ seed: Int) throws {
    var random = SeededRandom(UInt64(seed))
    let config = Made.config(vision: random.int(1...2), text: random.int(1...3))
    let kinds = (0..<random.int(1...3)).map { _ in
      var speed = Made.speed(
        Double(random.int(5...40)), vision: Double(random.int(5...40)) / 10,
        head: Double(random.int(5...80)) / 10, hop: Double(random.int(0...3)) / 1000)
      if random.chance(400) { speed.linkBytesPerSecond = Double(random.int(20...400)) * 1000 }
      speed.byteSeconds = random.chance(300) ? 1e-7 : 0
      let all = MemoryNeed(config: config, precision: "f32", limits: Limits())
        .byteCount(of: 0..<config.blockCount, decodeStages: 1)
      return (speed, random.chance(300) ? all * random.int(4...9) / 10 : 0)
    }
    let nodes = (0..<random.int(1...4)).map { index in
      let (speed, memory) = kinds[random.int(0...kinds.count - 1)]
      return Made.node(index, speed, memory: memory)
    }
    let workload = Workload(requestsInFlight: random.int(1...64))
    var brute = BruteForce(nodes: nodes, config: config, workload: workload)
    let best = brute.run()
    let planner = Planner(config: config, precision: "f32", workload: workload)
    guard best.isFinite else {
      #expect(throws: Failure.self) { try planner.plan(nodes, tolerance: 0, slack: 0) }
      return
    }
    let result = try planner.plan(nodes, tolerance: 0, slack: 0)
    #expect(throws: Never.self) { try PipelinePlan(stages: result.stages, config: config) }
    let found = brute.time(result.stages)
    #expect(found <= best * (1 + 1e-9), "seed \(seed): \(found), not \(best)")
    #expect(try planner.plan(nodes, tolerance: 0, slack: 0) == result)
  }

  @Test func alikeMachinesShareEvenlyAndInOrder() throws {
    let config = Made.config(vision: 2, text: 4)
    let nodes = (0..<3).map { Made.node($0, Made.speed(10 + Double($0) / 10)) }
    let result = try Planner(config: config, precision: "f32").plan(nodes)
    #expect(result.stages.flatMap(\.workers).sorted() == [0, 1, 2])
    #expect(result.leftOut.isEmpty)
    let one = try Planner(config: config, precision: "f32").plan([nodes[0]])
    #expect(one.names == ["all"])
    let gain = result.forecast.imagesPerSecond / one.forecast.imagesPerSecond
    #expect(gain > 2.3 && gain <= 3.1, "\(gain)")
  }

  @Test func aWeakMachineIsLeftOutAndTold() throws {
    let config = Made.config(vision: 2, text: 4)
    let planner = Planner(config: config, precision: "f32")
    let strong = (0..<2).map { Made.node($0, Made.speed(10)) }
    let result = try planner.plan(strong + [Made.node(2, Made.speed(1000))])
    #expect(result.stages == (try planner.plan(strong).stages))
    #expect(result.leftOut.map(\.index) == [2])
    let reason = result.leftOut.first?.reason ?? ""
    #expect(reason.contains("images/s with it") && reason.contains("without"), "\(reason)")
  }

  @Test func aHeavyVisionTowerGetsReplicas() throws {
    let config = Made.config(vision: 1, text: 2)
    let nodes = (0..<4).map { Made.node($0, Made.speed(10, vision: 6)) }
    let result = try Planner(config: config, precision: "f32").plan(nodes)
    #expect(result.stages[0].workers.count >= 2, "\(result.stages)")
    #expect(result.stages.last?.workers.count == 1)
  }

  @Test func whatDoesNotFitSaysSoWithFigures() throws {
    let config = Made.config(vision: 1, text: 2)
    let planner = Planner(config: config, precision: "f32")
    let failure = #expect(throws: Failure.self) {
      try planner.plan([Made.node(0, Made.speed(10), memory: 1000)])
    }
    #expect(failure?.code == "does_not_fit")
    #expect(failure?.message.contains("MiB") ?? false)
    #expect(throws: Failure.self) { try planner.plan([]) }
  }

  @Test func whoHoldsWeightsKeepsThem() throws {
    let config = Made.config(vision: 2, text: 4)
    let planner = Planner(config: config, precision: "f32")
    var nodes = (0..<3).map { Made.node($0, Made.speed(10)) }
    let plain = try planner.plan(nodes)
    for (number, stage) in plain.stages.enumerated() {
      nodes[(number + 1) % 3].loaded = stage.blocks
    }
    let again = try planner.plan(nodes)
    #expect(again.stages.map(\.workers) == [[1], [2], [0]])
  }

  @Test func manyMachinesArePlannedInTime() throws {
    let config = Made.config(vision: 6, text: 6)
    let nodes = (0..<100).map { Made.node($0, Made.speed(10 + Double($0 % 7) * 3)) }
    let result = try Planner(config: config, precision: "f32").plan(nodes)
    #expect(result.stages.flatMap(\.workers).count + result.leftOut.count == 100)
  }

  @Test func aForecastNamesWhatSetsThePace() throws {
    let config = Made.config(vision: 2, text: 4)
    let split = config.tokenEmbeddingIndex
    let plan = [
      PipelinePlan.Stage(blocks: 0..<split, workers: [0]),
      .init(blocks: split..<config.blockCount, workers: [1]),
    ]
    func forecast(_ nodes: [PlanNode], _ workload: Workload = Workload()) throws -> PlanForecast {
      try #require(
        PlanForecast(plan, names: ["v", "d"], nodes: nodes, config: config, workload: workload))
    }
    let even = (0..<2).map { Made.node($0, Made.speed(10, vision: 0.5)) }
    #expect(try forecast(even).bottleneck == "d")
    var slow = Made.speed(10)
    slow.linkBytesPerSecond = 1000
    #expect(try forecast([even[0], Made.node(1, slow)]).bottleneck == "the link to d")
    // The vision stage's four rows of 64 floats a picture: a kilobyte, a picture a second.
    let bound = try forecast([even[0], Made.node(1, slow)]).imagesPerSecond
    #expect(abs(bound - 1000.0 / 1024) < 1e-9)
    let oneCore = (0..<2).map { Made.node($0, Made.speed(10), host: "h") }
    #expect(try forecast(oneCore).bottleneck == "the 1 cores of h")
    var far = Made.speed(0.01)
    far.linkLatencySeconds = 0.5
    let few = [Made.node(0, far), Made.node(1, far)]
    #expect(try forecast(few, Workload(requestsInFlight: 2)).bottleneck.contains("in flight"))
    #expect(
      PlanForecast(plan, names: [], nodes: [even[0]], config: config, workload: Workload()) == nil)
  }

  @Test func stepsBetweenThoseMeasuredAreOnTheLine() {
    let speed = Made.speed(10)
    let (four, sixteen) = (speed.steps[1].layerSeconds, speed.steps[2].layerSeconds)
    #expect(abs(speed.step(rows: 10).layerSeconds - (four + sixteen) / 2) < 1e-12)
    #expect(speed.step(rows: 1) == speed.steps[0])
    #expect(speed.step(rows: 128).layerSeconds > speed.steps[3].layerSeconds)
    // Noise: a larger step that took less, and one that took more than its rows can explain.
    var noisy = speed
    noisy.steps[1].layerSeconds = noisy.steps[0].layerSeconds / 2
    noisy.steps[2].layerSeconds = noisy.steps[0].layerSeconds * 100
    let smooth = noisy.smoothed.steps.map(\.layerSeconds)
    #expect(smooth[1] == smooth[0] && smooth[2] == smooth[1] * 4)
  }

  @Test func moreMachinesHaveNamesOfTheirOwn() {
    let one = [Made.node(0, Made.speed(10))]
    let three = one + PlanNode.more(2, like: one)
    let five = three + PlanNode.more(2, like: three, factor: 2)
    #expect(Set(five.map(\.name)).count == 5 && Set(five.map(\.host)).count == 5)
    #expect(five[4].speed.visionSeconds == five[0].speed.visionSeconds / 2)
  }
}
