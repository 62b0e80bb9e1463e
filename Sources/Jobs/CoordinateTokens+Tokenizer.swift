import Messaging
import Tokenization

extension CoordinateTokens {
  /// Where `tokenizer` has its coordinates; nil when it has none, or not in a row.
  ///
  /// - Parameters:
  ///   - tokenizer: the model's.
  ///   - endTokens: control tokens that an answer may have, at its end.
  init?(_ tokenizer: Tokenizer, endTokens: [Int32]) {
    let (locations, segments) = (tokenizer.locationTokenIDs, tokenizer.segmentTokenIDs)
    guard locations.count == Int(Self.locationCount), Self.isRow(locations) else { return nil }
    let hasSegments = segments.count == Int(Self.segmentCount) && Self.isRow(segments)
    self.init(
      firstLocation: locations[0], firstSegment: hasSegments ? segments[0] : nil,
      separators: ["▁;", ";"].compactMap(tokenizer.id(ofPiece:)),
      blanks: ["▁"].compactMap(tokenizer.id(ofPiece:)),
      forbidden: tokenizer.controlTokenIDs.filter { !endTokens.contains($0) }
        .prefix(MessageLimits.stopTokenCount).sorted(),
      vocabularyCount: tokenizer.tokenCount)
  }

  private static func isRow(_ ids: [Int32]) -> Bool {
    zip(ids, ids.dropFirst()).allSatisfy { $0 + 1 == $1 }
  }
}
