import ArgumentParser
import Foundation
import Jobs
import Messaging
import Tensors

/// `palisade eval`: answers a file of requests with references, or takes their answers, and scores them.
struct EvalCommand: AsyncParsableCommand, Sendable {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Score answers against references.",
    discussion: """
      A line is a batch's line that also says how it is scored, and has references:
        {"custom_id": "1", "image": "a.jpg", "prompt": "count cats", "score": "count", "references": 2}
        {"custom_id": "2", "image": "a.jpg", "prompt": "cats", "task": "count", "references": 2}
      (task makes the prompt, and says how to score where score doesn't.)
      score      references                                   metrics
      vqa        texts, one an annotator                      VQAv2's accuracy
      exact      texts, each right                            exact
      chartqa    texts                                        relaxed accuracy (numbers within 5 %)
      anls       texts                                        ANLS, threshold 0.5
      ocr        texts                                        exact, ANLS
      caption    texts                                        CIDEr (CIDEr-D, as pycocoevalcap)
      count      a number                                     exact, mean absolute error
      detect     [{"label": "cat", "xyxy": [1, 2, 30, 40]}]   mAP 0.5:0.95, mAP 0.5, mean IoU
      segment    [{"label": "cat", "size": [height, width],   mean IoU, mean IoU of labels,
                   "counts": COCO's run lengths}]             mAP 0.5:0.95 of masks

      Values are 0 to 1, CIDEr's 0 to 10. Answers have no scores: mAP takes them in the order of the
      file of references, as pycocotools takes equal scores. A line that fails, or has no answer,
      counts as wrong, and is said. A wrong reference ends it all before anything is asked.
      Exit code 0 when every line was answered, 2 when some were not, 1 when nothing was scored.

        palisade eval refs.jsonl --model DIR
        palisade eval refs.jsonl --coordinator tcp://127.0.0.1:7400 --save-answers out.jsonl
        palisade eval refs.jsonl --answers out.jsonl --output scores.json
      """)

  @Argument(help: "The file of requests with references (JSONL).")
  var references: String
  @Option(help: "How to score lines that say neither score nor task: \(ScoreRule.names).")
  var score: ScoreRule?
  @Option(help: "Score this file, which `palisade batch` wrote, and ask nothing.")
  var answers: String?
  @Option(help: "Keep the answers in this file (default: they are removed).")
  var saveAnswers: String?
  @Option(help: "Write the report as JSON to this file.")
  var output: String?
  @OptionGroup var work: ServiceOptions

  func validate() throws {
    guard work.count + (answers == nil ? 0 : 1) == 1 else {
      throw ValidationError(
        "give one of --answers FILE, --model DIR, --coordinator ENDPOINT and --cluster FILE")
    }
    guard answers == nil || saveAnswers == nil else {
      throw ValidationError("--save-answers keeps what is asked for now; --answers asks nothing")
    }
  }

  func run() async throws {
    let task = Task { try await scoreAll() }
    Interruption.install { _ in task.cancel() }
    try await task.value
  }

  private func scoreAll() async throws {
    // Before a model is loaded: what is wrong with the references is known at once.
    let evaluation = try Evaluation(references: references, rule: score)
    let report: EvaluationReport
    if let answers {
      report = try evaluation.score(answers: answers)
    } else {
      let scratch = FileManager.default.temporaryDirectory.appending(
        path: "palisade-eval-\(UUID().uuidString)", directoryHint: .isDirectory)
      try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: scratch) }
      let file = saveAnswers ?? scratch.appending(path: "answers.jsonl").path(percentEncoded: false)
      try await ask(answers: file)
      report = try evaluation.score(answers: file)
    }
    try show(report)
    if !report.isComplete { throw ExitCode(2) }
  }

  /// Answers the requests as `palisade batch` does.
  private func ask(answers: String) async throws {
    var configuration = BatchRunner.Configuration(input: references, output: answers)
    configuration.window = work.window
    configuration.maximumTokens = work.maxTokens
    try await work.answering { try await ask(&configuration, $0) }
  }

  private func ask(
    _ configuration: inout BatchRunner.Configuration, _ answering: ServiceOptions.Answering
  ) async throws {
    // Kept answers go on with the same model only.
    configuration.model = answering.model
    let watch = answering.watch
    configuration.roomInCluster = { watch?.batchWindow }
    let runner = BatchRunner(configuration, service: answering.service)
    var display = ProgressDisplay(watch: answering.watch, name: "eval")
    let summary: BatchSummary
    do {
      summary = try await runner.run(
        onResult: { _, progress in display.show(progress) }, onTick: { display.show($0) })
    } catch {
      display.end()
      throw error
    }
    display.end()
    if summary.isInterrupted {
      Terminal.note("eval: interrupted; nothing was scored")
      throw ExitCode(130)
    }
  }

  private func show(_ report: EvaluationReport) throws {
    var table = TextTable(
      ["score", "lines", "metric", "value", "counted as wrong"], rightAligned: [1, 3, 4])
    for row in report.rows { table.add(row) }
    try Terminal.result(table.text)
    for note in report.notes { Terminal.note("eval: \(note)") }
    guard let output else { return }
    do {
      try Data((report.json.line + "\n").utf8).write(to: URL(filePath: output), options: .atomic)
    } catch {
      throw CommandFailure(
        "cannot write \(output): \(error.localizedDescription); check the path and its permissions")
    }
  }
}

extension ScoreRule: ExpressibleByArgument {}
