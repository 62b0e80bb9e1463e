import Messaging

/// Boxes against reference boxes: mean average precision and mean overlap.
struct DetectionScore {
  private var precision = AveragePrecision()
  private var overlapSum = 0.0
  private var lineCount = 0

  /// Adds one line.
  ///
  /// - Parameters:
  ///   - line: its place in the file of references.
  ///   - answer: its boxes, in its order; nil for a line without an answer.
  ///   - references: in any order.
  mutating func add(line: Int, answer: [Box]?, references: [Box]) {
    let boxes = answer ?? []
    let (ours, theirs) = (boxes.map(Self.label), references.map(Self.label))
    var matched = 0.0
    for label in Set(ours + theirs).sorted() {
      let detections = zip(boxes, ours).filter { $1 == label }.map(\.0)
      let truths = zip(references, theirs).filter { $1 == label }.map(\.0)
      let overlaps = detections.map { box in truths.map { Self.overlap(box, $0) } }
      precision.add(
        line: line, label: label, overlaps: overlaps, referenceCount: truths.count)
      matched += Self.matchedOverlap(overlaps)
    }
    let count = max(boxes.count, references.count)
    // Nothing found where nothing is, is right; no answer isn't.
    let whenEmpty = answer == nil ? 0.0 : 1.0
    overlapSum += count == 0 ? whenEmpty : matched / Double(count)
    lineCount += 1
  }

  /// mAP over overlaps of 0.5 to 0.95; nil without reference boxes.
  var meanAveragePrecision: Double? { precision.mean(isStrict: true) }
  /// mAP at an overlap of 0.5; nil without reference boxes.
  var meanAveragePrecision50: Double? { precision.mean(isStrict: false) }
  /// The mean over lines of: overlaps of boxes matched one to one, over the larger number of boxes.
  var meanOverlap: Double? { lineCount > 0 ? overlapSum / Double(lineCount) : nil }

  private static func label(_ box: Box) -> String { folded(box.label) }

  /// Labels are the same whatever their case and blanks.
  static func folded(_ label: String) -> String {
    TextScores.words(label.lowercased()).joined(separator: " ")
  }

  /// The sum of the overlaps of pairs, the largest taken first, each box in one pair.
  static func matchedOverlap(_ overlaps: [[Double]]) -> Double {
    let pairs = overlaps.enumerated().flatMap { row, values in
      values.enumerated().map { (overlap: $1, row: row, column: $0) }
    }.filter { $0.overlap > 0 }
    var (rows, columns): (Set<Int>, Set<Int>) = ([], [])
    var sum = 0.0
    let sorted = pairs.sorted { ($1.overlap, $0.row, $0.column) < ($0.overlap, $1.row, $1.column) }
    for pair in sorted where !rows.contains(pair.row) && !columns.contains(pair.column) {
      rows.insert(pair.row)
      columns.insert(pair.column)
      sum += pair.overlap
    }
    return sum
  }

  /// Intersection over union, computed from widths and heights as `pycocotools` does.
  static func overlap(_ one: Box, _ two: Box) -> Double {
    let (width1, height1) = (one.x2 - one.x1, one.y2 - one.y1)
    let (width2, height2) = (two.x2 - two.x1, two.y2 - two.y1)
    let width = min(one.x1 + width1, two.x1 + width2) - max(one.x1, two.x1)
    let height = min(one.y1 + height1, two.y1 + height2) - max(one.y1, two.y1)
    guard width > 0, height > 0 else { return 0 }
    let shared = width * height
    return shared / (width1 * height1 + width2 * height2 - shared)
  }
}
