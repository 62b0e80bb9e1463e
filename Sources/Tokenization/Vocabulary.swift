import CSentencePiece

/// All tokens of a checkpoint: the sentencepiece model's pieces and the added tokens beside them.
struct Vocabulary: Sendable {
  /// What `<locNNNN>` and `<segNNN>` mean.
  enum Coordinate: Equatable, Sendable {
    /// A border of a box, in 1/1024 of the picture: 0…1023.
    case location(Int)
    /// A code word of a mask: 0…127.
    case segment(Int)
  }

  static let locationCount = 1024
  static let segmentCount = 128

  let model: SentencePieceModel
  /// Ids of `<loc0000>`…`<loc1023>` by number; empty when the checkpoint has none.
  let locationIDs: [TokenID]
  /// Ids of `<seg000>`…`<seg127>` by number; empty when the checkpoint has none.
  let segmentIDs: [TokenID]
  /// One more than the highest id of any token.
  let tokenCount: Int
  /// Special by the model's or the added tokens' own word.
  let specialIDs: Set<TokenID>
  /// Added tokens that stand for themselves in a text, `<loc>` and `<seg>` among them.
  let textTokens: [[UInt8]: TokenID]

  private let addedByID: [TokenID: [UInt8]]
  private let addedByContent: [[UInt8]: TokenID]
  private let coordinates: [TokenID: Coordinate]

  init(model: SentencePieceModel, added: [AddedToken]) throws(TokenizerError) {
    var byID: [TokenID: [UInt8]] = [:]
    var byContent: [[UInt8]: TokenID] = [:]
    for token in added {
      let inModel = model.id(ofPiece: token.content)
      guard token.id >= model.pieceCount ? inModel == nil : inModel == token.id else {
        let other = inModel.map { "has it as \($0)" } ?? "has another piece there"
        throw AddedTokenReader.conflict(
          "\"\(token.name)\" is added as id \(token.id), but tokenizer.model \(other)"
        )
      }
      byID[token.id] = token.content
      byContent[token.content] = token.id
    }
    self.model = model
    addedByID = byID
    addedByContent = byContent
    tokenCount = max(model.pieceCount, Int(added.last?.id ?? -1) + 1)

    let find = { (name: String) in
      byContent[Array(name.utf8)] ?? model.id(ofPiece: Array(name.utf8))
    }
    locationIDs = try Self.complete("loc", digits: 4, Self.locationCount, find)
    segmentIDs = try Self.complete("seg", digits: 3, Self.segmentCount, find)
    var coordinates: [TokenID: Coordinate] = [:]
    for (value, id) in locationIDs.enumerated() { coordinates[id] = .location(value) }
    for (value, id) in segmentIDs.enumerated() { coordinates[id] = .segment(value) }
    self.coordinates = coordinates

    var textTokens: [[UInt8]: TokenID] = [:]
    var specialIDs: Set<TokenID> = []
    for token in added {
      if token.isSpecial {
        specialIDs.insert(token.id)
      } else {
        textTokens[token.content] = token.id
      }
    }
    for id in coordinates.keys {
      if let piece = byID[id] ?? model.piece(id) { textTokens[piece] = id }
    }
    for id in 0..<TokenID(clamping: model.pieceCount) {
      let type = model.type(of: id)
      if type == CSP_PIECE_CONTROL || type == CSP_PIECE_UNKNOWN { specialIDs.insert(id) }
    }
    self.textTokens = textTokens
    self.specialIDs = specialIDs
  }

  /// The UTF-8 of a token, or nil when none has this id.
  func piece(_ id: TokenID) -> [UInt8]? { addedByID[id] ?? model.piece(id) }

  /// The id of exactly these bytes, or nil.
  func id(ofPiece piece: [UInt8]) -> TokenID? { addedByContent[piece] ?? model.id(ofPiece: piece) }

  func coordinate(of id: TokenID) -> Coordinate? { coordinates[id] }

  /// All ids of one family by number, or none of them; a family with gaps is an error.
  private static func complete(
    _ family: String,
    digits: Int,
    _ count: Int,
    _ find: (String) -> TokenID?
  ) throws(TokenizerError) -> [TokenID] {
    var ids: [TokenID] = []
    var missing: String?
    for value in 0..<count {
      let name = coordinateName(family, digits: digits, value)
      if let id = find(name) { ids.append(id) } else { missing = missing ?? name }
    }
    if ids.isEmpty { return [] }
    guard let missing else { return ids }
    throw TokenizerError(
      .missingToken,
      "the tokenizer has \(ids.count) of \(count) <\(family)> tokens; the first missing is \(missing)",
      remedy: "Use the tokenizer files of the checkpoint itself, all from one place"
    )
  }

  static func coordinateName(_ family: String, digits: Int, _ value: Int) -> String {
    let number = String(value)
    let zeros = String(repeating: "0", count: max(0, digits - number.utf8.count))
    return "<\(family)\(zeros)\(number)>"
  }
}
