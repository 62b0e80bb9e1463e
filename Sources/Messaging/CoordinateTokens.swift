/// The form of a task's answers: with it only tokens that keep the form are drawn.
public enum Grammar: UInt32, Sendable, CaseIterable {
  /// Boxes: four `<loc>` tokens and a label, any number of them, " ; " between.
  case detect = 1
  /// The same with sixteen `<seg>` tokens between box and label.
  case segment = 2
}

/// Where a tokenizer has its coordinates, so that the last stage, which has no tokenizer, can follow
/// the form of an answer.
public struct CoordinateTokens: Sendable, Equatable {
  /// The id of `<loc0000>`; the 1024 stand in a row.
  public var firstLocation: Int32
  /// The id of `<seg000>`; the 128 stand in a row. Nil when the checkpoint has none.
  public var firstSegment: Int32?
  /// Tokens that part one box from the next: " ;" and ";".
  public var separators: [Int32]
  /// Tokens of nothing but a space.
  public var blanks: [Int32]
  /// Tokens no answer may have: control tokens but the end.
  public var forbidden: [Int32]
  /// Ids from here on have no piece.
  public var vocabularyCount: Int

  /// How many `<loc>` and `<seg>` tokens there are.
  public static let (locationCount, segmentCount): (Int32, Int32) = (1024, 128)

  /// Describes a tokenizer.
  public init(
    firstLocation: Int32, firstSegment: Int32?, separators: [Int32], blanks: [Int32],
    forbidden: [Int32], vocabularyCount: Int
  ) {
    self.firstLocation = firstLocation
    self.firstSegment = firstSegment
    self.separators = separators
    self.blanks = blanks
    self.forbidden = forbidden
    self.vocabularyCount = vocabularyCount
  }

  /// Whether `token` is a `<loc>`.
  public func isLocation(_ token: Int32) -> Bool {
    token >= firstLocation && token - firstLocation < Self.locationCount
  }

  /// Whether `token` is a `<seg>`.
  public func isSegment(_ token: Int32) -> Bool {
    guard let firstSegment else { return false }
    return token >= firstSegment && token - firstSegment < Self.segmentCount
  }
}
