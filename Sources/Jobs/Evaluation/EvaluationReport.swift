/// One number of a report.
public struct EvaluationMetric: Sendable, Equatable {
  /// Its name, such as `VQA accuracy`.
  public let name: String
  /// 0 to 1, except CIDEr (0 to 10) and the mean absolute error; nil when there is nothing to measure.
  public let value: Double?
  /// What has to be known to read it; nil for nothing.
  public let note: String?

  init(_ name: String, _ value: Double?, note: String? = nil) {
    self.name = name
    self.value = value
    self.note = note
  }
}

/// The score of all lines of one rule.
public struct RuleReport: Sendable, Equatable {
  /// The rule.
  public let rule: ScoreRule
  /// Lines of the file of references.
  public let lineCount: Int
  /// Lines whose request failed, counted as wrong.
  public let failedCount: Int
  /// Lines that have no result at all, counted as wrong.
  public let missingCount: Int
  /// The numbers, most telling first.
  public let metrics: [EvaluationMetric]
}

/// What an evaluation found.
public struct EvaluationReport: Sendable, Equatable {
  /// One a rule, in the order in which `ScoreRule` names them.
  public let rules: [RuleReport]
  /// Failed lines by the code of their failure.
  public let failures: [String: Int]
  /// Lines of the answers whose `custom_id` has no reference; they are not scored.
  public let strangerCount: Int

  /// Whether every reference has an answer.
  public var isComplete: Bool { rules.allSatisfy { $0.failedCount == 0 && $0.missingCount == 0 } }

  /// The report as JSON: `{scores: [{score, lines, failed, missing, metrics: {name: value}, notes}],
  /// failures, without_reference}`. The same bytes for the same files.
  public var json: JSONText {
    .object([
      "scores": .array(rules.map(\.json)),
      "failures": .object(failures.mapValues { .integer($0) }),
      "without_reference": .integer(strangerCount),
    ])
  }

  /// Rows for a table: rule, lines, metric, value, failed lines.
  public var rows: [[String]] {
    rules.flatMap { report in
      report.metrics.enumerated().map { index, metric in
        let isFirst = index == 0
        return [
          isFirst ? report.rule.rawValue : "", isFirst ? String(report.lineCount) : "",
          metric.name, metric.value.map { JSONText.fixed($0, 4) } ?? "none",
          isFirst ? String(report.failedCount + report.missingCount) : "",
        ]
      }
    }
  }

  /// Sentences that go below the table.
  public var notes: [String] {
    let failed = rules.reduce(0) { $0 + $1.failedCount }
    let missing = rules.reduce(0) { $0 + $1.missingCount }
    var notes: [String] = []
    if failed > 0 {
      let codes = failures.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        .map { "\($0.value) \($0.key)" }
      notes.append(
        "\(failed) lines failed and are counted as wrong: \(codes.joined(separator: ", "))")
    }
    if missing > 0 {
      notes.append("\(missing) lines have no result and are counted as wrong; run the rest")
    }
    if strangerCount > 0 {
      notes.append("\(strangerCount) answers have no reference and are not scored")
    }
    for report in rules {
      for metric in report.metrics {
        if let note = metric.note {
          notes.append("\(report.rule.rawValue), \(metric.name): \(note)")
        }
      }
    }
    return notes
  }
}

extension RuleReport {
  fileprivate var json: JSONText {
    var values: [String: JSONText] = [:]
    var notes: [String: JSONText] = [:]
    for metric in metrics {
      values[metric.name] = metric.value.map { .decimal($0, places: 8) } ?? .null
      if let note = metric.note { notes[metric.name] = .string(note) }
    }
    var members: [String: JSONText] = [
      "score": .string(rule.rawValue), "lines": .integer(lineCount),
      "failed": .integer(failedCount), "missing": .integer(missingCount),
      "metrics": .object(values),
    ]
    if !notes.isEmpty { members["notes"] = .object(notes) }
    return .object(members)
  }
}

extension JSONText {
  /// A number with so many decimals, all of them written.
  fileprivate static func fixed(_ value: Double, _ places: Int) -> String {
    let text = number(value, places)
    let decimals = text.split(separator: ".").last?.count ?? 0
    return text + String(repeating: "0", count: max(0, places - decimals))
  }
}
