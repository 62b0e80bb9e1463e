/// One request's rows in a micro-batch, as the model sees them.
///
/// PaliGemma is a prefix-LM: the prefix (image tokens, `<bos>`, prompt, newline) attends to itself
/// in both directions; the suffix (the answer) sees the prefix and what came before in it.
public struct SequenceRows {
  /// Which half of the prefix-LM the rows belong to.
  public enum Part: Sendable, Equatable {
    /// The whole prefix: `imageCount` pictures' image tokens, then the text tokens.
    case prefix(imageCount: Int)
    /// Tokens of the answer.
    case suffix
  }

  /// Prefix or suffix.
  public let part: Part
  /// Ids of the text tokens; a section behind the token embedding only counts them.
  public let tokenIDs: [Int32]
  /// Rows behind the token embedding: image tokens and text tokens.
  public let rowCount: Int
  /// This request's keys and values; nil in a section without decoder layers.
  public let cache: KVCache?

  /// Pictures in front of the text; none in a suffix.
  public var imageCount: Int {
    if case .prefix(let count) = part { count } else { 0 }
  }

  /// Rows of a request whose text tokens are known here.
  public init(_ part: Part, tokenIDs: [Int32], rowCount: Int, cache: KVCache?) {
    self.part = part
    self.tokenIDs = tokenIDs
    self.rowCount = rowCount
    self.cache = cache
  }
}
