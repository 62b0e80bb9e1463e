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

/// The score of all lines of one task.
public struct TaskReport: Sendable, Equatable {
  /// The task.
  public let task: EvaluationTask
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
  /// One a task, in the order in which `EvaluationTask` names them.
  public let tasks: [TaskReport]
  /// Failed lines by the code of their failure.
  public let failures: [String: Int]
  /// Lines of the answers whose `custom_id` has no reference; they are not scored.
  public let strangerCount: Int

  /// Whether every reference has an answer.
  public var isComplete: Bool { tasks.allSatisfy { $0.failedCount == 0 && $0.missingCount == 0 } }

  /// The report as JSON: `{tasks: [{task, lines, failed, missing, metrics: {name: value}, notes}],
  /// failures, without_reference}`. The same bytes for the same files.
  public var json: JSONText {
    .object([
      "tasks": .array(tasks.map(\.json)),
      "failures": .object(failures.mapValues { .integer($0) }),
      "without_reference": .integer(strangerCount),
    ])
  }

  /// Rows for a table: task, lines, metric, value, failed lines.
  public var rows: [[String]] {
    tasks.flatMap { report in
      report.metrics.enumerated().map { index, metric in
        let isFirst = index == 0
        return [
          isFirst ? report.task.rawValue : "", isFirst ? String(report.lineCount) : "",
          metric.name, metric.value.map { JSONText.fixed($0, 4) } ?? "none",
          isFirst ? String(report.failedCount + report.missingCount) : "",
        ]
      }
    }
  }

  /// Sentences that go below the table.
  public var notes: [String] {
    let failed = tasks.reduce(0) { $0 + $1.failedCount }
    let missing = tasks.reduce(0) { $0 + $1.missingCount }
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
    for report in tasks {
      for metric in report.metrics {
        if let note = metric.note {
          notes.append("\(report.task.rawValue), \(metric.name): \(note)")
        }
      }
    }
    return notes
  }
}

extension TaskReport {
  fileprivate var json: JSONText {
    var values: [String: JSONText] = [:]
    var notes: [String: JSONText] = [:]
    for metric in metrics {
      values[metric.name] = metric.value.map { .decimal($0, places: 8) } ?? .null
      if let note = metric.note { notes[metric.name] = .string(note) }
    }
    var members: [String: JSONText] = [
      "task": .string(task.rawValue), "lines": .integer(lineCount),
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
