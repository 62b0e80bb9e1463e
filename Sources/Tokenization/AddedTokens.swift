import Foundation

/// One token that a checkpoint has beside, or marked within, its sentencepiece model.
struct AddedToken: Equatable, Sendable {
  let id: TokenID
  /// Its text as UTF-8; not a `String`, for which é equals e + ´.
  let content: [UInt8]
  /// Left out of decoded text, and never made from a user's text.
  let isSpecial: Bool

  var name: String { String(decoding: content, as: UTF8.self) }
}

/// Gathers the added tokens of a checkpoint folder.
///
/// The first of `tokenizer_config.json` (`added_tokens_decoder`), `added_tokens.json` and
/// `tokenizer.json` (`added_tokens`) that lists any is taken; the last is the slowest to read, as it
/// holds the whole vocabulary.
struct AddedTokenReader {
  let folder: JSONFolder
  let limits: TokenizerLimits

  func read(config: TokenizerConfigFile) throws(TokenizerError) -> [AddedToken] {
    if let entries = config.added_tokens_decoder, !entries.isEmpty {
      var tokens: [AddedToken] = []
      try check(count: entries.count, in: TokenizerConfigFile.name)
      for (key, entry) in entries {
        guard let id = TokenID(key) else {
          throw invalid("\(TokenizerConfigFile.name): \"\(key)\" is not a token id")
        }
        tokens.append(try token(id: id, entry, in: TokenizerConfigFile.name))
      }
      return try unique(tokens, in: TokenizerConfigFile.name)
    }
    if let entries = try folder.read([String: TokenID].self, from: "added_tokens.json"),
      !entries.isEmpty
    {
      try check(count: entries.count, in: "added_tokens.json")
      return try unique(
        entries.map { AddedToken(id: $1, content: Array($0.utf8), isSpecial: false) },
        in: "added_tokens.json"
      )
    }
    guard let file = try folder.read(TokenizerFile.self, from: TokenizerFile.name) else {
      return []
    }
    var tokens: [AddedToken] = []
    try check(count: file.added_tokens?.count ?? 0, in: TokenizerFile.name)
    for entry in file.added_tokens ?? [] {
      guard let id = entry.id else { throw invalid("\(TokenizerFile.name): a token without id") }
      tokens.append(try token(id: id, entry, in: TokenizerFile.name))
    }
    return try unique(tokens, in: TokenizerFile.name)
  }

  private func token(
    id: TokenID,
    _ entry: AddedTokenEntry,
    in file: String
  ) throws(TokenizerError) -> AddedToken {
    let isSpecial = entry.special ?? false
    // Special tokens are never looked for in a text, so how they would take in spaces is idle.
    let hasBorders = entry.lstrip == true || entry.rstrip == true || entry.single_word == true
    guard isSpecial || !hasBorders else {
      throw TokenizerError(
        .unsupported,
        "\(file): \"\(entry.content)\" has lstrip, rstrip or single_word set",
        remedy: "Set these to false, as in Google's PaliGemma checkpoints"
      )
    }
    return AddedToken(id: id, content: Array(entry.content.utf8), isSpecial: isSpecial)
  }

  private func check(count: Int, in file: String) throws(TokenizerError) {
    guard count <= limits.addedTokenCount else {
      throw invalid("\(file) lists \(count) added tokens, more than \(limits.addedTokenCount)")
    }
  }

  /// Sorted by id; refuses two texts for one id, two ids for one text, and empty or huge texts.
  private func unique(
    _ tokens: [AddedToken],
    in file: String
  ) throws(TokenizerError) -> [AddedToken] {
    var contents: [[UInt8]: TokenID] = [:]
    var ids: [TokenID: [UInt8]] = [:]
    for token in tokens {
      guard token.id >= 0, token.id < Self.idMax, (1...Self.byteMax).contains(token.content.count)
      else { throw invalid("\(file): token \(token.id) has an impossible id or length") }
      if let other = contents.updateValue(token.id, forKey: token.content), other != token.id {
        throw Self.conflict("\(file): \"\(token.name)\" has the ids \(other) and \(token.id)")
      }
      if let other = ids.updateValue(token.content, forKey: token.id), other != token.content {
        throw Self.conflict("\(file): id \(token.id) has two texts, one of them \"\(token.name)\"")
      }
    }
    return tokens.sorted { $0.id < $1.id }
  }

  /// Vocabularies end far below: Gemma 3 has 262,208 rows.
  private static let idMax: TokenID = 1 << 20
  private static let byteMax = 256

  private func invalid(_ cause: String) -> TokenizerError {
    TokenizerError(
      .invalidFile,
      cause,
      remedy: "Download the file again from the checkpoint's page"
    )
  }

  static func conflict(_ cause: String) -> TokenizerError {
    TokenizerError(.conflict, cause, remedy: "Take all tokenizer files from one checkpoint")
  }
}
