import Messaging

/// The score of one rule while lines come in.
///
/// Sums for most rules. Boxes and masks keep a few bytes for each, because mAP needs them in order;
/// captions are kept whole, because CIDEr weighs words by all lines.
struct RuleScore {
  private let rule: ScoreRule
  private var lineCount = 0
  /// Sums of what each line is worth, by metric.
  private var sums = [0.0, 0.0]
  private var numberCount = 0
  private var errorSum = 0.0
  private var captions = CIDEr()
  private var boxes = DetectionScore()
  private var masks = SegmentationScore()

  init(rule: ScoreRule) { self.rule = rule }

  /// Adds one line.
  ///
  /// - Parameters:
  ///   - answer: nil for a line without an answer, which is wrong.
  ///   - reference: of the form that the rule has.
  ///   - line: its place in the file of references.
  /// - Throws: `too_many_captions` when CIDEr's corpus is full.
  mutating func add(
    _ answer: EvaluationAnswer.Said?, reference: EvaluationReference, line: Int
  ) throws(Failure) {
    lineCount += 1
    switch reference {
    case .texts(let texts): try add(answer.map { Self.cut($0.text) }, texts)
    case .count(let count):
      guard let said = answer.flatMap({ Self.number($0.text) }) else { return }
      numberCount += 1
      errorSum += abs(said - count)
      sums[0] += said == count ? 1 : 0
    case .boxes(let truths):
      boxes.add(line: line, answer: answer?.boxes, references: truths)
    case .masks(let truths):
      masks.add(line: line, answer: answer?.masks, references: truths)
    }
  }

  private mutating func add(_ answer: String?, _ texts: [String]) throws(Failure) {
    guard rule != .caption else {
      guard captions.add(answer ?? "", references: texts) else {
        throw Failure(
          code: "too_many_captions",
          message: "the captions have more than \(EvaluationLimits.captionWordCount) words, which "
            + "CIDEr has to hold all at once; split the file")
      }
      return
    }
    guard let answer else { return }
    switch rule {
    case .vqa: sums[0] += VQAAccuracy.score(answer, references: texts)
    case .chartqa: sums[0] += TextScores.relaxed(answer, references: texts)
    case .anls: sums[0] += TextScores.anls(answer, references: texts)
    case .ocr:
      sums[0] += TextScores.exact(answer, references: texts)
      sums[1] += TextScores.anls(answer, references: texts)
    default: sums[0] += TextScores.exact(answer, references: texts)
    }
  }

  /// The numbers, most telling first.
  func metrics() -> [EvaluationMetric] {
    func mean(_ index: Int) -> Double? { lineCount > 0 ? sums[index] / Double(lineCount) : nil }
    switch rule {
    case .vqa: return [EvaluationMetric("VQA accuracy", mean(0))]
    case .exact: return [EvaluationMetric("exact", mean(0))]
    case .chartqa: return [EvaluationMetric("relaxed accuracy", mean(0))]
    case .anls: return [EvaluationMetric("ANLS", mean(0))]
    case .ocr: return [EvaluationMetric("exact", mean(0)), EvaluationMetric("ANLS", mean(1))]
    case .caption: return [EvaluationMetric("CIDEr", captions.score())]
    case .count:
      let error = numberCount > 0 ? errorSum / Double(numberCount) : nil
      let note =
        numberCount < lineCount
        ? "over the \(numberCount) of \(lineCount) lines whose answer is a number" : nil
      return [
        EvaluationMetric("exact", mean(0)),
        EvaluationMetric("mean absolute error", error, note: note),
      ]
    case .detect:
      return [
        EvaluationMetric("mAP 0.5:0.95", boxes.meanAveragePrecision),
        EvaluationMetric("mAP 0.5", boxes.meanAveragePrecision50),
        EvaluationMetric("mean IoU", boxes.meanOverlap),
      ]
    case .segment:
      let other = masks.otherSizeCount
      return [
        EvaluationMetric(
          "mean IoU", masks.meanOverlap,
          note: other > 0
            ? "\(other) lines have masks of another size than the references', worth 0" : nil),
        EvaluationMetric("mean IoU of labels", masks.meanOverlapOfLabels),
        EvaluationMetric("mAP 0.5:0.95", masks.meanAveragePrecision),
      ]
    }
  }

  /// The number an answer consists of, in digits or as VQAv2's number words.
  static func number(_ text: String) -> Double? {
    let text = TextScores.trimmed(text).lowercased()
    let number = TextScores.decimal(VQAAccuracy.numbers[text] ?? text)
    return number.flatMap { $0.isFinite ? $0 : nil }
  }

  /// The answer as far as texts are compared.
  private static func cut(_ text: String) -> String {
    guard text.utf8.count > EvaluationLimits.textByteCount else { return text }
    return String(decoding: text.utf8.prefix(EvaluationLimits.textByteCount), as: UTF8.self)
  }
}
