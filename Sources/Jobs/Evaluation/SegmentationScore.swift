import Imaging

/// Masks against reference masks: mean overlap per line and per label, and mean average precision.
struct SegmentationScore {
  private var precision = AveragePrecision()
  private var overlapSum = 0.0
  private var lineCount = 0
  private var pixels: [String: (shared: Int, either: Int)] = [:]
  /// Lines whose masks are not of the references' size, and so share nothing with them.
  private(set) var otherSizeCount = 0

  /// Adds one line.
  ///
  /// - Parameters:
  ///   - line: its place in the file of references.
  ///   - answer: its masks, in its order; nil for a line without an answer.
  ///   - references: in any order, all of one size.
  mutating func add(line: Int, answer: [LabelledMask]?, references: [LabelledMask]) {
    let masks = answer ?? []
    let sizes = Set((masks + references).map { [$0.mask.width, $0.mask.height] })
    if sizes.count > 1 { otherSizeCount += 1 }
    let (ours, theirs) = (Self.byLabel(masks), Self.byLabel(references))
    let labels = Set(ours.keys).union(theirs.keys).sorted()
    var sum = 0.0
    for label in labels {
      let (found, truths) = (ours[label] ?? [], theirs[label] ?? [])
      precision.add(
        line: line, label: label,
        overlaps: found.map { mask in truths.map { mask.intersectionOverUnion(with: $0) } },
        referenceCount: truths.count)
      let (one, two) = (PixelRuns(joining: found), PixelRuns(joining: truths))
      let shared = sizes.count > 1 ? 0 : one.sharedCount(with: two)
      let either = one.count + two.count - shared
      pixels[label, default: (0, 0)].shared += shared
      pixels[label, default: (0, 0)].either += either
      sum += either > 0 ? Double(shared) / Double(either) : 1
    }
    // Nothing found where nothing is, is right; no answer isn't.
    let whenEmpty = answer == nil ? 0.0 : 1.0
    overlapSum += labels.isEmpty ? whenEmpty : sum / Double(labels.count)
    lineCount += 1
  }

  private static func byLabel(_ masks: [LabelledMask]) -> [String: [RunLengthMask]] {
    Dictionary(grouping: masks) { DetectionScore.folded($0.label) }.mapValues { $0.map(\.mask) }
  }

  /// The mean over lines of the mean over their labels; masks of one label are one region.
  var meanOverlap: Double? { lineCount > 0 ? overlapSum / Double(lineCount) : nil }

  /// The mean over labels of the pixels shared in all lines over the pixels of either; nil without
  /// masks.
  var meanOverlapOfLabels: Double? {
    let overlaps = pixels.sorted { $0.key < $1.key }.filter { $0.value.either > 0 }
      .map { Double($0.value.shared) / Double($0.value.either) }
    return overlaps.isEmpty ? nil : overlaps.reduce(0, +) / Double(overlaps.count)
  }

  /// mAP of single masks over overlaps of 0.5 to 0.95; nil without reference masks.
  var meanAveragePrecision: Double? { precision.mean(isStrict: true) }
}

/// Pixels that any of several masks has, as sorted ranges that don't touch.
private struct PixelRuns {
  private var runs: [Range<Int>] = []

  init(joining masks: [RunLengthMask]) {
    var all: [Range<Int>] = []
    for mask in masks {
      var position = 0
      for (index, count) in mask.counts.enumerated() {
        if index % 2 == 1 { all.append(position..<(position + count)) }
        position += count
      }
    }
    for run in all.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = runs.last, run.lowerBound <= last.upperBound {
        runs[runs.count - 1] = last.lowerBound..<max(last.upperBound, run.upperBound)
      } else {
        runs.append(run)
      }
    }
  }

  var count: Int { runs.reduce(0) { $0 + $1.count } }

  func sharedCount(with other: PixelRuns) -> Int {
    var (i, j, shared) = (0, 0, 0)
    while i < runs.count, j < other.runs.count {
      let (one, two) = (runs[i], other.runs[j])
      shared += max(0, min(one.upperBound, two.upperBound) - max(one.lowerBound, two.lowerBound))
      if one.upperBound < two.upperBound { i += 1 } else { j += 1 }
    }
    return shared
  }
}
