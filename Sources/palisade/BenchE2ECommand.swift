import ArgumentParser
import Foundation
import PaliGemma
import Pipelining
import Tensors

/// `palisade bench e2e`: pictures through the whole model in this process.
struct BenchE2ECommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "e2e",
    abstract: "Measure images/s through one process, against what the arithmetic alone needs.",
    discussion: """
      Each picture is another one, each answer has its full length, and as many are under way as a batch \
      may have. The floor is the operations of vision, prefill and decode steps at the peak of the \
      instruction set's loop of integer multiplications with all threads.

        palisade bench e2e --preset paligemma-3b-224 --images 64 --max-tokens 20 --threads 2
      """)

  @OptionGroup var options: BenchModelOptions
  @OptionGroup var requests: BenchRequestOptions

  func run() async throws {
    let model = try options.weights.resolved()
    Kernels.threadCount = options.threads
    let (requests, threads) = (requests, options.threads)
    let report = try await BenchRun.interruptible {
      let head = try BenchHead.measured("e2e", model, threads: threads)
      let engine = try await Self.engine(model)
      return try await LocalModel.using(engine) {
        try await Self.measure(engine, model, requests, head)
      }
    }
    try options.output.tell(json: try report.json, table: report.table)
  }

  /// The whole model in this process, as one stage.
  static func engine(_ model: BenchModel) async throws -> LocalEngine {
    let checkpoint = try model.checkpoint()
    Terminal.note("bench: loading …")
    return try await LocalEngine.start(
      config: model.config, checkpoint: checkpoint,
      plan: try PipelinePlan.even(stageCount: 1, config: model.config),
      precision: model.precision)
  }

  private static func measure(
    _ engine: LocalEngine, _ model: BenchModel, _ requests: BenchRequestOptions, _ head: BenchHead
  ) async throws -> BenchE2EReport {
    let load = BenchEngineLoad(model.config, requests)
    var report = BenchE2EReport(
      head: head, config: model.config, images: requests.images, maxTokens: requests.maxTokens,
      promptTokens: requests.promptTokens, window: load.window)
    Terminal.note("bench: warming up …")
    _ = try await load.run(engine, images: 1, tokens: 2, seed: -1)
    for round in 0..<requests.rounds {
      Terminal.note(
        "bench: \(requests.images) images × \(requests.maxTokens) tokens, round \(round + 1) of "
          + "\(requests.rounds) …")
      let result = try await load.run(
        engine, images: requests.images, tokens: requests.maxTokens, seed: round)
      report.add(result)
    }
    report.residentBytes = ProcessMeter(pid: getpid()).peakBytes
    return report
  }
}

/// What `palisade bench e2e` measured.
struct BenchE2EReport: Sendable {
  let head: BenchHead
  let config: ModelConfig
  let images: Int
  let maxTokens: Int
  let promptTokens: Int
  let window: Int
  private(set) var runs = BenchRuns()
  private(set) var firstTokens: [Double] = []
  var residentBytes = 0

  init(
    head: BenchHead, config: ModelConfig, images: Int, maxTokens: Int, promptTokens: Int,
    window: Int
  ) {
    (self.head, self.config, self.images, self.maxTokens) = (head, config, images, maxTokens)
    (self.promptTokens, self.window) = (promptTokens, window)
  }

  mutating func add(_ result: BenchEngineLoad.Result) {
    runs.add(result.seconds, cpuSeconds: result.cpuSeconds)
    firstTokens += result.tokenTimes.compactMap(\.first)
  }

  var imagesPerSecond: Double { Double(images) / runs.median }

  /// Operations for one picture and its answer.
  var operationsPerImage: Double {
    config.blocks.reduce(0) {
      $0
        + config.operations(
          of: $1, promptTokenCount: promptTokens, answerTokenCount: maxTokens - 1)
    }
  }

  /// Of the arithmetic alone, in CPU seconds an image at the peak; nil without a peak, or in f32.
  private var floor: Double? {
    guard head.limits.peak > 0, head.model?.precision.bits != nil else { return nil }
    return operationsPerImage / head.limits.peak / 1e9
  }
  /// By wall clock and by CPU time.
  var shareOfFloor: (wall: Double, cpu: Double)? {
    floor.map {
      (
        $0 * imagesPerSecond / Double(head.threads), $0 * Double(images) / runs.cpuMean
      )
    }
  }

  /// A readable table.
  var table: String {
    func percent(_ share: Double) -> String { "\(Readable.fixed(100 * share, places: 0)) %" }
    var lines = [
      head.title,
      "\(images) images × \(maxTokens) tokens, \(promptTokens) prompt tokens, \(window) under way: "
        + "\(Readable.fixed(imagesPerSecond, places: 3)) images/s "
        + "(\(runs.seconds.count) rounds: "
        + runs.seconds.map { "\(Readable.fixed($0, places: 2)) s" }.joined(separator: ", ")
        + "), \(Readable.fixed(imagesPerSecond * Double(maxTokens), places: 1)) tokens/s",
    ]
    if let shareOfFloor, let floor {
      lines.append(
        "arithmetic: \(Readable.fixed(operationsPerImage / 1e12, places: 3)) TOP an image, "
          + "\(Readable.fixed(floor / Double(head.threads), places: 3)) s at the peak of "
          + "\(head.threads) threads; share of that floor: \(percent(shareOfFloor.wall)), per CPU "
          + "second \(percent(shareOfFloor.cpu))")
    }
    lines.append("memory at most \(Readable.bytes(residentBytes))")
    return lines.joined(separator: "\n")
  }

  /// One line of JSON.
  var json: String {
    get throws {
      var fields: [String: Any] = [
        "images": images, "max_tokens": maxTokens, "prompt_tokens": promptTokens,
        "window": window, "images_per_second": imagesPerSecond,
        "tokens_per_second": imagesPerSecond * Double(maxTokens),
        "images_per_cpu_second": Double(images) / runs.cpuMean,
        "operations_per_image": operationsPerImage, "seconds": runs.fields,
        "first_token_seconds": BenchRuns.median(firstTokens), "peak_resident_bytes": residentBytes,
      ]
      if let shareOfFloor {
        (fields["share_of_peak"], fields["share_of_peak_cpu"]) = (
          shareOfFloor.wall, shareOfFloor.cpu
        )
      }
      return try head.line(fields)
    }
  }
}
