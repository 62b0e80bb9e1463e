import Foundation
import Messaging
import Pipelining

/// Lets one process and a pipeline answer the same requests, in turn.
struct BenchPipelineRounds: Sendable {
  let one: LocalEngine
  let pipeline: BenchPipeline
  let plan: BenchPlan
  let requests: BenchRequestOptions

  /// Heartbeats bring spans twice a second.
  private static let heartbeats = Duration.milliseconds(1100)

  /// - Throws: a request's failure; `CancellationError`.
  func run(_ head: BenchHead) async throws -> BenchPipelineReport {
    var report = BenchPipelineReport(head: head, plan: plan, requests: requests)
    for engine in [one as any Engine, pipeline.coordinator] {
      _ = try await load(engine).run(engine, images: 2, tokens: 2, seed: -1)
    }
    for round in 0..<requests.rounds {
      for part in BenchPipelinePart.allCases {
        Terminal.note("bench: round \(round + 1) of \(requests.rounds), \(part.rawValue) …")
        let seed = 10 * round + part.number
        // Whoever comes second finds another machine; so they change places.
        if round % 2 == 0 {
          let first = try await measure(one, part, seed)
          report.add(part, one: first, pipeline: try await measurePipeline(part, seed))
        } else {
          let first = try await measurePipeline(part, seed)
          report.add(part, one: try await measure(one, part, seed), pipeline: first)
        }
      }
    }
    (report.peakBytes, report.memory) = (pipeline.peakBytes, pipeline.memory)
    return report
  }

  private func load(_ engine: any Engine) -> BenchEngineLoad {
    BenchEngineLoad(engine.config, requests)
  }

  private func measure(
    _ engine: any Engine, _ part: BenchPipelinePart, _ seed: Int
  ) async throws -> BenchEngineLoad.Result {
    let load = load(engine)
    switch part {
    case .whole:
      return try await load.run(
        engine, images: requests.images, tokens: requests.maxTokens, seed: seed)
    case .prefill:
      return try await load.run(engine, images: requests.images, tokens: 1, seed: seed)
    case .decode:
      // Some steps go by until the last prefill is through; then come those that count.
      return try await load.run(
        engine, images: load.window, tokens: load.window + 32, seed: seed, isOnePicture: true)
    }
  }

  private func measurePipeline(
    _ part: BenchPipelinePart, _ seed: Int
  ) async throws -> BenchPipelineReport.Run {
    let cpu = pipeline.cpuSeconds
    var result = try await measure(pipeline.coordinator, part, seed)
    result.cpuSeconds += pipeline.cpuSeconds - cpu
    try await Task.sleep(for: Self.heartbeats)
    return BenchPipelineReport.Run(
      result: result, busy: pipeline.busyShares(result), stepRows: pipeline.stepRows(result))
  }
}

/// What is measured of both.
enum BenchPipelinePart: String, Sendable, CaseIterable {
  /// Pictures with whole answers.
  case whole = "whole answers"
  /// One token each.
  case prefill
  /// Answers under way at the same time.
  case decode

  var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// What `palisade bench pipeline` measured.
struct BenchPipelineReport: Sendable {
  /// One run of the pipeline.
  struct Run: Sendable {
    let result: BenchEngineLoad.Result
    let busy: [String: Double]
    let stepRows: Double?
  }

  let head: BenchHead
  let plan: BenchPlan
  let requests: BenchRequestOptions
  private var one: [BenchPipelinePart: [BenchEngineLoad.Result]] = [:]
  private var many: [BenchPipelinePart: [Run]] = [:]
  /// Whether every answer of both was the same.
  private(set) var hasSameTokens = true
  var peakBytes: [Int] = []
  var memory: [BenchWorkerMemory.Worker] = []

  init(head: BenchHead, plan: BenchPlan, requests: BenchRequestOptions) {
    (self.head, self.plan, self.requests) = (head, plan, requests)
  }

  mutating func add(_ part: BenchPipelinePart, one: BenchEngineLoad.Result, pipeline: Run) {
    self.one[part, default: []].append(one)
    many[part, default: []].append(pipeline)
    hasSameTokens = hasSameTokens && one.tokens == pipeline.result.tokens
  }

  /// Images a second, or tokens a second of decode alone; 0 where there was no time to count.
  private static func rate(
    _ part: BenchPipelinePart, _ result: BenchEngineLoad.Result
  ) -> Double {
    part == .decode ? result.decodeTokensPerSecond ?? 0 : result.imagesPerSecond
  }

  /// Medians of both, and of their quotients round by round.
  func figures(
    _ part: BenchPipelinePart
  ) -> (one: Double, pipeline: Double, efficiency: Double) {
    let single = (one[part] ?? []).map { Self.rate(part, $0) }
    let staged = (many[part] ?? []).map { Self.rate(part, $0.result) }
    let quotients = zip(staged, single).filter { $1 > 0 }.map { $0 / $1 }
    return (
      BenchRuns.median(single), BenchRuns.median(staged), BenchRuns.median(quotients)
    )
  }

  /// Work per CPU second of all processes, by that of the one process: what the cut itself costs.
  private func cpuEfficiency(_ part: BenchPipelinePart) -> Double {
    BenchRuns.median(
      zip(many[part] ?? [], one[part] ?? []).map {
        $1.cpuSeconds / max($0.result.cpuSeconds, 1e-9)
      })
  }

  func busy(_ part: BenchPipelinePart) -> [String: Double] {
    var shares: [String: [Double]] = [:]
    for run in many[part] ?? [] {
      for (stage, share) in run.busy { shares[stage, default: []].append(share) }
    }
    return shares.mapValues(BenchRuns.median)
  }

  /// Mean rows of a decode step of the pipeline.
  func stepRows(_ part: BenchPipelinePart) -> Double? {
    let rows = (many[part] ?? []).compactMap(\.stepRows)
    return rows.isEmpty ? nil : BenchRuns.median(rows)
  }

  var table: String {
    func fixed(_ value: Double, _ places: Int = 3) -> String {
      Readable.fixed(value, places: places)
    }
    func percent(_ share: Double) -> String { "\(fixed(100 * share, 1)) %" }
    let workers = plan.template.workerCount
    var table = TextTable(
      ["", "one process", "pipeline", "", "efficiency", "per CPU s", "busy (middle half)"],
      rightAligned: [1, 2, 4, 5])
    for part in BenchPipelinePart.allCases {
      let figures = figures(part)
      let stages = plan.template.stages.compactMap { stage in
        busy(part)[stage.name].map { "\(stage.name) \(percent($0))" }
      }
      table.add([
        part.rawValue, fixed(figures.one), fixed(figures.pipeline),
        part == .decode ? "tokens/s" : "images/s", percent(figures.efficiency),
        percent(cpuEfficiency(part)), stages.joined(separator: ", "),
      ])
    }
    let stages = plan.template.stages.map { stage in
      let count = stage.replicaCount > 1 ? ", \(stage.replicaCount) workers" : ""
      return "\(stage.name): blocks \(stage.blocks.lowerBound)–\(stage.blocks.upperBound - 1)"
        + count
    }
    var lines = [
      head.title,
      "\(workers) workers of \(plan.threads) threads"
        + (plan.cores.isEmpty ? ", not pinned (too few cores)" : ", pinned")
        + " against one process of \(plan.oneProcessThreads); \(stages.joined(separator: "; "))",
      "\(requests.images) images × \(requests.maxTokens) tokens, \(requests.rounds) rounds; answers "
        + (hasSameTokens ? "the same" : "NOT the same"), table.text,
    ]
    if let predicted = plan.predicted {
      lines.append(
        "predicted by measured costs: one process \(fixed(predicted.oneProcess.imagesPerSecond)), "
          + "pipeline \(fixed(predicted.pipeline.imagesPerSecond)) images/s, bottleneck "
          + predicted.pipeline.bottleneck)
    }
    if let rows = stepRows(.decode) {
      lines.append("decode alone: \(fixed(rows, 1)) rows in a step of the pipeline")
    }
    lines.append(
      "memory at most, by worker: "
        + peakBytes.map { Readable.bytes($0) }.joined(separator: ", "))
    lines += memory.map { "  " + BenchWorkerMemory.line($0) }
    return lines.joined(separator: "\n")
  }

  var json: String {
    get throws {
      func rounds(_ part: BenchPipelinePart) -> [String: Any] {
        [
          "one_process": (one[part] ?? []).map { Self.rate(part, $0) },
          "pipeline": (many[part] ?? []).map { Self.rate(part, $0.result) },
        ]
      }
      let (whole, prefill, decode) = (figures(.whole), figures(.prefill), figures(.decode))
      var fields: [String: Any] = [
        "stages": plan.template.workerCount, "threads_one_process": plan.oneProcessThreads,
        "pinned": !plan.cores.isEmpty, "images": requests.images,
        "max_tokens": requests.maxTokens, "prompt_tokens": requests.promptTokens,
        "cut": plan.template.stages.map {
          [
            "name": $0.name, "blocks": [$0.blocks.lowerBound, $0.blocks.upperBound],
            "workers": $0.replicaCount,
          ] as [String: Any]
        },
        "images_per_second": whole.pipeline, "images_per_second_one_process": whole.one,
        "prefill_images_per_second": prefill.pipeline,
        "prefill_images_per_second_one_process": prefill.one,
        "decode_tokens_per_second": ["\(requests.window)": decode.pipeline],
        "decode_tokens_per_second_one_process": ["\(requests.window)": decode.one],
        "pipeline_efficiency": whole.efficiency,
        "pipeline_efficiency_prefill": prefill.efficiency,
        "pipeline_efficiency_decode": decode.efficiency,
        "pipeline_efficiency_cpu": cpuEfficiency(.whole),
        "busy_share": busy(.whole), "busy_share_prefill": busy(.prefill),
        "busy_share_decode": busy(.decode), "same_tokens": hasSameTokens,
        "peak_resident_bytes": peakBytes, "workers": memory.map(BenchWorkerMemory.fields),
        "rounds": [
          "whole": rounds(.whole), "prefill": rounds(.prefill), "decode": rounds(.decode),
        ],
      ]
      if let rows = stepRows(.decode) { fields["decode_step_rows"] = rows }
      if let predicted = plan.predicted {
        fields["predicted_images_per_second"] = predicted.pipeline.imagesPerSecond
        fields["predicted_images_per_second_one_process"] = predicted.oneProcess.imagesPerSecond
        fields["predicted_bottleneck"] = predicted.pipeline.bottleneck
      }
      return try head.line(fields)
    }
  }
}
