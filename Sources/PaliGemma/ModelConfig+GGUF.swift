import Checkpoints
import Foundation

extension ModelConfig {
  /// The numbers of a PaliGemma that comes as two GGUF files, as llama.cpp has such models: the text model
  /// (architecture `gemma`) and the vision half (clip.cpp's `mmproj`).
  ///
  /// What has no default in llama.cpp must be there.
  init(text file: GGUFFile, projector: GGUFFile) throws(SynthesisError) {
    let (textFields, visionFields) = (GGUFFields(file), GGUFFields(projector))
    let architecture = try textFields.text("general.architecture")
    // PaliGemma 2 is gemma2: other norms, soft caps, sliding windows.
    guard architecture == "gemma" else {
      throw .model(.unsupported("architecture '\(architecture)' in \(file.path)"))
    }
    let visionArchitecture = try visionFields.text("general.architecture")
    guard visionArchitecture == "clip" else {
      throw .model(.unsupported("architecture '\(visionArchitecture)' in \(projector.path)"))
    }
    self.init(
      vision: try visionFields.vision(), text: try textFields.decoder(),
      imageTokenID: try textFields.imageTokenID(),
      endTokenIDs: [try textFields.token("tokenizer.ggml.eos_token_id")],
      beginTokenID: try textFields.token("tokenizer.ggml.bos_token_id"),
      paddingTokenID: file.metadata["tokenizer.ggml.padding_token_id"] == nil
        ? 0 : try textFields.token("tokenizer.ggml.padding_token_id"))
    if let rule = brokenRule { throw .model(.configuration(path: file.path, reason: rule)) }
  }
}

/// Typed looks into a file's metadata; what is missing or of another kind is an error by its name.
struct GGUFFields {
  private let file: GGUFFile

  init(_ file: GGUFFile) { self.file = file }

  /// A published PaliGemma's `<image>`; converters leave its name out where the vocabulary's padding begins.
  private static let publishedImageTokenID = 257_152

  func missing(_ key: String, _ kind: String) -> SynthesisError {
    .checkpoint(
      .malformed(path: file.path, reason: "its metadata have no \(kind) named '\(key)'"))
  }

  func text(_ key: String) throws(SynthesisError) -> String {
    guard let text = file.metadata[key]?.text else { throw missing(key, "text") }
    return text
  }

  func integer(_ key: String) throws(SynthesisError) -> Int {
    guard let integer = file.metadata[key]?.integer else { throw missing(key, "integer") }
    return integer
  }

  func float(_ key: String) throws(SynthesisError) -> Float {
    guard let float = file.metadata[key]?.float else { throw missing(key, "number") }
    return float
  }

  func token(_ key: String) throws(SynthesisError) -> Int32 {
    guard let id = Int32(exactly: try integer(key)), id >= 0 else {
      throw missing(key, "token id")
    }
    return id
  }

  fileprivate func decoder() throws(SynthesisError) -> ModelConfig.Text {
    guard let table = file.entries["token_embd.weight"] else {
      throw .checkpoint(.missingTensor(name: "token_embd.weight", directory: file.path))
    }
    if let scaling = file.metadata["gemma.rope.scaling.type"]?.text, scaling != "none" {
      throw .model(.unsupported("gemma.rope.scaling.type '\(scaling)' in \(file.path)"))
    }
    let headWidth = try integer("gemma.attention.key_length")
    if let width = file.metadata["gemma.attention.value_length"]?.integer, width != headWidth {
      throw .model(.unsupported("values of width \(width), keys of \(headWidth) in \(file.path)"))
    }
    return ModelConfig.Text(
      layerCount: try integer("gemma.block_count"),
      width: try integer("gemma.embedding_length"),
      headCount: try integer("gemma.attention.head_count"),
      keyValueHeadCount: try integer("gemma.attention.head_count_kv"),
      headWidth: headWidth,
      feedForwardWidth: try integer("gemma.feed_forward_length"),
      vocabularyCount: table.shape.first ?? 0,
      epsilon: try float("gemma.attention.layer_norm_rms_epsilon"),
      // llama.cpp's own default; converters write it only since 2024.
      ropeTheta: file.metadata["gemma.rope.freq_base"] == nil
        ? 10_000 : try float("gemma.rope.freq_base"),
      positionCountMaximum: try integer("gemma.context_length"))
  }

  /// `clip.use_gelu` is not looked at: it chooses between clip.cpp's two approximations, and converters differ
  /// in it for SigLIP, whose activation is one and the same.
  fileprivate func vision() throws(SynthesisError) -> ModelConfig.Vision {
    if file.metadata["clip.use_silu"]?.boolean == true {
      throw .model(.unsupported("clip.use_silu in \(file.path)"))
    }
    for key in ["clip.vision.image_mean", "clip.vision.image_std"] {
      guard let values = file.metadata[key]?.list?.floats else { continue }
      guard values.allSatisfy({ $0 == 0.5 }) else {
        throw .model(.unsupported("\(key) \(values.prefix(3)) in \(file.path)"))
      }
    }
    return ModelConfig.Vision(
      layerCount: try integer("clip.vision.block_count"),
      width: try integer("clip.vision.embedding_length"),
      headCount: try integer("clip.vision.attention.head_count"),
      feedForwardWidth: try integer("clip.vision.feed_forward_length"),
      imageSide: try integer("clip.vision.image_size"),
      patchSide: try integer("clip.vision.patch_size"),
      epsilon: try float("clip.vision.attention.layer_norm_epsilon"))
  }

  /// The token named `<image>`, else the published model's.
  fileprivate func imageTokenID() throws(SynthesisError) -> Int32 {
    let key = "tokenizer.ggml.tokens"
    guard let tokens = file.metadata[key]?.list?.texts else { throw missing(key, "list of texts") }
    let name = Array("<image>".utf8)
    let rows = file.entries["token_embd.weight"]?.shape.first ?? 0
    guard
      let id = tokens.firstIndex(of: name)
        ?? (rows > Self.publishedImageTokenID ? Self.publishedImageTokenID : nil)
    else {
      throw .checkpoint(
        .malformed(path: file.path, reason: "no token is called <image>: it is no PaliGemma's"))
    }
    return Int32(clamping: id)
  }
}
