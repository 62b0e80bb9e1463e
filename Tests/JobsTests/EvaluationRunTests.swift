import Checkpoints
import Foundation
import Messaging
import PaliGemma
import Pipelining
import Tensors
import Testing
import Tokenization

@testable import Jobs

/// The whole way with the shipped model: requests with references, answered as a batch, and scored.
@Suite struct EvaluationRunTests {
  private static let demo = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "cluster/demo")

  @Test func theDemoModelIsScored() async throws {
    let folder = try TemporaryFolder()
    let all = try String(contentsOf: Self.demo.appending(path: "eval.jsonl"), encoding: .utf8)
      .split(separator: "\n")
    // The first two of every rule, and one whose picture isn't there.
    var seen: [String: Int] = [:]
    var chosen = all.filter { line in
      let rule = ScoreRule.allCases.first { line.contains(#""score": "\#($0.rawValue)""#) }
      seen[rule?.rawValue ?? "", default: 0] += 1
      return seen[rule?.rawValue ?? "", default: 0] <= 2
    }.map { $0.replacing("images/", with: Self.demo.appending(path: "images/").path()) }
    #expect(Set(seen.keys) == ["caption", "count", "detect", "ocr", "vqa"])
    chosen.append(
      #"{"custom_id": "x", "image": "x.png", "prompt": "ocr", "score": "ocr", "references": "1"}"#)
    let references = try folder.write(chosen.joined(separator: "\n"), "refs.jsonl")
    let evaluation = try Evaluation(references: references, rule: nil)
    #expect(evaluation.lineCounts.values.reduce(0, +) == 11)

    let model = Self.demo.appending(path: "model")
    let config = try ModelConfig(directory: model.path())
    let engine = try await LocalEngine.start(
      config: config, checkpoint: try Checkpoint(directory: model.path()),
      plan: try PipelinePlan.even(stageCount: 2, config: config), precision: .f32)
    let service = EngineAnswerService(engine: engine, tokenizer: try Tokenizer(folder: model))
    let answers = folder.path("out.jsonl")
    let runner = BatchRunner(
      BatchRunner.Configuration(input: references, output: answers), service: service)
    _ = try await runner.run()

    let report = try evaluation.score(answers: answers)
    let values = Dictionary(
      uniqueKeysWithValues: report.rules.flatMap { rule in
        rule.metrics.map { ("\(rule.rule.rawValue) \($0.name)", $0.value ?? -1) }
      })
    #expect(report.failures == ["image_not_found": 1])
    #expect(values["vqa VQA accuracy"] == 1)
    #expect(values["count exact"] == 1)
    // Two rows of digits read, the third picture missing.
    #expect(abs((values["ocr exact"] ?? 0) - 2.0 / 3) < 1e-9)
    #expect((values["detect mean IoU"] ?? 0) > 0.75)
    #expect((values["detect mAP 0.5"] ?? 0) > 1 - 1e-9)
    #expect((values["caption CIDEr"] ?? 0) > 5)
  }
}
