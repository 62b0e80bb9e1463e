import Foundation
import Messaging
import PaliGemma
import Pipelining
import Tensors

/// What `palisade plan` has to say, for people and as JSON.
struct PlanReport {
  private let situation: PlanCommand.Situation
  private let simulation: SimulationOptions
  private let planner: Planner
  private var plans: [PlanDocument.Plan] = []
  private var parts: [String] = []
  private var first: Double?

  init(_ situation: PlanCommand.Situation, _ simulation: SimulationOptions) {
    self.situation = situation
    self.simulation = simulation
    planner = Planner(
      config: situation.config, precision: situation.precision.rawValue,
      workload: situation.workload)
    let nodes = situation.nodes.map {
      "  \(StatusText.plain($0.name)) on \(StatusText.plain($0.host)): \(PlanText.speed($0.speed)), "
        + "\(Readable.bytes($0.memoryBytes)) for weights and caches"
    }
    let shown = nodes.prefix(16) + (nodes.count > 16 ? ["  … \(nodes.count - 16) more"] : [])
    let workload = situation.workload
    parts.append(
      (["workers (\(situation.precision.rawValue)):"] + shown + [
        "requests: a picture, \(Readable.fixed(workload.promptTokens, places: 1)) prompt tokens, "
          + "\(Readable.fixed(workload.answerTokens, places: 1)) answer tokens, "
          + (workload.fixedInFlight.map { "\($0) in flight" }
            ?? "28 in flight for each worker that decodes, 56 at least")
      ]).joined(separator: "\n"))
  }

  /// The plan at work.
  mutating func addPresent() {
    guard let present = situation.present,
      let forecast = PlanForecast(
        present.stages, names: present.names, nodes: situation.nodes, config: situation.config,
        workload: situation.workload)
    else {
      parts.append("the present plan: not all of its workers have said how fast they are")
      return
    }
    add("present", forecast, present.stages, situation.nodes, leftOut: [])
    let share = StatusText.percent(present.measured / max(1e-9, forecast.imagesPerSecond))
    parts[parts.count - 1] +=
      "\n  measured in the last seconds: \(Readable.fixed(present.measured, places: 2)) images/s "
      + "(\(share) of what is predicted)"
  }

  /// The best plan over `nodes`.
  mutating func add(_ title: String, _ nodes: [PlanNode]) throws {
    let result: Planner.Result
    do throws(Failure) { result = try planner.plan(nodes) } catch {
      throw CommandFailure("\(title): \(error.message)")
    }
    let names = Dictionary(nodes.map { ($0.index, $0.name) }) { first, _ in first }
    add(
      title, result.forecast, result.stages, nodes,
      leftOut: result.leftOut.map { "\(names[$0.index] ?? "") \($0.reason)" })
  }

  private mutating func add(
    _ title: String, _ forecast: PlanForecast, _ stages: [PipelinePlan.Stage],
    _ nodes: [PlanNode], leftOut: [String]
  ) {
    var simulated: PipelineSimulation.Outcome?
    if simulation.simulate {
      simulated = simulation.outcome(
        stages, names: forecast.stages.map(\.name), nodes: nodes, situation)
    }
    plans.append(
      PlanDocument.Plan(
        title, forecast, simulated: simulated?.steadyPerSecond, leftOut: leftOut))
    var lines = [PlanText.headline(title, forecast, first: first)]
    lines += PlanText.table(forecast)
    lines += leftOut.prefix(8).map { "  \(StatusText.plain($0))" }
    if leftOut.count > 8 { lines.append("  … \(leftOut.count - 8) more are left out") }
    if let simulated { lines += PlanText.simulated(simulated, forecast) }
    parts.append(lines.joined(separator: "\n"))
    first = first ?? forecast.imagesPerSecond
  }

  var text: String { parts.joined(separator: "\n") }

  var document: PlanDocument {
    PlanDocument(nodes: situation.nodes, plans: plans, measured: situation.present?.measured)
  }
}

/// Plans and speeds in words.
enum PlanText {
  static func headline(_ title: String, _ forecast: PlanForecast, first: Double?) -> String {
    let rate = forecast.imagesPerSecond
    var change = ""
    if let first, first > 0 {
      let percent = (rate / first - 1) * 100
      change = " (\(percent < 0 ? "" : "+")\(Readable.fixed(percent, places: 0)) %)"
    }
    return "\(title): predicted \(Readable.fixed(rate, places: 2)) images/s\(change), "
      + "bottleneck \(StatusText.plain(forecast.bottleneck))"
  }

  static func table(_ forecast: PlanForecast) -> [String] {
    var table = TextTable(
      ["  stage", "blocks", "s/image", "images/s", "workers"], rightAligned: [2, 3])
    for stage in forecast.stages {
      table.add([
        "  " + StatusText.plain(stage.name),
        "\(stage.blocks.lowerBound)–\(stage.blocks.upperBound - 1)",
        Readable.fixed(stage.secondsPerImage, places: 5),
        Readable.fixed(stage.imagesPerSecond, places: 2),
        stage.workers.map(StatusText.plain).joined(separator: ", "),
      ])
    }
    return table.text.split(separator: "\n").map(String.init)
  }

  static func simulated(
    _ outcome: PipelineSimulation.Outcome, _ forecast: PlanForecast
  ) -> [String] {
    let busy = zip(forecast.stages, outcome.busy).map {
      "\(StatusText.plain($0.name)) \(StatusText.percent($1))"
    }
    return [
      "  simulated: \(Readable.fixed(outcome.steadyPerSecond, places: 2)) images/s in the steady "
        + "state, \(Readable.fixed(outcome.perSecond, places: 2)) with filling and emptying "
        + "(\(outcome.answered) requests in \(Readable.fixed(outcome.seconds, places: 1)) s, half "
        + "within \(Readable.fixed(outcome.medianSeconds, places: 2)) s)",
      "  busy: \(busy.joined(separator: ", "))",
    ]
  }

  /// A worker's speed in a line.
  static func speed(_ speed: WorkerSpeed) -> String {
    func milliseconds(_ seconds: Double) -> String { Readable.fixed(seconds * 1000, places: 3) }
    let steps = speed.steps.map { "\($0.rows): \(milliseconds($0.layerSeconds))" }
    let link =
      speed.linkLatencySeconds > 0
      ? ", link \(Readable.fixed(speed.linkBytesPerSecond * 8 / 1e6, places: 0)) Mbit/s and "
        + "\(milliseconds(speed.linkLatencySeconds)) ms" : ""
    return "\(speed.threads) threads of \(speed.cores) cores; vision layer "
      + "\(milliseconds(speed.visionSeconds)) ms a picture, decoder layer "
      + "\(milliseconds(speed.prefillSeconds)) ms a prefill row and, by rows of a step, "
      + "\(steps.joined(separator: ", ")) ms, head \(milliseconds(speed.steps.last?.headSeconds ?? 0)) ms, "
      + "hop \(milliseconds(speed.steps.first?.hopSeconds ?? 0)) ms, memory "
      + "\(Readable.fixed(speed.readBytesPerSecond / 1e9, places: 1)) GB/s" + link
  }
}
