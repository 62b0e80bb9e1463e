import Checkpoints
import Foundation

/// The tokenizer in a GGUF file's metadata, as the files that a checkpoint folder has.
///
/// `tokenizer.ggml.model` `llama` is sentencepiece: pieces with their scores and kinds, whose numbers are
/// those of sentencepiece_model.proto. What the file doesn't say is what all Gemma tokenizers have: BPE,
/// byte fallback, no prefix put before a text, no spaces taken out.
public struct GGUFTokenizer {
  /// Kinds of pieces, by the numbers that both formats have.
  private enum Kind { static let (unknown, control, userDefined, unused) = (2, 3, 4, 5) }
  private static let key = "tokenizer.ggml."

  private var pieces: [[UInt8]]
  private let scores: [Float]
  private let kinds: [Int]
  /// Control tokens by their names in `tokenizer_config.json`.
  private var control: [(name: String, id: Int)] = []

  /// Reads the lists; nothing of their content is checked but counts, kinds and ids.
  ///
  /// - Throws: what is missing or of another kind, by its name.
  public init(_ file: GGUFFile) throws(SynthesisError) {
    let fields = GGUFFields(file)
    let model = try fields.text(Self.key + "model")
    guard model == "llama" else {
      throw .model(.unsupported("\(Self.key)model '\(model)' in \(file.path)"))
    }
    func list<Value>(
      _ name: String, _ kind: String, _ read: (GGUFList) -> [Value]?
    ) throws(SynthesisError) -> [Value] {
      guard let values = file.metadata[Self.key + name]?.list.flatMap(read) else {
        throw fields.missing(Self.key + name, "list of \(kind)")
      }
      return values
    }
    pieces = try list("tokens", "texts") { $0.texts }
    scores = try list("scores", "numbers") { $0.floats }
    kinds = try list("token_type", "integers") { $0.integers }
    guard scores.count == pieces.count, kinds.count == pieces.count,
      kinds.allSatisfy({ (1...6).contains($0) })
    else {
      throw .checkpoint(
        .malformed(
          path: file.path,
          reason: "\(pieces.count) tokens with \(scores.count) scores and \(kinds.count) kinds"))
    }
    removePadding()
    restoreSpaces()
    for (name, key) in [("bos_token", "bos_token_id"), ("eos_token", "eos_token_id")] {
      control.append((name, Int(try fields.token(Self.key + key))))
    }
    if let id = kinds.firstIndex(of: Kind.unknown) { control.append(("unk_token", id)) }
    if let id = file.metadata[Self.key + "padding_token_id"]?.integer {
      control.append(("pad_token", id))
    }
    for (name, id) in control where !pieces.indices.contains(id) {
      throw .checkpoint(.malformed(path: file.path, reason: "\(name) is \(id), which is no token"))
    }
  }

  /// Converters fill the list up to the rows of the embedding with `[PAD257153]` and so on: no tokens.
  private mutating func removePadding() {
    while let last = pieces.last, kinds[pieces.count - 1] == Kind.unused,
      last == Array("[PAD\(pieces.count - 1)]".utf8)
    {
      pieces.removeLast()
    }
  }

  /// convert_hf_to_gguf.py writes spaces in user-defined pieces as spaces; sentencepiece knows them as ▁.
  private mutating func restoreSpaces() {
    for index in pieces.indices where kinds[index] == Kind.userDefined {
      guard pieces[index].contains(0x20) else { continue }
      pieces[index] = pieces[index].flatMap { $0 == 0x20 ? Array("▁".utf8) : [$0] }
    }
  }

  /// `tokenizer.model` and `tokenizer_config.json`.
  public var files: [(name: String, content: Data)] {
    var names: [String: Any] = [
      "tokenizer_class": "GemmaTokenizer", "add_bos_token": true, "add_eos_token": false,
    ]
    for (name, id) in control { names[name] = String(decoding: pieces[id], as: UTF8.self) }
    if pieces.contains(Array("<image>".utf8)) { names["additional_special_tokens"] = ["<image>"] }
    // Beside being pieces these are looked for in a text as it stands, before its spaces become ▁.
    var added: [String: Any] = [:]
    for (id, piece) in pieces.enumerated()
    where [Kind.unknown, Kind.control, Kind.userDefined].contains(kinds[id]) {
      added["\(id)"] =
        [
          "content": String(decoding: piece, as: UTF8.self), "lstrip": false, "rstrip": false,
          "normalized": false, "single_word": false, "special": kinds[id] != Kind.userDefined,
        ] as [String: Any]
    }
    names["added_tokens_decoder"] = added
    let json = try? JSONSerialization.data(
      withJSONObject: names, options: [.prettyPrinted, .sortedKeys])
    return [("tokenizer.model", model), ("tokenizer_config.json", json ?? Data("{}".utf8))]
  }

  /// The ModelProto of sentencepiece_model.proto; numbers of fields are that file's.
  private var model: Data {
    var message = ProtobufWriter()
    for (index, piece) in pieces.enumerated() {
      var part = ProtobufWriter()
      part.add(1, piece)
      part.add(2, scores[index])
      part.add(3, kinds[index])
      message.add(1, part.bytes)
    }
    var trainer = ProtobufWriter()
    trainer.add(3, 2)  // model_type BPE
    trainer.add(4, pieces.count)  // vocab_size
    trainer.add(35, 1)  // byte_fallback
    let fields = ["unk_token": 40, "bos_token": 41, "eos_token": 42, "pad_token": 43]
    for (name, id) in control {
      guard let field = fields[name] else { continue }
      trainer.add(field, id)
      trainer.add(field + 5, pieces[id])  // unk_piece and so on
    }
    message.add(2, trainer.bytes)
    var normalizer = ProtobufWriter()
    normalizer.add(1, Array("identity".utf8))
    normalizer.add(3, 0)  // add_dummy_prefix
    normalizer.add(4, 0)  // remove_extra_whitespaces
    normalizer.add(5, 1)  // escape_whitespaces
    message.add(3, normalizer.bytes)
    return Data(message.bytes)
  }
}

/// Writes protobuf's three kinds of fields that are needed here.
private struct ProtobufWriter {
  private(set) var bytes: [UInt8] = []

  mutating func add(_ field: Int, _ content: [UInt8]) {
    varint(UInt64(field) << 3 | 2)
    varint(UInt64(content.count))
    bytes += content
  }
  mutating func add(_ field: Int, _ value: Int) {
    varint(UInt64(field) << 3)
    varint(UInt64(bitPattern: Int64(value)))
  }
  mutating func add(_ field: Int, _ value: Float) {
    varint(UInt64(field) << 3 | 5)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
