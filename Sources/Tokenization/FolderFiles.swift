import Foundation

/// Reads the JSON files of a checkpoint folder; a file that is not there is nil, a broken one an error.
struct JSONFolder {
  let url: URL
  let byteCountMax: Int

  func read<Value: Decodable>(
    _ type: Value.Type,
    from name: String
  ) throws(TokenizerError) -> Value? {
    let path = url.appending(path: name).path(percentEncoded: false)
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let data: Data
    do {
      // One byte more than allowed tells a file that is too large, whatever its size says.
      let file = try FileHandle(forReadingFrom: URL(filePath: path))
      defer { try? file.close() }
      data = try file.read(upToCount: byteCountMax + 1) ?? Data()
    } catch {
      throw TokenizerError(
        .unreadableFile,
        "\(path) cannot be read (\(error))",
        remedy: "Make it a file that this user may read"
      )
    }
    guard data.count <= byteCountMax else {
      throw TokenizerError(
        .invalidFile,
        "\(path) is larger than \(byteCountMax) bytes",
        remedy: "Check that it is the checkpoint's own file"
      )
    }
    do {
      return try JSONDecoder().decode(type, from: data)
    } catch {
      throw TokenizerError(
        .invalidFile,
        "\(path) is not the JSON expected of it (\(error))",
        remedy: "Download it again from the checkpoint's page"
      )
    }
  }
}

/// What matters of `tokenizer_config.json`; names are the file's own.
struct TokenizerConfigFile: Decodable {
  static let name = "tokenizer_config.json"

  var added_tokens_decoder: [String: AddedTokenEntry]?
  var bos_token: TokenName?
  var eos_token: TokenName?
  var pad_token: TokenName?
  var unk_token: TokenName?
}

/// What matters of `tokenizer.json`.
struct TokenizerFile: Decodable {
  static let name = "tokenizer.json"

  var added_tokens: [AddedTokenEntry]?
}

/// What matters of `config.json`.
struct ModelConfigFile: Decodable {
  static let name = "config.json"

  var image_token_index: TokenID?
  var image_token_id: TokenID?
  var bos_token_id: TokenID?
  var eos_token_id: OneOrMany?
  var pad_token_id: TokenID?
}

/// One added token as both tokenizer files write it; `id` only in `tokenizer.json`.
struct AddedTokenEntry: Decodable {
  var id: TokenID?
  var content: String
  var special: Bool?
  var lstrip: Bool?
  var rstrip: Bool?
  var single_word: Bool?
}

/// A token's text, written bare or as an object with `content`.
struct TokenName: Decodable {
  let content: String

  init(from decoder: any Decoder) throws {
    if let bare = try? decoder.singleValueContainer().decode(String.self) {
      content = bare
    } else {
      content = try AddedTokenEntry(from: decoder).content
    }
  }
}

/// One id, or a list of them (as `eos_token_id` may be).
struct OneOrMany: Decodable {
  let ids: [TokenID]

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let one = try? container.decode(TokenID.self) {
      ids = [one]
    } else {
      ids = try container.decode([TokenID].self)
    }
  }
}
