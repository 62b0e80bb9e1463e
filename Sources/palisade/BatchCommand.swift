import ArgumentParser
import Foundation
import Jobs
import Messaging
import Tensors

/// `palisade batch`: a file of requests in, a file of results out.
struct BatchCommand: AsyncParsableCommand, Sendable {
  static let configuration = CommandConfiguration(
    commandName: "batch",
    abstract: "Answer a file of requests, one a line; killed and started again, go on.",
    usage: """
      palisade batch IN.jsonl --output OUT.jsonl (--model DIR | --coordinator ENDPOINT | --cluster FILE)
      palisade batch retry IN.jsonl --output OUT.jsonl ...   the failed ones once more
      palisade batch --images 'DIR/*.jpg' --prompt "caption en" --output OUT.jsonl ...
      palisade batch IN.jsonl --validate-only [--model DIR]
      """,
    discussion: """
      A line is either short, with pictures as paths relative to the file's folder:
        {"custom_id": "1", "image": "a.jpg", "prompt": "caption en"}
        {"custom_id": "2", "image": "a.jpg", "prompts": ["caption en", "detect cat"]}
        {"custom_id": "3", "image": "photos/*.jpg", "prompt": "caption en"}
      or in OpenAI's batch form (method POST, url /v1/chat/completions, body with messages of text
      and image_url parts: data: URIs, file://, paths, or http(s) with --allow-image-host).
      PaliGemma has no chat template: the text of the last user message is the prompt. Lines may set
      max_tokens, temperature, top_k, top_p, seed, stop and logprobs; they are greedy otherwise.
      Several prompts are answered in one result line, as choices in their order, and cost one pass
      through the vision tower. A folder or a pattern stands for one request a picture, named
      custom_id/picture.

      OUT.jsonl has one result a line in OpenAI's batch output form, as they finish (--ordered: in
      the input's order in the end), each with the same bytes however the work is spread
      (log-probabilities and sampling in f32 on CPUs without AVX-512: within rounding). A request
      that fails is one line in OUT.errors.jsonl, and the rest go on.

      OUT.jsonl.journal knows what is done. However a run ends (Ctrl-C, SIGKILL, power), the same
      command goes on: one result for every request, and nothing finished is done twice. It refuses
      to go on with another input, model, precision or --max-tokens; --restart begins anew. While a
      cluster is away, a batch waits for it (--patience).

      Exit code 0 when all were answered, 2 when some failed, 1 when the batch could not run or was
      given up, 130 after Ctrl-C.
      """)

  @Argument(
    help: "The file of requests (JSONL); with the word retry in front, those that failed again.")
  var words: [String] = []
  @Option(help: "The file of results (JSONL).")
  var output: String?
  @Option(
    parsing: .upToNextOption,
    help: "Pictures, folders or patterns to ask about, instead of a file of requests.")
  var images: [String] = []
  @Option(help: "What to ask about --images; more than one are answered in one line.")
  var prompt: [String] = []
  @Flag(help: "Put the results into the order of the requests in the end.")
  var ordered = false
  @Flag(
    name: [.long, .customLong("overwrite")],
    help: "Throw away the results and the journal of earlier runs.")
  var restart = false
  @Flag(help: "Check all lines and pictures (with --model: tokens too), and run nothing.")
  var validateOnly = false
  @OptionGroup var work: ServiceOptions
  @Option(help: "Seconds to wait for a cluster that is away in the middle of the batch.")
  var patience: Int = 600
  @Option(help: "A host that pictures may be fetched from; may be given more than once.")
  var allowImageHost: [String] = []
  @Option(help: "Write the pictures with the answers drawn on them to this folder.")
  var annotate: String?
  @Flag(help: "Print picture, prompt and answer as a table in the end.")
  var table = false

  /// Whether only failed requests are to run.
  var isRetry: Bool { words.first == "retry" }
  /// The file of requests, unless there are --images.
  var input: String? { (isRetry ? words.dropFirst() : words[...]).first }

  func validate() throws {
    try validateInput()
    guard work.count == 1 || (validateOnly && work.count == 0) else {
      throw ValidationError("give one of --model DIR, --coordinator ENDPOINT and --cluster FILE")
    }
    guard (0...86400 * 30).contains(patience) else {
      throw ValidationError("--patience takes 0 to 2592000 (30 days)")
    }
  }

  private func validateInput() throws {
    guard words.count <= (isRetry ? 2 : 1) else {
      throw ValidationError(
        "one file of requests, not \(words.joined(separator: ", ")); quote patterns")
    }
    if images.isEmpty {
      guard input != nil else {
        throw ValidationError("give a file of requests, or --images with --prompt")
      }
      guard prompt.isEmpty else { throw ValidationError("--prompt goes with --images") }
    } else {
      guard input == nil else {
        throw ValidationError("give a file of requests or --images, not both")
      }
      guard !prompt.isEmpty, prompt.count <= JobLimits.promptCount else {
        throw ValidationError("--images needs --prompt, at most \(JobLimits.promptCount) times")
      }
    }
    guard output != nil || (validateOnly && images.isEmpty) else {
      throw ValidationError("give --output OUT.jsonl")
    }
    guard !(restart && isRetry) else {
      throw ValidationError("retry goes on with what is there, --restart throws it away; give one")
    }
    guard !(validateOnly && (isRetry || restart)) else {
      throw ValidationError("--validate-only runs nothing: leave retry and --restart out")
    }
  }

  func run() async throws {
    let task = Task { try await validateOnly ? check() : answerAll() }
    // What is under way is given up; lines that are written stay, whole.
    Interruption.install { _ in task.cancel() }
    try await task.value
  }

  /// The run as the options say it. With --images this writes the file of requests.
  func runConfiguration() throws -> BatchRunner.Configuration {
    let output = output ?? ""
    var requests = input ?? ""
    if !images.isEmpty {
      requests = PictureList.path(for: output)
      let journal = BatchRunner.journalPath(for: output)
      let isBegun = FileManager.default.fileExists(atPath: journal)
      try PictureList(patterns: images, prompts: prompt)
        .write(to: requests, isKept: isBegun && !restart)
    }
    var configuration = BatchRunner.Configuration(input: requests, output: output)
    configuration.mode = restart ? .restart : isRetry ? .retry : .goOn
    configuration.isOrdered = ordered
    configuration.window = work.window
    configuration.maximumTokens = work.maxTokens
    configuration.patience = .seconds(patience)
    if !allowImageHost.isEmpty {
      configuration.remoteImages = RemoteImages(hosts: try RemoteImageHosts(allowImageHost))
    }
    configuration.model = try work.localModel()
    return configuration
  }

  private func answerAll() async throws {
    var configuration = try runConfiguration()
    try await BatchRunner(configuration, service: NoService()).check()
    configuration.annotations = try annotate.map { try AnnotationFolder(path: $0) }
    try await work.answering { try await answerAll(&configuration, $0) }
  }

  private func answerAll(
    _ configuration: inout BatchRunner.Configuration, _ answering: ServiceOptions.Answering
  ) async throws {
    let watch = answering.watch
    configuration.model = answering.model
    configuration.roomInCluster = { watch?.batchWindow }
    var rows = AnswerTable()
    var display = ProgressDisplay(watch: watch)
    let summary: BatchSummary
    do {
      summary = try await BatchRunner(configuration, service: answering.service).run(
        onResult: { result, progress in
          if table { rows.add(result) }
          display.show(progress)
        }, onTick: { display.show($0) })
    } catch {
      display.end()
      throw error
    }
    display.end()
    for line in rows.lines(width: Terminal.width) { try Terminal.result(line) }
    let shares = await watch?.shares(of: summary.progress.elapsed) ?? []
    BatchReport(summary: summary, output: configuration.output, shares: shares).show()
    if summary.isInterrupted { throw ExitCode(130) }
    if summary.exitCode != 0 { throw ExitCode(summary.exitCode) }
  }
}

/// Stands where nothing is asked.
private struct NoService: AnswerService {
  func answer(
    _ request: AnswerRequest, onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer {
    throw Failure(code: "internal", message: "a check asked for an answer; report this")
  }
}
