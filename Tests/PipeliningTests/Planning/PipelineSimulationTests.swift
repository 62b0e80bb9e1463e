import Messaging
import PaliGemma
import Testing

@testable import Pipelining

/// Simulations whose results are known without them.
@Suite struct PipelineSimulationTests {
  private func stage(
    _ name: String, each: Double, step: Double? = nil, replicas: Int = 1
  ) -> SimulatedStage {
    var stage = SimulatedStage(name: name)
    stage.requestSeconds = each
    stage.replicas = replicas
    if let step { stage.steps = [.init(rows: 1, seconds: step)] }
    return stage
  }

  private func setup(
    _ pipelines: [[SimulatedStage]], tokens: Double = 1, inFlight: Int = 32, together: Int = 1
  ) -> PipelineSimulation.Setup {
    PipelineSimulation.Setup(
      pipelines: pipelines,
      workload: Workload(answerTokens: tokens, requestsInFlight: inFlight),
      prefillRequests: together)
  }

  private func run(_ setup: PipelineSimulation.Setup) -> PipelineSimulation.Outcome {
    var simulation = PipelineSimulation(setup)
    return simulation.run()
  }

  private func near(_ left: Double, _ right: Double, within share: Double = 0.01) -> Bool {
    abs(left - right) <= share * right
  }

  @Test func oneStageOfCostCAnswersOneInC() {
    let outcome = run(setup([[stage("s", each: 0.02, step: 0)]]))
    #expect(outcome.answered == 1000)
    #expect(near(outcome.seconds, 20, within: 1e-9), "\(outcome)")
    #expect(near(outcome.perSecond, 50))
    #expect(near(outcome.busy[0], 1))
  }

  @Test func theSlowestStageSetsThePace() {
    let stages = [
      stage("a", each: 0.01), stage("b", each: 0.05), stage("c", each: 0.02, step: 0),
    ]
    let outcome = run(setup([stages]))
    #expect(near(outcome.steadyPerSecond, 20))
    // Filling takes the other stages' time once.
    #expect(near(outcome.seconds, 1000 * 0.05 + 0.03, within: 1e-9), "\(outcome)")
    #expect(near(outcome.busy[0], 0.2) && near(outcome.busy[2], 0.4))
  }

  @Test func replicasShareTheWork() {
    let stages = [stage("v", each: 0.06, replicas: 3), stage("d", each: 0.02, step: 0)]
    #expect(near(run(setup([stages])).steadyPerSecond, 50))
  }

  @Test func aLinkThatIsNarrowerThanTheStagesSetsThePace() {
    var first = stage("a", each: 0.01)
    first.linkSeconds = (prefill: 0.1, step: 0)
    first.latencySeconds = 0.05
    let outcome = run(setup([[first, stage("b", each: 0.01, step: 0)]]))
    #expect(near(outcome.steadyPerSecond, 10), "\(outcome)")
  }

  @Test func latencyIsPaidOnceForEachRequestInFlight() {
    // Two stages of nothing, a second apart there and back, ten steps: little comes of one request.
    var stages = [stage("a", each: 0, step: 1e-6), stage("b", each: 0, step: 1e-6)]
    for index in stages.indices { stages[index].latencySeconds = 0.5 }
    var one = setup([stages], tokens: 11, inFlight: 1)
    one.requestCount = 20
    let alone = run(one)
    // The way to the second stage, then ten times around.
    #expect(near(alone.medianSeconds, 0.5 + 10, within: 1e-3), "\(alone)")
    var many = setup([stages], tokens: 11, inFlight: 8, together: 8)
    many.requestCount = 160
    let together = run(many)
    #expect(together.perSecond > 6 * alone.perSecond, "\(together)")
  }

  @Test func stepsOfManyRowsCostWhatTheySay() {
    // A stage in which a step takes 10 ms whatever its rows: 8 in flight share it.
    var only = stage("s", each: 0, step: 0.01)
    only.steps.append(.init(rows: 64, seconds: 0.01))
    let outcome = run(setup([[only]], tokens: 11, inFlight: 8, together: 8))
    // Ten steps after the prefill's token: 8 answers in 0.1 s.
    #expect(near(outcome.steadyPerSecond, 80, within: 0.06), "\(outcome)")
  }

  @Test func stagesOfOneCoreTakeTurns() {
    var stages = [stage("a", each: 0.01), stage("b", each: 0.01, step: 0)]
    for index in stages.indices { stages[index].host = 0 }
    var shared = setup([stages])
    shared.hostCores = [1]
    #expect(near(run(shared).steadyPerSecond, 50))
    shared.hostCores = [2]
    #expect(near(run(shared).steadyPerSecond, 100))
  }

  @Test func pipelinesOnOneQueueAddUp() {
    var ten = setup(Array(repeating: [stage("s", each: 0.1, step: 0)], count: 10))
    ten.requestCount = 5000
    ten.claimCount = 8
    #expect(near(run(ten).steadyPerSecond, 100))
    // A queue that needs 0.4 s for 8 requests gives 20 a second, however many ask.
    ten.claimSeconds = 0.4
    ten.requestCount = 2000
    let bound = run(ten)
    #expect(near(bound.steadyPerSecond, 20, within: 0.02), "\(bound)")
    #expect(bound.queueBusy > 0.95)
  }

  @Test func failuresCostTheirTimeAndNothingIsLost() {
    var failing = setup([[stage("a", each: 0.1), stage("b", each: 0.1, step: 0)]])
    failing.requestCount = 10_000
    // Two workers that fail every 20 s each: once in 10 s of work, 2.5 s until it goes on.
    failing.failureSeconds = 20
    failing.recoverySeconds = 2.5
    let outcome = run(failing)
    #expect(outcome.answered == 10_000)
    #expect(near(outcome.perSecond, 10 * 10 / 12.5, within: 0.05), "\(outcome)")
    #expect(near(Double(outcome.failures), outcome.seconds / 12.5, within: 0.2))
    #expect(run(failing) == outcome)
    failing.seed = 2
    #expect(run(failing) != outcome)
  }

  @Test func aPlanBecomesStagesWithItsCosts() throws {
    let config = Made.config(vision: 2, text: 4)
    let nodes = (0..<3).map { Made.node($0, Made.speed(10)) }
    let workload = Workload(requestsInFlight: 48)
    let result = try Planner(config: config, precision: "f32", workload: workload).plan(nodes)
    let stages = SimulatedStage.stages(
      result.stages, names: result.names, nodes: nodes, config: config, workload: workload)
    #expect(stages.map(\.name) == result.names)
    var setup = PipelineSimulation.Setup(
      pipelines: [stages], workload: workload, prefillRequests: 8)
    setup.requestCount = 2000
    let outcome = run(setup)
    // Arithmetic knows no waiting: it is what could be at best.
    let best = result.forecast.imagesPerSecond
    let steady = outcome.steadyPerSecond
    #expect(steady < 1.02 * best && steady > 0.6 * best, "\(steady) of \(best)")
    let narrow = SimulatedStage.stages(
      result.stages, names: result.names, nodes: nodes, config: config, workload: workload,
      linkBytesPerSecond: 1000, latencySeconds: 0.001)
    #expect(narrow[0].linkSeconds.prefill > 0 && narrow[0].latencySeconds == 0.001)
  }
}
