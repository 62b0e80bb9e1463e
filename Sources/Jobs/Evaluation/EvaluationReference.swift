import Foundation
import Imaging
import Messaging

/// What the right answer of one line is.
enum EvaluationReference: Sendable, Equatable {
  /// Texts, each of them right.
  case texts([String])
  /// How many.
  case count(Double)
  /// Boxes in pixels.
  case boxes([Box])
  /// Masks of the picture's size, with their labels.
  case masks([LabelledMask])
}

/// A mask and what it is of.
struct LabelledMask: Sendable, Equatable {
  let label: String
  let mask: RunLengthMask
}

/// One line of a file of references.
struct EvaluationLine: Sendable, Equatable {
  let customID: String
  let rule: ScoreRule
  let reference: EvaluationReference

  /// Reads a line.
  ///
  /// - Parameters:
  ///   - bytes: the line; nil for one that was too long.
  ///   - rule: how to score lines that don't say it.
  /// - Throws: `invalid_reference` with what is wrong and what to write instead.
  init(_ bytes: [UInt8]?, rule: ScoreRule?) throws(Failure) {
    guard let bytes else {
      throw Self.wrong("the line has more than \(JobLimits.lineByteCount) bytes; split it")
    }
    do {
      let file = try JSONDecoder().decode(LineFile.self, from: Data(bytes))
      let isNamed = (1...JobLimits.customIDByteCount).contains(file.customID.utf8.count)
      guard isNamed else {
        throw Self.wrong(
          "custom_id is empty or longer than \(JobLimits.customIDByteCount) bytes; shorten it")
      }
      customID = file.customID
      self.rule = try Self.rule(file, else: rule)
      reference = try JSONDecoder(rule: self.rule).decode(
        ReferenceFile.self, from: Data(bytes)
      ).reference
    } catch let failure as Failure {
      throw failure
    } catch { throw Self.wrong(error.jsonReason + "; see `palisade eval --help`") }
  }

  /// What the line says, else what its prompt is made by, else what holds for all lines.
  private static func rule(
    _ file: LineFile, else other: ScoreRule?
  ) throws(Failure) -> ScoreRule {
    if let name = file.score {
      guard let rule = ScoreRule(rawValue: name) else {
        throw wrong("there is no score \"\(name.prefix(40))\"; write one of \(ScoreRule.names)")
      }
      return rule
    }
    guard let rule = file.task.flatMap(ScoreRule.init(rawValue:)) ?? other else {
      throw wrong(
        "the line doesn't say how to score it; write \"score\": \"vqa\" (or "
          + "\(ScoreRule.names)), or give --score for all lines")
    }
    return rule
  }

  fileprivate static func wrong(_ message: String) -> Failure {
    Failure(code: "invalid_reference", message: message)
  }
}

/// A line's name, and how it's scored.
private struct LineFile: Decodable {
  let customID: String
  let score: String?
  /// A batch's word for how the prompt is made.
  let task: String?

  private enum CodingKeys: String, CodingKey {
    case customID = "custom_id"
    case score, task
  }
}

extension CodingUserInfoKey {
  /// The rule whose references are read.
  fileprivate static let rule = CodingUserInfoKey(rawValue: "rule")
}

extension JSONDecoder {
  fileprivate convenience init(rule: ScoreRule) {
    self.init()
    if let key = CodingUserInfoKey.rule { userInfo[key] = rule }
  }
}

/// A line's references, in the form its score wants.
private struct ReferenceFile: Decodable {
  let reference: EvaluationReference

  private enum CodingKeys: String, CodingKey { case references }
  private struct Annotator: Decodable { let answer: String }

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    let rule = CodingUserInfoKey.rule.flatMap { decoder.userInfo[$0] as? ScoreRule } ?? .exact
    guard fields.contains(.references) else {
      throw EvaluationLine.wrong("references are missing; \(rule.rawValue) wants \(rule.form)")
    }
    let value: EvaluationReference? =
      switch rule {
      case .vqa, .exact, .chartqa, .anls, .caption, .ocr: try Self.texts(fields)
      case .count: Self.count(fields).map { .count($0) }
      case .detect: try Self.boxes(fields)
      case .segment: try Self.masks(fields)
      }
    guard let value else {
      throw EvaluationLine.wrong("references of \(rule.rawValue) have to be \(rule.form)")
    }
    reference = value
  }

  /// A text, a list of texts, or VQAv2's list of annotators.
  private static func texts(
    _ fields: KeyedDecodingContainer<CodingKeys>
  ) throws -> EvaluationReference? {
    let texts =
      (try? [fields.decode(String.self, forKey: .references)])
      ?? (try? fields.decode([String].self, forKey: .references))
      ?? (try? fields.decode([Annotator].self, forKey: .references).map(\.answer))
    guard let texts else { return nil }
    guard !texts.isEmpty else {
      throw EvaluationLine.wrong("references are empty; give at least one text")
    }
    try check(count: texts.count)
    guard texts.allSatisfy({ $0.utf8.count <= EvaluationLimits.textByteCount }) else {
      throw EvaluationLine.wrong(
        "a reference has more than \(EvaluationLimits.textByteCount) bytes; shorten it")
    }
    return .texts(texts)
  }

  private static func count(_ fields: KeyedDecodingContainer<CodingKeys>) -> Double? {
    let count =
      (try? fields.decode(Double.self, forKey: .references))
      ?? (try? fields.decode([Double].self, forKey: .references)).flatMap {
        $0.count == 1 ? $0.first : nil
      } ?? (try? fields.decode(String.self, forKey: .references)).flatMap(TextScores.decimal)
    return count.flatMap { $0.isFinite ? $0 : nil }
  }

  private static func boxes(
    _ fields: KeyedDecodingContainer<CodingKeys>
  ) throws -> EvaluationReference {
    let boxes = try fields.decode([BoxFile].self, forKey: .references).map { file in
      guard let box = file.box, box.x1 < box.x2, box.y1 < box.y2 else {
        throw EvaluationLine.wrong(
          "the box \"\(file.label.prefix(40))\" has no area; xyxy is left, top, right, bottom in "
            + "pixels")
      }
      return box
    }
    try check(count: boxes.count)
    return .boxes(boxes)
  }

  private static func masks(
    _ fields: KeyedDecodingContainer<CodingKeys>
  ) throws -> EvaluationReference {
    let files = try fields.decode([MaskFile].self, forKey: .references)
    try check(count: files.count)
    var masks: [LabelledMask] = []
    for file in files {
      do throws(Failure) { masks.append(try file.mask()) } catch {
        throw EvaluationLine.wrong(
          "the mask \"\((file.label ?? "").prefix(40))\": \(error.message)")
      }
    }
    guard Set(masks.map { [$0.mask.width, $0.mask.height] }).count <= 1 else {
      throw EvaluationLine.wrong("the masks have different sizes; all have the picture's")
    }
    return .masks(masks)
  }

  private static func check(count: Int) throws(Failure) {
    guard count <= EvaluationLimits.referenceCount else {
      throw EvaluationLine.wrong(
        "\(count) references; a line may have \(EvaluationLimits.referenceCount)")
    }
  }
}

/// A box as results have it, and references too.
struct BoxFile: Decodable {
  let label: String
  let xyxy: [Double]

  /// nil unless there are four finite corners.
  var box: Box? {
    guard xyxy.count == 4, xyxy.allSatisfy(\.isFinite) else { return nil }
    return Box(label: label, x1: xyxy[0], y1: xyxy[1], x2: xyxy[2], y2: xyxy[3])
  }
}

/// A mask in COCO's run lengths, compressed or not.
struct MaskFile: Decodable {
  /// nil where the box beside it has the label.
  let label: String?
  private let size: [Int]
  private let counts: Counts

  private enum Counts: Decodable {
    case text(String)
    case numbers([Int])

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if let text = try? value.decode(String.self) {
        self = .text(text)
      } else {
        self = .numbers(try value.decode([Int].self))
      }
    }
  }

  private enum CodingKeys: String, CodingKey { case label, size, counts, rle }

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    label = try fields.decodeIfPresent(String.self, forKey: .label)
    // COCO's own object in a field of its own, or its two fields beside the label.
    let rle =
      fields.contains(.rle)
      ? try fields.nestedContainer(keyedBy: CodingKeys.self, forKey: .rle) : fields
    size = try rle.decode([Int].self, forKey: .size)
    counts = try rle.decode(Counts.self, forKey: .counts)
  }

  /// The mask.
  ///
  /// - Parameter other: the label of one that has none itself; nil demands one.
  /// - Returns: the mask with its label.
  /// - Throws: `invalid_mask` with the cause.
  func mask(label other: String? = nil) throws(Failure) -> LabelledMask {
    guard let label = label ?? other else {
      throw Failure(code: "invalid_mask", message: "label is missing")
    }
    guard size.count == 2 else {
      throw Failure(code: "invalid_mask", message: "size has to be [height, width]")
    }
    do throws(ImagingError) {
      let mask =
        switch counts {
        case .text(let text):
          try RunLengthMask(cocoString: text, width: size[1], height: size[0])
        case .numbers(let numbers):
          try RunLengthMask(counts: numbers, width: size[1], height: size[0])
        }
      return LabelledMask(label: label, mask: mask)
    } catch {
      throw Failure(code: "invalid_mask", message: "\(error.message); \(error.remedy)")
    }
  }
}
