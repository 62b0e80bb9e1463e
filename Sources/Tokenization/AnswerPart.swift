/// A piece of an answer: one coordinate token, or all the text between two.
enum AnswerPart: Equatable {
  case coordinate(Vocabulary.Coordinate)
  case text(String)

  var location: Int? {
    if case .coordinate(.location(let value)) = self { value } else { nil }
  }

  var segment: Int? {
    if case .coordinate(.segment(let value)) = self { value } else { nil }
  }

  var isBlank: Bool {
    if case .text(let text) = self { text.allSatisfy(\.isWhitespace) } else { false }
  }

  /// The parts of an answer given as ids; special tokens are left out.
  static func parts(of ids: some Sequence<TokenID>, tokenizer: Tokenizer) -> [AnswerPart] {
    var parts: [AnswerPart] = []
    var text = ""
    var decoder = StreamingDecoder(tokenizer)
    for id in ids {
      guard let coordinate = tokenizer.vocabulary.coordinate(of: id) else {
        text += decoder.push(id)
        continue
      }
      text += decoder.finish()
      if !text.isEmpty { parts.append(.text(text)) }
      text = ""
      parts.append(.coordinate(coordinate))
    }
    text += decoder.finish()
    if !text.isEmpty { parts.append(.text(text)) }
    return parts
  }

  /// The parts of an answer given as text; `<loc1024>` and other numbers too large are text.
  static func parts(of answer: String) -> [AnswerPart] {
    let bytes = Array(answer.utf8)
    var parts: [AnswerPart] = []
    var start = 0
    var index = 0
    func flush() {
      guard start < index else { return }
      parts.append(.text(String(decoding: bytes[start..<index], as: UTF8.self)))
    }
    while index < bytes.count {
      guard let (coordinate, length) = coordinate(in: bytes, at: index) else {
        index += 1
        continue
      }
      flush()
      parts.append(.coordinate(coordinate))
      index += length
      start = index
    }
    flush()
    return parts
  }

  private static func coordinate(
    in bytes: [UInt8],
    at index: Int
  ) -> (Vocabulary.Coordinate, length: Int)? {
    guard bytes[index] == UInt8(ascii: "<") else { return nil }
    let tail = bytes[index...]
    if let value = number(in: tail, after: "<loc", digits: 4), value < Vocabulary.locationCount {
      return (.location(value), 9)
    }
    if let value = number(in: tail, after: "<seg", digits: 3), value < Vocabulary.segmentCount {
      return (.segment(value), 8)
    }
    return nil
  }

  /// The number between `prefix` and ">", when it has exactly so many ASCII digits.
  private static func number(
    in bytes: ArraySlice<UInt8>,
    after prefix: String,
    digits: Int
  ) -> Int? {
    guard bytes.starts(with: prefix.utf8) else { return nil }
    let tail = bytes.dropFirst(prefix.utf8.count)
    guard tail.dropFirst(digits).first == UInt8(ascii: ">") else { return nil }
    var value = 0
    for byte in tail.prefix(digits) {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      value = value * 10 + Int(byte - UInt8(ascii: "0"))
    }
    return value
  }
}
