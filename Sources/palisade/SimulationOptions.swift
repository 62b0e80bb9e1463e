import ArgumentParser
import Messaging
import PaliGemma
import Pipelining
import Tensors

/// What is simulated, and what requests are like.
struct SimulationOptions: ParsableArguments {
  @Flag(help: "Simulate each plan event by event.") var simulate = false
  @Option(help: "Requests to simulate.") var requests = 1000
  @Option(help: "Prompt tokens of a request, without the picture's.") var promptTokens: Double = 16
  @Option(help: "Answer tokens (default: what the cluster gave so far, else 20).")
  var answerTokens: Double?
  @Option(help: "How far answers are from their mean, as a share: 0 to 1.") var spread: Double = 0.5
  @Option(help: "Requests in flight (default: as the scheduler has it, 28 for each that decodes).")
  var window: Int?
  @Option(
    help: "How rows travel from stage to stage: f32, bf16 or int8 (default: as the cluster does).")
  var wire: TensorEncoding?
  @Option(help: "Mbit/s between machines, in place of what was measured.") var linkRate: Double?
  @Option(help: "Milliseconds on the way between machines, in place of what was measured.")
  var latency: Double?
  @Option(help: "Mean hours between failures of one machine; 0 for none.") var failureHours:
    Double = 0
  @Option(help: "Seconds until a pipeline works again after a failure.") var recovery: Double = 5
  @Option(help: "Milliseconds that the queue needs to give a pipeline its next requests.")
  var claim: Double = 2
  @Option(help: "Requests that a pipeline takes from the queue at once.") var claimSize = 64
  @Option(help: "Seed of what is random.") var seed: UInt64 = 1
  @Option(
    parsing: .upToNextOption,
    help:
      "With --simulate: totals of machines, as pipelines of the given ones on one queue, e.g. 10 100 1000."
  )
  var scale: [Int] = []
  @Option(help: "Simulated seconds of each row of --scale's table.") var scaleSeconds: Double = 1800

  func check() throws {
    guard (1...10_000_000).contains(requests), (1...100_000).contains(window ?? 1),
      (1...100_000).contains(claimSize), (0...1).contains(spread)
    else { throw ValidationError("--requests, --window, --claim-size or --spread is out of range") }
    let positive = [promptTokens, answerTokens ?? 1, linkRate ?? 1]
    guard positive.allSatisfy({ $0 > 0 && $0 < 1e9 }),
      [latency ?? 0, failureHours, recovery, claim].allSatisfy({ $0 >= 0 && $0 < 1e9 })
    else { throw ValidationError("a rate, a time or a number of tokens is out of range") }
    guard (1...1e6).contains(scaleSeconds) else {
      throw ValidationError("--scale-seconds takes 1 to 1000000")
    }
    guard scale.allSatisfy({ (1...100_000).contains($0) }) else {
      throw ValidationError("--scale takes numbers of machines from 1 to 100000")
    }
  }

  func workload(_ status: Status?) -> Workload {
    let service = status?.service
    var tokens = answerTokens ?? 20
    if answerTokens == nil, let service, service.succeeded > 0 {
      tokens = Double(service.tokens) / Double(service.succeeded)
    }
    return Workload(
      promptTokens: promptTokens, answerTokens: tokens, requestsInFlight: window,
      encoding: wire ?? status?.encoding ?? .exact)
  }

  /// One pipeline.
  func outcome(
    _ plan: [PipelinePlan.Stage], names: [String], nodes: [PlanNode],
    _ situation: PlanCommand.Situation
  ) -> PipelineSimulation.Outcome {
    var simulation = PipelineSimulation(
      setup(plan, names, nodes, situation, pipelines: 1, requests: requests))
    return simulation.run()
  }

  private func setup(
    _ plan: [PipelinePlan.Stage], _ names: [String], _ nodes: [PlanNode],
    _ situation: PlanCommand.Situation, pipelines: Int, requests: Int
  ) -> PipelineSimulation.Setup {
    let workload = situation.workload
    let taken = Set(plan.flatMap(\.workers))
    let stages = SimulatedStage.stages(
      plan, names: names, nodes: nodes, config: situation.config, workload: workload,
      linkBytesPerSecond: linkRate.map { $0 * 1e6 / 8 }, latencySeconds: latency.map { $0 / 1000 })
    var setup = PipelineSimulation.Setup(
      pipelines: Array(repeating: stages, count: pipelines), workload: workload,
      prefillRequests: workload.prefillRequests(situation.config, workerCount: taken.count))
    let used = nodes.filter { taken.contains($0.index) }
    setup.hostCores = Set(used.map(\.host)).sorted().map { host in
      used.filter { $0.host == host }.map(\.speed.cores).max() ?? 1
    }
    setup.requestCount = requests
    setup.spread = spread
    setup.seed = seed
    setup.claimCount = claimSize
    setup.claimSeconds = claim / 1000
    if failureHours > 0 { setup.failureSeconds = failureHours * 3600 }
    setup.recoverySeconds = recovery
    return setup
  }

  /// Many machines: as many pipelines as they make, on one queue.
  func table(_ situation: PlanCommand.Situation) throws -> String {
    let result = try Planner(
      config: situation.config, precision: situation.precision.rawValue,
      workload: situation.workload
    ).plan(situation.nodes)
    let size = situation.nodes.count
    var table = TextTable(
      ["machines", "pipelines", "images/s", "of ideal", "failures", "queue busy", "hours for 1 M"],
      rightAligned: [0, 1, 2, 3, 4, 5, 6])
    var alone: Double?
    for total in scale {
      let pipelines = max(1, total / size)
      var setup = setup(
        result.stages, result.names, situation.nodes, situation, pipelines: pipelines,
        requests: .max / 2)
      setup.seconds = scaleSeconds
      var simulation = PipelineSimulation(setup)
      let outcome = simulation.run()
      let rate = outcome.perSecond
      let one =
        alone
        ?? {
          var single = setup
          single.pipelines = [setup.pipelines[0]]
          single.failureSeconds = .infinity
          single.claimSeconds = 0
          var simulation = PipelineSimulation(single)
          return simulation.run().perSecond
        }()
      alone = one
      table.add([
        Readable.count(total), Readable.count(pipelines), Readable.fixed(rate, places: 2),
        StatusText.percent(rate / max(1e-9, one * Double(pipelines))),
        Readable.count(outcome.failures), "\(Readable.fixed(outcome.queueBusy * 100, places: 1)) %",
        Readable.fixed(1e6 / max(1e-9, rate) / 3600, places: 1),
      ])
    }
    return "pipelines of \(size) on one queue, \(Int(scaleSeconds)) simulated seconds:\n"
      + table.text
  }
}
