import ArgumentParser
import Foundation
import Messaging
import PaliGemma
import Pipelining
import Tensors

/// `palisade plan`: what a cluster does, could do, and would do with other machines.
struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Plan from measured costs: predict images/s, ask what other machines would bring.",
    discussion: """
      Of a running cluster, beside what it does now:

        palisade plan --coordinator tcp://127.0.0.1:7400 --what-if +2

      Without one, for machines like this one (it is measured, or was within the last week), or for \
      those of a file (what `--json` printed, or its `nodes`):

        palisade plan --preset paligemma-3b-224 --precision int8 --nodes 4 --what-if +2
        palisade plan --model DIR --nodes-file nodes.json --simulate

      --what-if takes +N (N more machines like the present ones), +NxF (F times as fast, e.g. +1x2.5) \
      and without=NAME, and may be given several times: each is a question of its own. Predicted \
      images/s are those of the slowest stage, link or machine at full load; --simulate plays the \
      scheduler's policy event by event, with links, latencies and failures as given.
      """)

  @Option(help: "Where the coordinator of a running cluster listens.") var coordinator: String?
  @Option(help: "A model's folder, for a plan without a cluster.") var model: String?
  @Option(help: ArgumentHelp("A shape, for a plan without weights.", valueName: "name"))
  var preset: String?
  @Option(help: "Precision of the arithmetic, without a cluster.") var precision = Precision.int8
  @Option(help: "Threads that this machine is measured with.")
  var threads: Int = ProcessInfo.processInfo.activeProcessorCount
  @Option(help: "Machines like this one.") var nodes = 1
  @Option(help: "A file with machines, as --json prints them.") var nodesFile: String?
  @Flag(help: "Measure this machine anew; else a file of the last week is believed.")
  var measureAgain = false
  @Option(help: "Other machines: +N, +NxF or without=NAME.") var whatIf: [String] = []
  @Flag(help: "Print everything as one JSON object.") var json = false
  @OptionGroup var simulation: SimulationOptions
  @OptionGroup var link: LinkOptions

  func validate() throws {
    guard [coordinator, model, preset].count(where: { $0 != nil }) == 1 else {
      throw ValidationError("give one of --coordinator ENDPOINT, --model DIR and --preset NAME")
    }
    guard (1...4096).contains(nodes) else { throw ValidationError("--nodes takes 1 to 4096") }
    guard (1...64).contains(threads) else { throw ValidationError("--threads takes 1 to 64") }
    if let bad = whatIf.first(where: { WhatIf($0) == nil }) {
      throw ValidationError("--what-if takes +N, +NxF or without=NAME, not '\(bad)'")
    }
    if let preset, SynthesisPreset.named(preset) == nil {
      let names = SynthesisPreset.all.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no preset '\(preset)'; choose one of \(names)")
    }
    try simulation.check()
  }

  /// What there is to plan with.
  struct Situation {
    var config: ModelConfig
    var precision: Precision
    var nodes: [PlanNode]
    var workload: Workload
    /// The plan at work, and what it does.
    var present: (stages: [PipelinePlan.Stage], names: [String], measured: Double)?
  }

  func run() async throws {
    let situation = try await situation()
    var report = PlanReport(situation, simulation)
    if situation.present != nil { report.addPresent() }
    try report.add("best", situation.nodes)
    for text in whatIf {
      guard let question = WhatIf(text) else { continue }
      try report.add("what if \(text)", question.nodes(situation.nodes))
    }
    try Terminal.result(json ? try report.document.text : report.text)
    if simulation.simulate, !simulation.scale.isEmpty, !json {
      try Terminal.result(try simulation.table(situation))
    }
  }

  private func situation() async throws -> Situation {
    if let coordinator {
      let status = try await ClusterReadiness.status(
        coordinator, links: link.links(.client), seconds: 0)
      return try running(status)
    }
    let config: ModelConfig
    if let model {
      try LocalModel.checkFolder(model)
      config = try ModelConfig(directory: model)
    } else {
      guard let known = preset.flatMap(SynthesisPreset.named) else { throw ExitCode(1) }
      config = known.config
    }
    var all: [PlanNode] = []
    if let nodesFile {
      let data: Data
      do { data = try Data(contentsOf: URL(filePath: nodesFile)) } catch {
        throw CommandFailure("cannot read \(nodesFile): \(error.localizedDescription)")
      }
      do { all = try PlanDocument.nodes(reading: data) } catch {
        throw CommandFailure("\(nodesFile): \(error.message)")
      }
    } else {
      Kernels.threadCount = threads
      let own = try PlanNode.thisMachine(
        config, precision: precision, program: Palisade.version, isFresh: measureAgain)
      all = [own] + PlanNode.more(nodes - 1, like: [own])
    }
    return Situation(
      config: config, precision: precision, nodes: all, workload: simulation.workload(nil))
  }

  private func running(_ status: Status) throws -> Situation {
    let nodes = PlanNode.nodes(of: status)
    guard !status.modelNumbers.isEmpty, !nodes.isEmpty else {
      throw CommandFailure(
        "no worker of the cluster has said how fast it is (\(status.state): \(status.message)); "
          + "workers measure themselves when they join, ask again in a moment")
    }
    let config = try ModelConfig(json: status.modelNumbers, from: "the coordinator")
    let name = nodes[0].speed.precision
    guard let precision = Precision(rawValue: name) else {
      throw CommandFailure("the cluster computes in '\(name)', which this version doesn't know")
    }
    let (stages, names) = PlanNode.plan(of: status)
    return Situation(
      config: config, precision: precision, nodes: nodes,
      workload: simulation.workload(status),
      present: stages.isEmpty ? nil : (stages, names, status.service.imagesPerSecond))
  }
}

/// A question about other machines.
struct WhatIf: Equatable {
  private enum Change: Equatable {
    case more(Int, factor: Double)
    case without(String)
  }
  private let change: Change

  /// Reads `+N`, `+NxF` or `without=NAME`.
  init?(_ text: String) {
    if text.hasPrefix("without="), text.count > 8 {
      change = .without(String(text.dropFirst(8)))
      return
    }
    guard text.hasPrefix("+") else { return nil }
    let parts = text.dropFirst().split(separator: "x", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let count = Int(parts[0]), (1...4096).contains(count),
      let factor = parts.count == 2 ? Double(parts[1]) : 1, (0.001...1000).contains(factor)
    else { return nil }
    change = .more(count, factor: factor)
  }

  /// The machines there would be.
  func nodes(_ nodes: [PlanNode]) throws -> [PlanNode] {
    switch change {
    case .more(let count, let factor):
      return nodes + PlanNode.more(count, like: nodes, factor: factor)
    case .without(let name):
      guard nodes.contains(where: { $0.name == name }) else {
        throw CommandFailure(
          "there is no worker '\(name)'; there are \(nodes.map(\.name).joined(separator: ", "))")
      }
      return nodes.filter { $0.name != name }
    }
  }
}
