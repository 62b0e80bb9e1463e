import Imaging
import Messaging

/// A table for people: picture, prompt, answer, one row a result, columns aligned.
public struct AnswerTable: Sendable {
  private let rowCountMaximum: Int
  private var rows: [[String]] = []
  private var leftOut = 0

  /// Keeps the first `rowCountMaximum` results and counts the rest.
  public init(rowCountMaximum: Int = JobLimits.tableRowCount) {
    self.rowCountMaximum = max(0, rowCountMaximum)
  }

  /// Adds a result; boxes are shown as label and whole pixels.
  public mutating func add(_ result: BatchResult) {
    guard rows.count < rowCountMaximum else {
      leftOut += 1
      return
    }
    let picture =
      result.imageNames.isEmpty
      ? result.customID ?? "line \(result.line)" : result.imageNames.joined(separator: ", ")
    let answer =
      switch result.outcome {
      case .success: result.answers.map(Self.summary).joined(separator: " | ")
      case .failure(let failure): "error \(failure.code): \(failure.message)"
      }
    rows.append([picture, result.prompt, answer])
  }

  /// The answer on one line: its boxes if it has any (each once, with the area of its mask), else its
  /// text.
  public static func summary(_ answer: Answer) -> String {
    if answer.boxes.isEmpty { return answer.text }
    let boxes = answer.boxes.filter { !$0.isRepeat }.map { box in
      // A coordinator sent these; a number beyond any picture must not stop the program.
      let corners = [box.x1, box.y1, box.x2, box.y2].map { corner in
        String(Int(min(max(corner, -1e6), 1e6).rounded()))
      }
      let area = answer.mask(of: box).map { " mask \($0.area) px" } ?? ""
      return "\(box.label) [\(corners.joined(separator: ", "))]\(area)"
    }.joined(separator: "; ")
    return answer.repeatCount == 0 ? boxes : "\(boxes) (and \(answer.repeatCount) repeated)"
  }

  /// The lines of the table; empty without rows.
  ///
  /// - Parameter width: columns of the terminal; longer answers go on in the next line.
  /// - Returns: the lines, without line ends.
  public func lines(width: Int = 100) -> [String] {
    if rows.isEmpty { return [] }
    let header = ["picture", "prompt", "answer"]
    let cells = rows.map { $0.map(Self.oneLine) }
    let widths = (0..<2).map { column in
      min(28, ([header] + cells).map { $0[column].count }.max() ?? 0)
    }
    let answerWidth = max(24, width - widths[0] - widths[1] - 4)
    var lines: [String] = []
    func append(_ row: [String]) {
      let columns = zip(row, widths + [answerWidth]).map { Self.wrapped($0, width: $1) }
      for index in 0..<(columns.map(\.count).max() ?? 0) {
        let parts = zip(columns, widths + [0]).map { column, width in
          let text = index < column.count ? column[index] : ""
          return text + String(repeating: " ", count: max(0, width - text.count))
        }
        var line = parts.joined(separator: "  ")
        while line.hasSuffix(" ") { line.removeLast() }
        lines.append(line)
      }
    }
    append(header)
    lines.append(
      (widths + [answerWidth]).map { String(repeating: "─", count: $0) }
        .joined(separator: "  "))
    cells.forEach(append)
    if leftOut > 0 { lines.append("… and \(leftOut) more in the output file") }
    return lines
  }

  /// White space and control characters become single spaces: an answer must not steer a terminal.
  private static func oneLine(_ text: String) -> String {
    String(text.map { $0.isNewline || $0.isWhitespace || $0.isControl ? " " : $0 })
  }

  /// At most three lines of `width` characters, broken at spaces where possible.
  private static func wrapped(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var rest = text[...]
    while rest.count > width, lines.count < 3 {
      let head = rest.prefix(width + 1)
      let cut = head.lastIndex(of: " ").flatMap { $0 > head.startIndex ? $0 : nil }
      let end = cut ?? rest.index(rest.startIndex, offsetBy: width)
      lines.append(String(rest[..<end]))
      rest = rest[end...].drop { $0 == " " }
    }
    if lines.count < 3 {
      lines.append(String(rest))
    } else if !rest.isEmpty {
      lines[2] = lines[2].prefix(width - 1) + "…"
    }
    return lines
  }
}

extension Character {
  /// C0, DEL and C1 control characters.
  fileprivate var isControl: Bool {
    unicodeScalars.contains { $0.properties.generalCategory == .control }
  }
}
