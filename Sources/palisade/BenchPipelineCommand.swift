import ArgumentParser
import Foundation
import PaliGemma
import Pipelining
import Tensors

/// `palisade bench pipeline`: stages in processes of their own against one process with as many threads.
struct BenchPipelineCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pipeline",
    abstract: "Measure stages as processes here against one process with as many threads.",
    discussion: """
      Starts a coordinator in this process and a worker for each stage, each pinned to cores of its own \
      where there are enough, cut where measured costs say; and loads the whole model in this process too, \
      with the threads of all workers together. Both answer the same requests in turn: pictures with whole \
      answers, pictures with one token each (prefill alone), and answers under way at the same time (decode \
      alone). 'efficiency' is the pipeline's rate by the one process's, round by round. Busy shares are \
      those of the middle half of a run. The answers of both are compared.

        palisade bench pipeline --preset paligemma-3b-224 --stages 2 --threads 1
      """)

  @Option(help: "Worker processes: stages, or replicas of the vision stage where that is best.")
  var stages = 2
  @Option(
    help: "Threads of each worker (the one process has those of all, but no more than cores).")
  var threads = 1
  @OptionGroup var weights: BenchWeightsOptions
  @Flag(help: "Cut at even cost by operations, not where measured costs say.") var evenCut = false
  @OptionGroup var requests: BenchRequestOptions
  @OptionGroup var output: BenchOutputOptions

  func validate() throws {
    guard (1...16).contains(stages) else { throw ValidationError("--stages takes 1 to 16") }
    guard (1...64).contains(threads) else { throw ValidationError("--threads takes 1 to 64") }
  }

  func run() async throws {
    let model = try weights.resolved()
    let (stages, threads, evenCut, requests) = (stages, threads, evenCut, requests)
    let report = try await BenchRun.interruptible {
      let plan = try BenchPlan(model, stages: stages, threads: threads, requests, isEven: evenCut)
      Kernels.threadCount = plan.oneProcessThreads
      let head = try BenchHead.measured("pipeline", model, threads: threads)
      let engine = try await BenchE2ECommand.engine(model)
      return try await LocalModel.using(engine) {
        let pipeline = try await BenchPipeline.start(model, plan)
        defer { pipeline.end() }
        return try await BenchPipelineRounds(
          one: engine, pipeline: pipeline, plan: plan, requests: requests
        ).run(head)
      }
    }
    try output.tell(json: try report.json, table: report.table)
  }
}

/// The cut that is measured, and what it should do.
struct BenchPlan: Sendable {
  let template: ClusterTemplate
  let threads: Int
  /// Cores of each worker; empty when there are too few for all.
  let cores: [[Int]]
  let oneProcessThreads: Int
  /// What costs measured with one worker alone foretell; nil when the cut wasn't made by them.
  let predicted: (pipeline: PlanForecast, oneProcess: PlanForecast)?

  /// Measures this machine, and makes the plan for `stages` workers of `threads` threads.
  ///
  /// - Throws: when the model can't be cut so; `CancellationError`.
  init(
    _ model: BenchModel, stages: Int, threads: Int, _ requests: BenchRequestOptions, isEven: Bool
  ) throws {
    self.threads = threads
    let allowed = BenchCores.allowed
    cores =
      stages * threads <= allowed.count
      ? (0..<stages).map { Array(allowed[$0 * threads..<($0 + 1) * threads]) } : []
    oneProcessThreads = min(stages * threads, max(1, allowed.count))
    Terminal.note("bench: what each block costs here …")
    let planner = Planner(
      config: model.config, precision: model.precision.rawValue,
      workload: Workload(
        promptTokens: Double(requests.promptTokens), answerTokens: Double(requests.maxTokens),
        requestsInFlight: requests.window))
    func node(threads: Int) throws -> PlanNode {
      try Task.checkCancellation()
      Kernels.threadCount = threads
      return try PlanNode.thisMachine(
        model.config, precision: model.precision, program: Palisade.version, isFresh: true)
    }
    let whole = try node(threads: oneProcessThreads)
    // Workers of the same kind measure the same, and find it in the file of this measurement.
    var nodes = [try node(threads: threads)]
    for index in 1..<max(1, stages) {
      var next = nodes[0]
      next.index = index
      nodes.append(next)
    }
    let one = try planner.plan([whole])
    let found = try? planner.plan(nodes, slack: 0)
    let isWhole = found?.stages.reduce(0) { $0 + $1.workers.count } == stages
    guard !isEven, let found, isWhole else {
      let cuts = try PipelinePlan.evenCuts(
        of: 0..<model.config.blockCount, into: stages, config: model.config)
      template = try ClusterTemplate(
        stages: cuts.enumerated().map { .init(name: "stage-\($0 + 1)", blocks: $1) },
        config: model.config)
      predicted = nil
      return
    }
    template = try ClusterTemplate(
      stages: zip(found.names, found.stages).map {
        .init(name: $0, blocks: $1.blocks, replicaCount: $1.workers.count)
      }, config: model.config)
    predicted = (found.forecast, one.forecast)
  }
}

/// The cores that this process may use.
enum BenchCores {
  static var allowed: [Int] {
    let status = MachineFacts.read("/proc/self/status")
    let cores = numbers(MachineFacts.field("Cpus_allowed_list", in: status) ?? "")
    return cores.isEmpty
      ? Array(0..<max(1, ProcessInfo.processInfo.activeProcessorCount)) : cores
  }

  /// `0-2,5` as 0, 1, 2, 5.
  static func numbers(_ list: String) -> [Int] {
    list.split(separator: ",").flatMap { part -> [Int] in
      let ends = part.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, first >= 0, last >= first,
        last - first < 1 << 16
      else { return [] }
      return Array(first...last)
    }
  }
}
