/// Average precision over labels, as `pycocotools` computes it with every score equal.
///
/// PaliGemma gives its boxes no scores. The precision curve still needs an order of the detections: it
/// is the order of the lines in the file of references, and within a line that of the answer (a stable
/// sort by equal scores, which is what `pycocotools` does when lines are its image ids). Labels that no
/// reference has are left out, as categories without ground truth are there.
struct AveragePrecision {
  private struct Detection {
    let line: Int
    /// Bit t: it met a reference at threshold t.
    let matches: UInt16
  }
  private struct Label {
    var referenceCount = 0
    /// In the order added, which is that of the answer within a line.
    var detections: [Detection] = []
  }
  private var labels: [String: Label] = [:]

  /// Overlaps asked for: 0.5, 0.55 … 0.95, made as `numpy.linspace` makes them.
  private static let thresholds: [Double] = {
    let step = (0.95 - 0.5) / 9
    return (0..<9).map { 0.5 + Double($0) * step } + [0.95]
  }()
  private static let recalls: [Double] = (0...100).map { $0 == 100 ? 1 : Double($0) * 0.01 }

  /// Adds what one line has of one label.
  ///
  /// - Parameters:
  ///   - line: the line's place in the file of references.
  ///   - label: what the detections and references are of.
  ///   - overlaps: `[detections, references]`: intersection over union, 0 to 1.
  ///   - referenceCount: references of the label on this line.
  mutating func add(line: Int, label: String, overlaps: [[Double]], referenceCount: Int) {
    let counted = overlaps.prefix(EvaluationLimits.detectionCount)
    var matches = [UInt16](repeating: 0, count: counted.count)
    for (bit, threshold) in Self.thresholds.enumerated() {
      var isTaken = [Bool](repeating: false, count: referenceCount)
      for (index, row) in counted.enumerated() {
        var best = min(threshold, 1 - 1e-10)
        var match: Int?
        // Of equal overlaps the last reference wins.
        for reference in row.indices where !isTaken[reference] && row[reference] >= best {
          best = row[reference]
          match = reference
        }
        guard let match else { continue }
        isTaken[match] = true
        matches[index] |= 1 << UInt16(bit)
      }
    }
    labels[label, default: Label()].referenceCount += referenceCount
    labels[label, default: Label()].detections += matches.map { Detection(line: line, matches: $0) }
  }

  /// The mean over labels and thresholds.
  ///
  /// - Parameter isStrict: true for the mean of the overlaps 0.5 to 0.95, false for 0.5 alone.
  /// - Returns: 0 to 1; nil when there are no references at all.
  func mean(isStrict: Bool) -> Double? {
    let bits = isStrict ? Array(Self.thresholds.indices) : [0]
    // By name, so that the sum has the same last bit in every run.
    let counted = labels.sorted { $0.key < $1.key }.map(\.value).filter { $0.referenceCount > 0 }
    guard !counted.isEmpty else { return nil }
    var sum = 0.0
    for label in counted {
      let sorted = label.detections.enumerated().sorted {
        ($0.element.line, $0.offset) < ($1.element.line, $1.offset)
      }.map(\.element.matches)
      for bit in bits {
        sum += Self.precision(sorted.map { $0 & (1 << UInt16(bit)) != 0 }, label.referenceCount)
      }
    }
    return sum / Double(counted.count * bits.count)
  }

  /// The mean precision at 101 recalls, precision made monotone first.
  private static func precision(_ isRight: [Bool], _ referenceCount: Int) -> Double {
    var (right, wrong) = (0.0, 0.0)
    var curve: [(recall: Double, precision: Double)] = isRight.map { isRight in
      if isRight { right += 1 } else { wrong += 1 }
      // numpy.spacing(1), there to avoid a division by 0.
      return (right / Double(referenceCount), right / (right + wrong + Double.ulpOfOne))
    }
    for index in curve.indices.dropFirst().reversed() {
      curve[index - 1].precision = max(curve[index - 1].precision, curve[index].precision)
    }
    var index = 0
    var sum = 0.0
    for recall in recalls {
      while index < curve.count, curve[index].recall < recall { index += 1 }
      if index < curve.count { sum += curve[index].precision }
    }
    return sum / Double(recalls.count)
  }
}
