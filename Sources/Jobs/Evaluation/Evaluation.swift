import Foundation
import Messaging

/// Scores answers against references, both files of lines that are put together by `custom_id`.
///
/// The references are read twice: first all of them, to find what is wrong before anything is asked,
/// and to note where each stands; then one by one, as answers come. So answers may be in any order, and
/// memory grows by a note a line, not by the references.
public struct Evaluation {
  /// Where the references are.
  public let path: String
  /// Lines of each rule.
  public private(set) var lineCounts: [ScoreRule: Int] = [:]

  private struct Entry {
    let offset: Int
    let byteCount: Int32
    let rule: ScoreRule
    var isScored = false
  }
  private let rule: ScoreRule?
  private var entries: [Entry] = []
  private var places: [String: Int32] = [:]

  /// Reads and checks all references.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - rule: how to score lines that don't say it.
  /// - Throws: `unreadable_file`, or `invalid_references` with the first wrong lines: a score over the
  ///   others would look like a score over all.
  public init(references path: String, rule: ScoreRule?) throws(Failure) {
    self.path = path
    self.rule = rule
    var problems: [String] = []
    var problemCount = 0
    var start = 0
    var reader = try Self.reader(path)
    while let raw = try Self.next(&reader) {
      defer { start = raw.endOffset }
      do throws(Failure) {
        let line = try EvaluationLine(raw.bytes, rule: rule)
        try add(line, offset: start, byteCount: raw.endOffset - start)
      } catch {
        guard error.code == "invalid_reference" else { throw error }
        problemCount += 1
        if problems.count < EvaluationLimits.shownProblems {
          problems.append("line \(raw.number): \(error.message)")
        }
      }
    }
    guard problemCount == 0 else {
      let rest = problemCount - problems.count
      if rest > 0 { problems.append("and \(rest) more") }
      throw Failure(
        code: "invalid_references",
        message: "\(path) has \(problemCount) wrong lines; nothing was scored. "
          + problems.joined(separator: " | "))
    }
    guard !entries.isEmpty else {
      throw Failure(
        code: "invalid_references",
        message: "\(path) has no lines; write custom_id, image, prompt, score and references")
    }
  }

  private mutating func add(
    _ line: EvaluationLine, offset: Int, byteCount: Int
  ) throws(Failure) {
    guard entries.count < EvaluationLimits.lineCount else {
      throw Failure(
        code: "too_many_references",
        message: "more than \(EvaluationLimits.lineCount) lines; split the file")
    }
    guard places.updateValue(Int32(entries.count), forKey: line.customID) == nil else {
      throw Failure(
        code: "invalid_reference",
        message:
          "an earlier line has the custom_id \"\(line.customID.prefix(40))\" too; give every "
          + "line its own")
    }
    // A line has at most 64 MiB, blank lines in front of it not counted.
    guard let byteCount = Int32(exactly: byteCount) else {
      throw Failure(
        code: "invalid_reference", message: "2 GiB of blank lines stand before it; remove them")
    }
    entries.append(Entry(offset: offset, byteCount: byteCount, rule: line.rule))
    lineCounts[line.rule, default: 0] += 1
  }

  /// Scores a file of answers.
  ///
  /// A reference whose line failed, or has no line, counts as wrong. Where a line failed in one run and
  /// was answered in another, the answer counts.
  ///
  /// - Parameter answers: what `palisade batch` wrote; its file of errors beside it is read too.
  /// - Returns: the report.
  /// - Throws: `unreadable_file`, `invalid_answer`, `duplicate_answer`, `too_many_captions`,
  ///   `references_changed`.
  public func score(answers: String) throws(Failure) -> EvaluationReport {
    var scoring = try Scoring(evaluation: self)
    try scoring.read(answers)
    let errors = BatchRunner.errorsPath(for: answers)
    if FileManager.default.fileExists(atPath: errors) { try scoring.read(errors) }
    return try scoring.finish()
  }

  /// One pass over the answers.
  private struct Scoring {
    private var entries: [Entry]
    private let evaluation: Evaluation
    private let file: FileHandle
    private var scores: [ScoreRule: RuleScore] = [:]
    private var failures: [Int: String] = [:]
    private var strangers: Set<String> = []

    init(evaluation: Evaluation) throws(Failure) {
      self.evaluation = evaluation
      entries = evaluation.entries
      for rule in evaluation.lineCounts.keys { scores[rule] = RuleScore(rule: rule) }
      do { file = try FileHandle(forReadingFrom: URL(filePath: evaluation.path)) } catch {
        throw Failure(
          code: "unreadable_file",
          message: "\(evaluation.path): \(error.localizedDescription); check its permissions")
      }
    }

    mutating func read(_ path: String) throws(Failure) {
      var reader = try Evaluation.reader(path)
      while let raw = try Evaluation.next(&reader) {
        do throws(Failure) { try add(raw) } catch {
          guard error.code == "invalid_answer" || error.code == "duplicate_answer" else {
            throw error
          }
          throw Failure(code: error.code, message: "\(path), line \(raw.number): \(error.message)")
        }
      }
    }

    private mutating func add(_ raw: RawLine) throws(Failure) {
      let answer = try EvaluationAnswer(raw.bytes)
      guard let place = evaluation.places[answer.customID].map(Int.init) else {
        // Counted up to the limit, so that a wrong file can't fill the memory.
        if strangers.count < EvaluationLimits.lineCount { strangers.insert(answer.customID) }
        return
      }
      switch answer.outcome {
      case .failure(let failure): if !entries[place].isScored { failures[place] = failure.code }
      case .success(let said):
        guard !entries[place].isScored else {
          throw Failure(
            code: "duplicate_answer",
            message: "\"\(answer.customID.prefix(40))\" is answered twice; which one counts isn't "
              + "known, so remove one")
        }
        failures[place] = nil
        try score(place, said)
      }
    }

    private mutating func score(
      _ place: Int, _ said: EvaluationAnswer.Said?
    ) throws(Failure) {
      let line = try reference(place)
      entries[place].isScored = said != nil
      try scores[line.rule]?.add(said, reference: line.reference, line: place)
    }

    private func reference(_ place: Int) throws(Failure) -> EvaluationLine {
      let entry = entries[place]
      do {
        try file.seek(toOffset: UInt64(entry.offset))
        let bytes = Array(try file.read(upToCount: Int(entry.byteCount)) ?? Data())
        let isMarked = entry.offset == 0 && bytes.starts(with: [0xEF, 0xBB, 0xBF])
        let line = try EvaluationLine(
          Array(bytes.dropFirst(isMarked ? 3 : 0)), rule: evaluation.rule)
        if line.rule == entry.rule { return line }
      } catch {}
      throw Failure(
        code: "references_changed",
        message: "\(evaluation.path) was changed while it was scored; start again")
    }

    mutating func finish() throws(Failure) -> EvaluationReport {
      var (failed, missing): ([ScoreRule: Int], [ScoreRule: Int]) = ([:], [:])
      for place in entries.indices where !entries[place].isScored {
        if failures[place] != nil {
          failed[entries[place].rule, default: 0] += 1
        } else {
          missing[entries[place].rule, default: 0] += 1
        }
        try score(place, nil)
      }
      let rules = ScoreRule.allCases.compactMap { rule in
        scores[rule].map { score in
          RuleReport(
            rule: rule, lineCount: evaluation.lineCounts[rule] ?? 0, failedCount: failed[rule] ?? 0,
            missingCount: missing[rule] ?? 0, metrics: score.metrics())
        }
      }
      let codes = failures.values.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
      return EvaluationReport(rules: rules, failures: codes, strangerCount: strangers.count)
    }
  }

  private static func reader(_ path: String) throws(Failure) -> BatchReader {
    do throws(BatchError) { return try BatchReader(path: path) } catch {
      throw Failure(code: "unreadable_file", message: error.description)
    }
  }

  private static func next(_ reader: inout BatchReader) throws(Failure) -> RawLine? {
    do throws(BatchError) { return try reader.next() } catch {
      throw Failure(code: "unreadable_file", message: error.description)
    }
  }
}
