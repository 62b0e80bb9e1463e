import ArgumentParser
import Foundation
import Jobs
import Messaging
import Tensors

/// `palisade batch`: a file of requests in, a file of results out.
struct BatchCommand: AsyncParsableCommand, Sendable {
  static let configuration = CommandConfiguration(
    commandName: "batch",
    abstract: "Answer a file of requests, one a line.",
    discussion: """
      A line is either short, with pictures as paths relative to the file's folder:
        {"custom_id": "1", "image": "a.jpg", "prompt": "caption en"}
      or in OpenAI's batch form (method POST, url /v1/chat/completions, body with messages of text
      and image_url parts: data: URIs, file:// or paths). PaliGemma has no chat template: the text
      of the last user message is the prompt. Lines may set max_tokens, temperature, top_k, top_p,
      seed and logprobs; they are greedy otherwise.

      OUT.jsonl has one result a line in OpenAI's batch output form, in the file's order, and the
      same bytes however the work is spread (log-probabilities and sampling in f32 on CPUs without
      AVX-512: within rounding). A line that fails is one line in OUT.errors.jsonl,
      and the rest go on. Exit code 0 when all lines were answered, 2 when some failed, 1 when the
      batch could not run at all, 130 after Ctrl-C.

        palisade batch in.jsonl --output out.jsonl --model DIR
        palisade batch in.jsonl --output out.jsonl --coordinator tcp://127.0.0.1:7400
      """)

  @Argument(help: "The file of requests (JSONL).")
  var input: String
  @Option(help: "The file of results (JSONL).")
  var output: String
  @Flag(help: "Replace the result files of an earlier run.")
  var overwrite = false
  @Option(help: "The model's folder, to work in this process.")
  var model: String?
  @Option(help: "Where a coordinator listens, to work on its cluster.")
  var coordinator: String?
  @Option(help: "A cluster file, to work on the cluster of its coordinator.")
  var cluster: String?
  @Option(help: "Seconds to wait for a cluster that isn't ready yet.")
  var wait: Int = 60
  @Option(help: "Requests under way at once.")
  var window: Int = JobLimits.defaultWindow
  @Option(help: "Tokens of an answer at most, where the line doesn't say.")
  var maxTokens: Int = 256
  @Option(help: "Write the pictures with the answers drawn on them to this folder.")
  var annotate: String?
  @Flag(help: "Print picture, prompt and answer as a table in the end.")
  var table = false
  @OptionGroup var local: LocalOptions

  func validate() throws {
    guard [model, coordinator, cluster].compactMap({ $0 }).count == 1 else {
      throw ValidationError("give one of --model DIR, --coordinator ENDPOINT and --cluster FILE")
    }
    guard model != nil || local.isEmpty else {
      throw ValidationError(
        "--stages, --threads, --precision and --mask-decoder go with --model; a cluster has its own "
          + "from `serve`")
    }
    guard (1...JobLimits.maximumWindow).contains(window) else {
      throw ValidationError("--window takes 1 to \(JobLimits.maximumWindow)")
    }
    guard (0...86400).contains(wait) else { throw ValidationError("--wait takes 0 to 86400") }
    guard (1...MessageLimits.tokenCount).contains(maxTokens) else {
      throw ValidationError("--max-tokens takes 1 to \(MessageLimits.tokenCount)")
    }
  }

  func run() async throws {
    let work = Task { try await answerAll() }
    // What is under way is given up; lines that are written stay, whole.
    Interruption.install { _ in work.cancel() }
    try await work.value
  }

  private func answerAll() async throws {
    var configuration = BatchRunner.Configuration(input: input, output: output)
    configuration.isOverwriting = overwrite
    configuration.window = window
    configuration.maximumTokens = maxTokens
    configuration.annotations = try annotate.map { try AnnotationFolder(path: $0) }
    let runner = BatchRunner(configuration, service: try await service())
    var rows = AnswerTable()
    var display = ProgressDisplay()
    let summary = try await runner.run { result, progress in
      if table { rows.add(result) }
      display.show(progress)
    }
    display.end()
    for line in rows.lines(width: Terminal.width) { try Terminal.result(line) }
    report(summary)
    if summary.isInterrupted { throw ExitCode(130) }
    if summary.exitCode != 0 { throw ExitCode(summary.exitCode) }
  }

  private func service() async throws -> any AnswerService {
    if let model {
      return try await LocalModel.service(
        directory: model, stages: local.stages ?? 1, threads: local.threads,
        precision: local.precision ?? .f32, maskDecoder: local.maskDecoder)
    }
    let endpoint =
      try coordinator ?? cluster.map { try ClusterFile(path: $0).coordinator }
      ?? ServeCommand.defaultEndpoint
    try await ClusterReadiness.wait(endpoint, seconds: wait)
    return try RemoteAnswerService(endpoint: endpoint)
  }

  private func report(_ summary: BatchSummary) {
    let progress = summary.progress
    Terminal.note(
      "batch: \(progress.text) in \(String(format: "%.1f", progress.elapsed / .seconds(1))) s"
        + " -> \(output)")
    if progress.failed > 0 {
      Terminal.note("batch: the \(progress.failed) failed: \(BatchRunner.errorsPath(for: output))")
    }
    if let failure = summary.annotationFailure {
      Terminal.note("batch: not all pictures were drawn: \(failure.message)")
    }
    if summary.isInterrupted { Terminal.note("batch: interrupted; the rest has no results") }
  }
}

/// A bar on a terminal, redrawn at most ten times a second; elsewhere a line every ten seconds.
struct ProgressDisplay {
  private let isInteractive = Terminal.isInteractive
  private var next = ContinuousClock.now
  private var isDrawn = false

  init() { if !isInteractive { next += .seconds(10) } }

  mutating func show(_ progress: BatchProgress) {
    let now = ContinuousClock.now
    guard now >= next || (isInteractive && progress.share == 1) else { return }
    next = now + (isInteractive ? .milliseconds(100) : .seconds(10))
    guard isInteractive else { return Terminal.note("batch: \(progress.text)") }
    isDrawn = true
    Terminal.write("\r\u{1B}[K\(progress.bar(width: 24))", to: .standardError)
  }

  /// Leaves the cursor on a line of its own.
  func end() { if isDrawn { Terminal.write("\n", to: .standardError) } }
}

extension Terminal {
  /// Columns of standard output's terminal; 100 elsewhere.
  static var width: Int {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
    return Int(size.ws_col)
  }
}
