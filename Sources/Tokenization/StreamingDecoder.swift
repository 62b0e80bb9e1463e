/// Decodes one id at a time; what it gives, joined, is what `Tokenizer.decode` gives for all of them.
///
/// A run of byte tokens is held back until it ends, because Hugging Face judges it as a whole: one
/// broken byte turns the entire run into replacement characters. So no half of a character comes
/// out, and the run is never longer than the answer, whose length the caller bounds.
public struct StreamingDecoder: Sendable {
  private let tokenizer: Tokenizer
  private let skippingSpecialTokens: Bool
  private var byteRun: [UInt8] = []

  /// Starts at the beginning of an answer.
  public init(_ tokenizer: Tokenizer, skippingSpecialTokens: Bool = true) {
    self.tokenizer = tokenizer
    self.skippingSpecialTokens = skippingSpecialTokens
  }

  /// Takes the next id, and returns the text that is now certain; often empty.
  public mutating func push(_ id: TokenID) -> String {
    if skippingSpecialTokens, tokenizer.control.specialIDs.contains(id) { return "" }
    guard let piece = tokenizer.vocabulary.piece(id) else { return "" }
    if let byte = Self.byte(of: piece) {
      byteRun.append(byte)
      return ""
    }
    return finish() + String(decoding: Self.spaced(piece), as: UTF8.self)
  }

  /// Ends the answer, and returns what was held back.
  public mutating func finish() -> String {
    if byteRun.isEmpty { return "" }
    defer { byteRun.removeAll(keepingCapacity: true) }
    return String(validating: byteRun, as: UTF8.self)
      ?? String(repeating: "\u{FFFD}", count: byteRun.count)
  }

  /// The byte that a piece of the form `<0xNN>` stands for.
  private static func byte(of piece: [UInt8]) -> UInt8? {
    guard piece.count == 6, piece.starts(with: "<0x".utf8), piece[5] == UInt8(ascii: ">") else {
      return nil
    }
    let digits = String(decoding: piece[3..<5], as: UTF8.self)
    return digits.utf8.first == UInt8(ascii: "+") ? nil : UInt8(digits, radix: 16)
  }

  /// Every ▁ (E2 96 81) turned into a space.
  private static func spaced(_ piece: [UInt8]) -> [UInt8] {
    guard piece.contains(0xE2) else { return piece }
    var result: [UInt8] = []
    var index = 0
    while index < piece.count {
      if piece[index...].starts(with: [0xE2, 0x96, 0x81]) {
        result.append(UInt8(ascii: " "))
        index += 3
      } else {
        result.append(piece[index])
        index += 1
      }
    }
    return result
  }
}
