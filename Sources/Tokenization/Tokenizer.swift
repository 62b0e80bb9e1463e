import CSentencePiece
import Foundation

/// Text to token ids and back, as Hugging Face's GemmaTokenizer does it, with one difference: a
/// control token's name in a user's text stays text.
///
/// Immutable after loading; any number of threads may use one at once.
public final class Tokenizer: Sendable {
  let vocabulary: Vocabulary
  let control: ControlTokens
  private let splitter: TextSplitter
  /// The bounds this tokenizer keeps.
  public let limits: TokenizerLimits

  /// Begins every prompt's text.
  public var bosTokenID: TokenID { control.bos }
  /// End an answer; the first is the tokenizer's own, others are `config.json`'s.
  public var eosTokenIDs: [TokenID] { control.eos }
  /// Fills up, if the checkpoint has such a token.
  public var padTokenID: TokenID? { control.pad }
  /// Stands for an image token, if the tokenizer or `config.json` names it.
  public var imageTokenID: TokenID? { control.image }
  /// Tokens that no text of a user becomes, and that decoding leaves out: begin, end, `<image>`, ….
  public var controlTokenIDs: [TokenID] { control.specialIDs.sorted() }
  /// One more than the highest id that has a piece; the model's vocabulary may have more rows.
  public var tokenCount: Int { vocabulary.tokenCount }
  /// Ids of `<loc0000>`…`<loc1023>` by number; empty when the checkpoint has none.
  public var locationTokenIDs: [TokenID] { vocabulary.locationIDs }
  /// Ids of `<seg000>`…`<seg127>` by number; empty when the checkpoint has none.
  public var segmentTokenIDs: [TokenID] { vocabulary.segmentIDs }

  /// Loads the tokenizer of a checkpoint folder.
  ///
  /// - Parameters:
  ///   - folder: Holds `tokenizer.model` and, if it has added tokens, one of
  ///     `tokenizer_config.json`, `added_tokens.json`, `tokenizer.json`.
  ///   - specialTokens: What the model's configuration claims; nil to read the folder's own
  ///     `config.json`, if there is one.
  ///   - limits: Bounds on files and prompts.
  /// - Throws: What is missing, broken or in conflict.
  public init(
    folder: URL,
    specialTokens: SpecialTokens? = nil,
    limits: TokenizerLimits = TokenizerLimits()
  ) throws(TokenizerError) {
    let model = try SentencePieceModel(contentsOf: folder.appending(path: "tokenizer.model"))
    let files = JSONFolder(url: folder, byteCountMax: limits.fileByteCount)
    let config =
      try files.read(TokenizerConfigFile.self, from: TokenizerConfigFile.name)
      ?? TokenizerConfigFile()
    let added = try AddedTokenReader(folder: files, limits: limits).read(config: config)
    var claims = specialTokens
    if claims == nil, let file = try files.read(ModelConfigFile.self, from: ModelConfigFile.name) {
      claims = try SpecialTokens(file)
    }
    let vocabulary = try Vocabulary(model: model, added: added)
    let control = try ControlTokens(
      claims: claims ?? SpecialTokens(),
      config: config,
      vocabulary: vocabulary
    )
    self.vocabulary = vocabulary
    self.control = control
    self.limits = limits
    // Sentencepiece makes no control piece from a text, but would make these, were they found whole.
    let findable = control.specialIDs.compactMap { id -> [UInt8]? in
      let type = model.type(of: id)
      guard type == CSP_PIECE_USER_DEFINED || type == CSP_PIECE_NORMAL else { return nil }
      return model.piece(id)
    }
    splitter = TextSplitter(
      tokens: vocabulary.textTokens.filter { !control.specialIDs.contains($0.value) },
      control: findable
    )
  }

  /// Encodes a user's text; nothing is added, stripped or normalised but spaces, which become ▁.
  ///
  /// - Returns: Ids of which none is a control token's, whatever the text says.
  /// - Throws: `prompt_too_long` over `limits.promptByteCount`.
  public func encode(_ text: String) throws(TokenizerError) -> [TokenID] {
    let byteCount = text.utf8.count
    guard byteCount <= limits.promptByteCount else {
      throw TokenizerError(
        .promptTooLong,
        "the text has \(byteCount) bytes, \(limits.promptByteCount) are allowed",
        remedy: "Shorten the prompt"
      )
    }
    let bytes = Array(text.utf8)
    var ids: [TokenID] = []
    ids.reserveCapacity(bytes.count / 3 + 1)
    for part in splitter.split(bytes) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range): try vocabulary.model.encode(bytes[range], into: &ids)
      }
    }
    // The splitter and sentencepiece see to this; a checkpoint made to break it ends here.
    for id in ids where control.specialIDs.contains(id) {
      if vocabulary.model.type(of: id) == CSP_PIECE_UNKNOWN { continue }
      throw TokenizerError(
        .controlToken,
        "the text would become control token \(id)",
        remedy: "Use the tokenizer.model that came with the PaliGemma checkpoint"
      )
    }
    return ids
  }

  /// Decodes ids as Hugging Face's `decode` does: `<locNNNN>` and `<segNNN>` stay as text, and an id
  /// without a piece (the vocabulary's padding rows have none) adds nothing.
  public func decode(
    _ ids: some Sequence<TokenID>,
    skippingSpecialTokens: Bool = true
  ) -> String {
    var decoder = StreamingDecoder(self, skippingSpecialTokens: skippingSpecialTokens)
    var text = ""
    for id in ids { text += decoder.push(id) }
    return text + decoder.finish()
  }

  /// The text of one token, spaces shown as ▁; nil when no token has this id.
  public func piece(of id: TokenID) -> String? {
    vocabulary.piece(id).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The id of the token with exactly this text, spaces written as ▁; nil when there is none.
  public func id(ofPiece piece: String) -> TokenID? { vocabulary.id(ofPiece: Array(piece.utf8)) }
}
