import Messaging
import PaliGemma
import Tensors
import Testing

@testable import Pipelining

/// Whether `PipelineSimulation` plays the policy that the cluster has: the real `Scheduler` and
/// `DecodeGroups` in the same simulated time, with the same costs.
@Suite struct PolicyTests {
  /// Stages in simulated time around the real scheduler.
  private struct RealPolicy {
    private enum Event {
      case computed(Int, MicroBatch)
      case arrived(Int, MicroBatch)
      case returned(TokenBatch)
    }
    let stages: [SimulatedStage]
    let config: ModelConfig
    let embedding: Int
    let plan: PipelinePlan
    var scheduler: Scheduler
    var groups: DecodeGroups
    /// By the workers' numbers.
    var queues: [Int: [MicroBatch]] = [:]
    var isBusy: Set<Int> = []
    var lastWasStep = false
    var lengths: [UInt64: Int] = [:]
    private var heap = EventQueue<Double, Event>()

    init(_ stages: [SimulatedStage], plan: PipelinePlan, config: ModelConfig) {
      (self.stages, self.config, self.plan) = (stages, config, plan)
      embedding = plan.embeddingStage
      scheduler = Scheduler(config: config, plan: plan, epoch: 1, limits: Limits())
      groups = DecodeGroups(epoch: 1, stage: embedding, stageCount: plan.decodeStageCount)
    }

    /// Answers a second in the steady state.
    mutating func run(_ setup: PipelineSimulation.Setup) throws -> Double {
      let pixels = Tensor(.u8, shape: [1, config.vision.imageSide, config.vision.imageSide, 3])
      let prompt = [Int32](repeating: 2, count: Int(setup.workload.promptTokens))
      var random = SplitMix(seed: setup.seed)
      var (next, ends): (UInt64, [Double]) = (1, [])
      var now = 0.0
      repeat {
        while next <= setup.requestCount, scheduler.counts.waiting < 200 {
          let share = setup.spread * (2 * random.unit() - 1)
          let tokens = max(1, Int((setup.workload.answerTokens * (1 + share)).rounded()))
          lengths[next] = tokens
          var handling = Handling()
          handling.priority = .batch
          let request = PreparedRequest(
            pixels: pixels, textTokenIDs: prompt, sampling: Sampling(maximumTokens: tokens),
            handling: handling)
          try scheduler.enqueue(request, id: next)
          next += 1
        }
        while let batch = scheduler.nextMicroBatch() { take(0, batch) }
        for stage in stages.indices.reversed() {
          for worker in plan.stages[stage].workers { start(stage, worker, at: now) }
        }
        guard let (time, event) = heap.pop() else { break }
        now = time
        switch event {
        case .arrived(let stage, let batch): take(stage, batch)
        case .returned(let tokens): groups.receive(tokens)
        case .computed(let stage, var batch):
          isBusy.remove(batch.route[stage])
          guard stage == stages.count - 1 else {
            batch.stage += 1
            heap.push(.arrived(stage + 1, batch), at: now)
            continue
          }
          let tokens = answer(batch)
          heap.push(.returned(tokens), at: now)
          let done = scheduler.receive(tokens).count {
            if case .finished = $0 { true } else { false }
          }
          ends += [Double](repeating: now, count: done)
        }
      } while ends.count < setup.requestCount
      let (first, last) = (ends.count / 5, ends.count * 9 / 10)
      return Double(last - 1 - first) / (ends[last - 1] - ends[first])
    }

    private mutating func take(_ stage: Int, _ batch: MicroBatch) {
      queues[batch.route[stage], default: []].append(batch)
    }

    private mutating func start(_ stage: Int, _ worker: Int, at now: Double) {
      guard !isBusy.contains(worker) else { return }
      let hasQueue = !(queues[worker] ?? []).isEmpty
      var batch: MicroBatch?
      if stage == embedding {
        // As `StageExecutor.step`: in turn when both wait.
        if hasQueue, !(groups.hasTokens && !lastWasStep) {
          lastWasStep = false
          batch = queues[worker]?.removeFirst()
          if let batch { groups.admit(batch) }
        } else if groups.hasTokens {
          lastWasStep = true
          batch = groups.next()
        }
      } else if hasQueue {
        batch = queues[worker]?.removeFirst()
      }
      guard let batch else { return }
      let count = batch.segments.count
      let isPrefill = batch.segments.first?.phase == .prefill
      let seconds =
        count == 0
        ? 0
        : isPrefill
          ? stages[stage].prefillSeconds + Double(count) * stages[stage].requestSeconds
          : stages[stage].stepSeconds(count)
      isBusy.insert(worker)
      heap.push(.computed(stage, batch), at: now + seconds)
    }

    private func answer(_ batch: MicroBatch) -> TokenBatch {
      let rows = config.imageTokenCount + 16
      return TokenBatch(
        epoch: 1, sequence: batch.sequence,
        results: batch.segments.map { segment in
          let index = segment.position + segment.rowCount - rows
          let isLast = index + 1 >= lengths[segment.request] ?? 1
          return TokenResult(
            request: segment.request, index: index, tokenID: 3, finish: isLast ? .length : nil)
        })
    }
  }

  @Test(arguments: [(1, 0.0), (2, 0.5), (3, 0.5), (4, 0.0), (4, 0.5), (8, 0.5)])
  func theSimulationPlaysTheRealPolicy(_ machines: Int, _ spread: Double) throws {
    let config = Made.config(vision: 4, text: 8)
    let workload = Workload()
    let nodes = (0..<machines).map { Made.node($0, Made.speed(10, hop: 0.001), host: "h\($0)") }
    let result = try Planner(config: config, precision: "f32", workload: workload).plan(nodes)
    let plan = try PipelinePlan(stages: result.stages, config: config)
    let stages = SimulatedStage.stages(
      result.stages, names: result.names, nodes: nodes, config: config, workload: workload)
    var setup = PipelineSimulation.Setup(
      pipelines: [stages], workload: workload,
      prefillRequests: workload.prefillRequests(config, workerCount: plan.workerCount))
    (setup.spread, setup.requestCount) = (spread, 1500)
    var simulation = PipelineSimulation(setup)
    let simulated = simulation.run().steadyPerSecond
    var real = RealPolicy(stages, plan: plan, config: config)
    let played = try real.run(setup)
    #expect(abs(simulated - played) < 0.05 * played, "\(simulated) simulated, \(played) played")
    // What happens at the same moment in several replicas is taken in another order; else nothing may differ.
    if plan.stages.allSatisfy({ $0.workers.count == 1 }) {
      #expect(abs(simulated - played) < 1e-9 * played, "\(simulated) simulated, \(played) played")
    }
  }
}
