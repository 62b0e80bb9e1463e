/// Cuts a text where tokens stand that sentencepiece must not see, leftmost and longest first, as
/// Hugging Face's tokenizers do with added tokens.
struct TextSplitter: Sendable {
  enum Part: Equatable {
    /// Bytes for sentencepiece.
    case text(Range<Int>)
    /// A token that stands for itself.
    case token(TokenID)
  }

  /// What each sought text is: a token's id, or nil for a control token's name, which is cut after
  /// its first character so that sentencepiece cannot find it whole.
  private let entries: [ArraySlice<UInt8>: TokenID?]
  /// Lengths of the sought texts by first byte, longest first.
  private let lengths: [UInt8: [Int]]

  init(tokens: [[UInt8]: TokenID], control: [[UInt8]]) {
    var entries: [ArraySlice<UInt8>: TokenID?] = [:]
    for (content, id) in tokens { entries[content[...]] = .some(id) }
    for content in control { entries.updateValue(nil, forKey: content[...]) }
    var lengths: [UInt8: Set<Int>] = [:]
    for content in entries.keys {
      if let first = content.first { lengths[first, default: []].insert(content.count) }
    }
    self.entries = entries
    self.lengths = lengths.mapValues { $0.sorted(by: >) }
  }

  func split(_ text: [UInt8]) -> [Part] {
    var parts: [Part] = []
    var start = 0
    var index = 0
    func flush(upTo end: Int) {
      if start < end { parts.append(.text(start..<end)) }
      start = end
    }
    while index < text.count {
      guard let (length, id) = match(in: text, at: index) else {
        index += 1
        continue
      }
      if let id {
        flush(upTo: index)
        parts.append(.token(id))
        index += length
        start = index
      } else {
        index += 1
        while index < text.count, text[index] & 0xC0 == 0x80 { index += 1 }
        flush(upTo: index)
      }
    }
    flush(upTo: text.count)
    return parts
  }

  private func match(in text: [UInt8], at index: Int) -> (length: Int, id: TokenID?)? {
    guard let lengths = lengths[text[index]] else { return nil }
    for length in lengths where length <= text.count - index {
      if let id = entries[text[index..<(index + length)]] { return (length, id) }
    }
    return nil
  }
}
