/// Reads answers such as `<loc0100><loc0200><loc0300><loc0400> cat ; <loc…>… dog` into boxes.
///
/// A box is four `<loc>` tokens, then sixteen `<seg>` tokens if the task was `segment`, then the
/// label; " ; " parts one from the next. Spaces between tokens are allowed, and a missing separator.
public enum DetectionParser {
  /// Parses decoded text; nil when it has no `<loc>` token and so is no detection.
  public static func parse(text: String) -> Detections? {
    parse(AnswerPart.parts(of: text))
  }

  /// Parses ids; nil when none is a `<loc>` token.
  ///
  /// To be preferred: here a label may spell out `<loc0001>` in characters without becoming one.
  public static func parse(ids: some Sequence<TokenID>, tokenizer: Tokenizer) -> Detections? {
    parse(AnswerPart.parts(of: ids, tokenizer: tokenizer))
  }

  private static func parse(_ parts: [AnswerPart]) -> Detections? {
    guard parts.contains(where: { $0.location != nil }) else { return nil }
    var reader = PartReader(parts: parts)
    var result = Detections()
    var seen: Set<BoxKey> = []
    while !reader.isAtEnd {
      let locations = reader.run(\.location)
      let segments = reader.run(\.segment)
      let texts = labels(reader.text(), isBeforeToken: !reader.isAtEnd)
      let label = texts.first ?? ""
      if locations.isEmpty, segments.isEmpty {
        texts.forEach { result.add(.textWithoutBox, [], [], $0) }
        continue
      }
      if locations.count == 4 {
        let key = BoxKey(yxyx: locations, label: label)
        result.boxes.append(
          DetectedBox(
            label: label,
            yxyx: locations,
            segments: segments.count == 16 ? segments : nil,
            isRepeat: !seen.insert(key).inserted
          )
        )
        if segments.count != 16, !segments.isEmpty {
          result.add(.segmentCount(segments.count), [], segments, "")
        }
      } else if locations.isEmpty {
        result.add(.segmentsWithoutBox, [], segments, label)
      } else {
        result.add(.locationCount(locations.count), locations, segments, label)
      }
      texts.dropFirst().forEach { result.add(.textWithoutBox, [], [], $0) }
    }
    return result
  }

  /// Cuts the text between two runs at " ; "; the first part is the label, and any other has no box.
  private static func labels(_ text: String, isBeforeToken: Bool) -> [String] {
    var parts: [Substring] = []
    var rest = text[...]
    while let range = rest.firstRange(of: " ; ") {
      parts.append(rest[..<range.lowerBound])
      rest = rest[range.upperBound...]
    }
    // A separator in front of a token may lack its spaces, at the end of the answer what follows it.
    var last = trimmed(rest)
    if last == ";" || last.hasSuffix(" ;") || (isBeforeToken && last.hasSuffix(";")) {
      last = trimmed(last.dropLast())
    }
    parts.append(last)
    let labels = parts.map { String(trimmed($0)) }
    // An empty part is no text; only the first may be empty, being the label of its box.
    return labels.prefix(1) + labels.dropFirst().filter { !$0.isEmpty }
  }

  private static func trimmed(_ text: Substring) -> Substring {
    let tail = text.drop(while: \.isWhitespace)
    guard let last = tail.lastIndex(where: { !$0.isWhitespace }) else { return tail.prefix(0) }
    return tail[...last]
  }

  private struct BoxKey: Hashable {
    let yxyx: [Int]
    let label: String
  }
}

extension Detections {
  fileprivate mutating func add(
    _ reason: MalformedPart.Reason,
    _ locations: [Int],
    _ segments: [Int],
    _ label: String
  ) {
    if reason == .textWithoutBox, label.isEmpty { return }
    let tokens =
      locations.map { Vocabulary.coordinateName("loc", digits: 4, $0) }
      + segments.map { Vocabulary.coordinateName("seg", digits: 3, $0) }
    let space = tokens.isEmpty || label.isEmpty ? "" : " "
    malformed.append(MalformedPart(reason: reason, text: tokens.joined() + space + label))
  }
}

/// Walks over an answer's parts.
private struct PartReader {
  let parts: [AnswerPart]
  private var index = 0

  init(parts: [AnswerPart]) { self.parts = parts }

  var isAtEnd: Bool { index >= parts.count }

  /// All next values of one kind, over blank text between them.
  mutating func run(_ value: (AnswerPart) -> Int?) -> [Int] {
    var values: [Int] = []
    while true {
      var next = index
      if next < parts.count, parts[next].isBlank { next += 1 }
      guard next < parts.count, let one = value(parts[next]) else { return values }
      values.append(one)
      index = next + 1
    }
  }

  /// The text up to the next token; empty when a token is next.
  mutating func text() -> String {
    guard index < parts.count, case .text(let text) = parts[index] else { return "" }
    index += 1
    return text
  }
}
