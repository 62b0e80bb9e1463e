/// The control tokens' ids as a checkpoint's `config.json` claims them; a tokenizer checks each
/// claim by its piece.
public struct SpecialTokens: Equatable, Sendable {
  /// Stands for one image token (`image_token_index` or `image_token_id`).
  public var imageTokenID: TokenID?
  /// Begins the text (`bos_token_id`).
  public var bosTokenID: TokenID?
  /// End the answer (`eos_token_id`, one or several).
  public var eosTokenIDs: [TokenID]
  /// Fills up (`pad_token_id`).
  public var padTokenID: TokenID?

  /// Claims to check; what is nil or empty is found by piece alone.
  public init(
    imageTokenID: TokenID? = nil,
    bosTokenID: TokenID? = nil,
    eosTokenIDs: [TokenID] = [],
    padTokenID: TokenID? = nil
  ) {
    self.imageTokenID = imageTokenID
    self.bosTokenID = bosTokenID
    self.eosTokenIDs = eosTokenIDs
    self.padTokenID = padTokenID
  }

  init(_ file: ModelConfigFile) throws(TokenizerError) {
    if let index = file.image_token_index, let id = file.image_token_id, index != id {
      throw AddedTokenReader.conflict(
        "\(ModelConfigFile.name): image_token_index is \(index), image_token_id is \(id)"
      )
    }
    self.init(
      imageTokenID: file.image_token_index ?? file.image_token_id,
      bosTokenID: file.bos_token_id,
      eosTokenIDs: file.eos_token_id?.ids ?? [],
      padTokenID: file.pad_token_id
    )
  }
}

/// The control tokens of a loaded tokenizer, each verified by its piece.
struct ControlTokens: Sendable {
  static let imageName = "<image>"

  let image: TokenID?
  let bos: TokenID
  let eos: [TokenID]
  let pad: TokenID?
  /// Every id that no text of a user may become, and that decoding leaves out.
  let specialIDs: Set<TokenID>

  init(
    claims: SpecialTokens,
    config: TokenizerConfigFile,
    vocabulary: Vocabulary
  ) throws(TokenizerError) {
    let bosName = config.bos_token?.content ?? "<bos>"
    let eosName = config.eos_token?.content ?? "<eos>"
    let padName = config.pad_token?.content ?? "<pad>"
    image = try Self.verified(Self.imageName, claims.imageTokenID, vocabulary, isVirtual: true)
    pad = try Self.verified(padName, claims.padTokenID, vocabulary)
    guard let bos = try Self.verified(bosName, claims.bosTokenID, vocabulary) else {
      throw Self.missing(bosName)
    }
    self.bos = bos
    guard let first = vocabulary.id(ofPiece: Array(eosName.utf8)) else {
      throw Self.missing(eosName)
    }
    guard claims.eosTokenIDs.isEmpty || claims.eosTokenIDs.contains(first) else {
      throw AddedTokenReader.conflict(
        "config.json: eos_token_id is \(claims.eosTokenIDs), but \"\(eosName)\" is \(first)"
      )
    }
    for id in claims.eosTokenIDs where vocabulary.piece(id) == nil {
      throw AddedTokenReader.conflict("config.json: eos_token_id \(id) is no token")
    }
    eos = [first] + claims.eosTokenIDs.filter { $0 != first }

    // `<mask>` is Gemma's sentence mask: transformers 5 takes it as special whatever the files say.
    let unkName = config.unk_token?.content ?? "<unk>"
    var ids = Set(eos + [bos, image, pad].compactMap { $0 }).union(vocabulary.specialIDs)
    for name in [unkName, "<mask>"] {
      if let id = vocabulary.id(ofPiece: Array(name.utf8)) { ids.insert(id) }
    }
    specialIDs = ids.filter { vocabulary.coordinate(of: $0) == nil }
  }

  /// The id of `name`, after checking that the claimed id is the same token.
  ///
  /// An id without a piece is in order only if it `isVirtual`, as `<image>` may be: Palisade never
  /// writes it out, and Hugging Face's processor adds it only when it loads.
  private static func verified(
    _ name: String,
    _ claim: TokenID?,
    _ vocabulary: Vocabulary,
    isVirtual: Bool = false
  ) throws(TokenizerError) -> TokenID? {
    let found = vocabulary.id(ofPiece: Array(name.utf8))
    guard let claim, claim != found else { return found }
    if isVirtual, found == nil, claim >= 0, vocabulary.piece(claim) == nil { return claim }
    let piece = vocabulary.piece(claim).map { "\"" + String(decoding: $0, as: UTF8.self) + "\"" }
    throw AddedTokenReader.conflict(
      "config.json has id \(claim) for \"\(name)\", where the tokenizer has \(piece ?? "no token")"
    )
  }

  private static func missing(_ name: String) -> TokenizerError {
    TokenizerError(
      .missingToken,
      "the tokenizer has no token \"\(name)\"",
      remedy: "Name it in tokenizer_config.json, or use the checkpoint's own tokenizer files"
    )
  }
}
