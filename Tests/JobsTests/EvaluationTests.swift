import Foundation
import Messaging
import Testing

@testable import Jobs

/// Files of references and answers: what is put together, counted and refused.
@Suite struct EvaluationTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func evaluation(
    _ lines: String, rule: ScoreRule? = nil
  ) throws -> Evaluation {
    try Evaluation(references: try folder.write(lines, "refs.jsonl"), rule: rule)
  }

  private func report(
    _ references: String, answers: String, errors: String? = nil, rule: ScoreRule? = nil
  ) throws -> EvaluationReport {
    let evaluation = try evaluation(references, rule: rule)
    if let errors { _ = try folder.write(errors, "out.errors.jsonl") }
    return try evaluation.score(answers: try folder.write(answers, "out.jsonl"))
  }

  private func value(_ report: EvaluationReport, _ rule: ScoreRule, _ name: String) -> Double? {
    report.rules.first { $0.rule == rule }?.metrics.first { $0.name == name }?.value
  }

  @Test func everyRuleIsScored() throws {
    let report = try report(
      """
      {"custom_id": "v", "image": "a.png", "prompt": "q", "score": "vqa", "references": [{"answer": "Red."}]}

      {"custom_id": "e", "score": "exact", "references": "yes"}
      {"custom_id": "h", "score": "chartqa", "references": ["100"]}
      {"custom_id": "a", "task": "vqa", "score": "anls", "references": ["abcd"]}
      {"custom_id": "o", "score": "ocr", "references": ["0514"]}
      {"custom_id": "c1", "score": "caption", "references": ["a red dog", "the dog"]}
      {"custom_id": "c2", "score": "caption", "references": ["two cats"]}
      {"custom_id": "n1", "score": "count", "references": 3}
      {"custom_id": "n2", "task": "count", "references": "2"}
      {"custom_id": "n3", "score": "count", "references": [1]}
      {"custom_id": "d", "score": "detect", "references": [{"label": "cat", "xyxy": [0, 0, 10, 10]}]}
      {"custom_id": "s", "score": "segment", "references": [{"label": "cat", "size": [2, 3], "counts": [2, 2, 2]}]}
      """,
      answers: #"""
        {"custom_id": "s", "text": "", "masks": [{"label": "Cat", "rle": {"size": [2, 3], "counts": "222"}}, null]}
        {"custom_id": "d", "text": "", "boxes": [{"label": "cat", "xyxy": [0, 0, 10, 8]}]}
        {"custom_id": "n3", "text": "one"}
        {"custom_id": "n2", "text": "many"}
        {"custom_id": "n1", "text": " 5 "}
        {"custom_id": "c2", "text": "two cats"}
        {"custom_id": "c1", "text": "a red dog"}
        {"custom_id": "o", "text": "0515"}
        {"custom_id": "a", "text": "ABCE"}
        {"custom_id": "h", "text": "104.9"}
        {"custom_id": "e", "text": " yes\n"}
        {"custom_id": "v", "text": "the red"}
        """#)
    #expect(report.isComplete && report.strangerCount == 0 && report.failures.isEmpty)
    #expect(report.rules.map(\.rule) == ScoreRule.allCases)
    #expect(value(report, .vqa, "VQA accuracy") == 1)
    #expect(value(report, .exact, "exact") == 1)
    #expect(value(report, .chartqa, "relaxed accuracy") == 1)
    #expect(value(report, .anls, "ANLS") == 0.75)
    #expect(value(report, .ocr, "exact") == 0)
    #expect(value(report, .ocr, "ANLS") == 0.75)
    #expect((value(report, .caption, "CIDEr") ?? 0) > 4)
    #expect(abs((value(report, .count, "exact") ?? 0) - 1.0 / 3) < 1e-12)
    #expect(value(report, .count, "mean absolute error") == 1)
    #expect(value(report, .detect, "mean IoU") == 0.8)
    #expect((value(report, .detect, "mAP 0.5") ?? 0) > 1 - 1e-9)
    #expect(abs((value(report, .detect, "mAP 0.5:0.95") ?? 0) - 0.7) < 1e-9)
    #expect(value(report, .segment, "mean IoU") == 1)
    let note = "count, mean absolute error: over the 2 of 3 lines whose answer is a number"
    #expect(report.notes == [note])
    #expect(report.rows.first == ["vqa", "1", "VQA accuracy", "1.0000", "0"])
  }

  @Test func whatFailedOrIsMissingCountsAsWrong() throws {
    let answered =
      #"{"custom_id": "2", "response": {"status_code": 200, "body": {"choices": "#
      + #"[{"message": {"role": "assistant", "content": "b"}}]}}, "error": null}"#
    func failed(_ id: String) -> String {
      #"{"custom_id": "\#(id)", "response": null, "error": {"code": "worker_lost", "message": "m"}}"#
    }
    let lines = (1...4).map { #"{"custom_id": "\#($0)", "references": ["b"]}"# }
    // 1 and 2 failed once, 2 was answered later, 3 and 4 have nothing; 9 has no reference.
    let report = try report(
      lines.joined(separator: "\n"), answers: answered + "\n" + #"{"custom_id": "9", "text": "b"}"#,
      errors: failed("1") + "\n" + failed("2"), rule: .exact)
    #expect(report.rules.first?.lineCount == 4)
    #expect(report.rules.first?.failedCount == 1)
    #expect(report.rules.first?.missingCount == 2)
    #expect(value(report, .exact, "exact") == 0.25)
    #expect(report.failures == ["worker_lost": 1])
    #expect(report.strangerCount == 1 && !report.isComplete)
    #expect(
      report.notes == [
        "1 lines failed and are counted as wrong: 1 worker_lost",
        "2 lines have no result and are counted as wrong; run the rest",
        "1 answers have no reference and are not scored",
      ])
    let json = report.json.line
    #expect(json.contains(#""failed":1,"lines":4,"metrics":{"exact":0.25},"missing":2"#))
    #expect(json.contains(#""failures":{"worker_lost":1}"#))
  }

  /// Nothing to find is right when nothing is said, and wrong when the request failed.
  @Test func failedLinesHaveNoBoxes() throws {
    let lines = """
      {"custom_id": "1", "references": []}
      {"custom_id": "2", "references": []}
      {"custom_id": "3", "references": [{"label": "cat", "xyxy": [0, 0, 2, 2]}]}
      {"custom_id": "4", "references": [{"label": "cat", "xyxy": [0, 0, 2, 2]}]}
      """
    let report = try report(
      lines,
      answers: """
        {"custom_id": "1", "text": ""}
        {"custom_id": "3", "text": "", "boxes": [{"label": "cat", "xyxy": [0, 0, 2, 2]}]}
        """, rule: .detect)
    #expect(value(report, .detect, "mean IoU") == 0.5)
    let mean = try #require(value(report, .detect, "mAP 0.5"))
    // Half of the recalls 0, 0.01 … 1 are reached.
    #expect(abs(mean - 51.0 / 101) < 1e-9)
  }

  /// As a batch writes them: one mask a box, null for a box without one, the label with the box.
  @Test func masksOfABatchHaveTheirBoxesLabels() throws {
    let body =
      #"{"choices": [{"message": {"content": "t"}}], "boxes": [{"label": "dog", "xyxy": "#
      + #"[0, 0, 1, 1]}, {"label": "cat", "xyxy": [0, 0, 3, 2]}], "masks": [null, "#
      + #"{"size": [2, 3], "counts": "222", "png": "abc"}]}"#
    let report = try report(
      #"{"custom_id": "1", "references": [{"label": "cat", "size": [2, 3], "counts": [2, 4]}]}"#,
      answers: #"{"custom_id": "1", "response": {"status_code": 200, "body": \#(body)}}"#,
      rule: .segment)
    #expect(value(report, .segment, "mean IoU") == 0.5)
    let other = try self.report(
      #"{"custom_id": "1", "references": [{"label": "cat", "size": [4, 3], "counts": [2, 10]}]}"#,
      answers: #"{"custom_id": "1", "response": {"status_code": 200, "body": \#(body)}}"#,
      rule: .segment)
    #expect(value(other, .segment, "mean IoU") == 0)
    #expect(other.notes.contains { $0.contains("1 lines have masks of another size") })
  }

  @Test func wrongReferencesAreRefusedBeforeAnythingIsAsked() throws {
    let lines = [
      "nonsense", #"{"references": ["a"]}"#, #"{"custom_id": "1", "references": ["a"]}"#,
      #"{"custom_id": "2", "score": "exacty", "references": ["a"]}"#,
      #"{"custom_id": "3", "score": "exact"}"#,
      #"{"custom_id": "4", "score": "exact", "references": []}"#,
    ]
    #expect(throws: Failure.self) { try evaluation(lines.joined(separator: "\n")) }
    do { _ = try evaluation(lines.joined(separator: "\n")) } catch {
      let failure = try #require(error as? Failure)
      #expect(failure.code == "invalid_references")
      #expect(failure.message.contains("6 wrong lines") && failure.message.contains("and 1 more"))
      for part in [
        "line 1: it is broken", "line 2: custom_id is missing",
        "line 3: the line doesn't say how",
        "line 4: there is no score \"exacty\"", "line 5: references are missing",
      ] { #expect(failure.message.contains(part), "\(part) in \(failure.message)") }
    }
  }

  @Test(arguments: [
    (#""score": "count", "references": "many""#, "have to be a number"),
    (#""score": "vqa", "references": 3"#, "have to be a text or a list of texts"),
    (#""score": "detect", "references": [{"label": "a", "xyxy": [1, 2, 3]}]"#, "has no area"),
    (#""score": "detect", "references": [{"label": "a", "xyxy": [5, 2, 3, 4]}]"#, "has no area"),
    (
      #""score": "detect", "references": [{"xyxy": [1, 2, 3, 4]}]"#,
      "references[0].label is missing"
    ),
    (
      #""score": "segment", "references": [{"label": "a", "size": [2], "counts": [4]}]"#, "size has"
    ),
    (
      #""score": "segment", "references": [{"label": "a", "size": [2, 2], "counts": [3]}]"#,
      "leave out"
    ),
    (
      #""score": "segment", "references": [{"label": "a", "size": [2, 2], "counts": "zz"}]"#, "mask"
    ),
    (
      #""score": "segment", "references": [{"label": "a", "size": [2, 2], "counts": [4]}, "#
        + #"{"label": "a", "size": [2, 1], "counts": [2]}]"#, "different sizes"
    ),
  ])
  func aWrongReferenceSaysWhatToWrite(_ fields: String, _ message: String) throws {
    do {
      _ = try evaluation(#"{"custom_id": "1", \#(fields)}"#)
      Issue.record("taken: \(fields)")
    } catch {
      #expect("\(error)".contains(message), "\(error)")
    }
  }

  @Test func namesAreUnique() throws {
    let twice = #"{"custom_id": "1", "references": ["a"]}"#
    do {
      _ = try evaluation(twice + "\n" + twice, rule: .exact)
      Issue.record("taken twice")
    } catch {
      let message = (error as? Failure)?.message ?? ""
      #expect(message.contains(#"line 2: an earlier line has the custom_id "1""#), "\(error)")
    }
    do {
      let said = #"{"custom_id": "1", "text": "a"}"#
      _ = try report(twice, answers: said + "\n" + said, rule: .exact)
      Issue.record("answered twice")
    } catch { #expect((error as? Failure)?.code == "duplicate_answer", "\(error)") }
  }

  @Test func brokenAnswersAndFilesAreStated() async throws {
    let line = #"{"custom_id": "1", "references": ["a"]}"#
    for (text, part) in [
      ("{", "line 1"), (#"{"text": "a"}"#, "no custom_id"),
      (#"{"custom_id": "1"}"#, "neither an answer nor an error"),
      (#"{"custom_id": "1", "text": "", "boxes": [{"label": "", "xyxy": [1]}]}"#, "four corners"),
    ] {
      let failure = await failure { try report(line, answers: text, rule: .exact) }
      #expect(failure?.code == "invalid_answer")
      #expect(failure?.message.contains(part) == true, "\(failure?.message ?? "nothing")")
    }
    let absent = await failure {
      try Evaluation(references: folder.path("absent.jsonl"), rule: .exact)
    }
    #expect(absent?.code == "unreadable_file")
    let empty = await failure { try evaluation("\n\n", rule: .exact) }
    #expect(empty?.code == "invalid_references")
  }

  @Test func aLongAnswerIsCutAndScored() throws {
    let report = try report(
      #"{"custom_id": "1", "references": ["a"]}"#,
      answers: #"{"custom_id": "1", "text": "\#(String(repeating: "ab", count: 40_000))"}"#,
      rule: .anls)
    #expect(value(report, .anls, "ANLS") == 0)
  }
}
