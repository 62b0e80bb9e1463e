import Foundation

extension ModelConfig {
  /// Reads `config.json` (and `generation_config.json` where there is one) of a checkpoint folder.
  public init(directory: String) throws(ModelError) {
    let (path, generation) = (directory + "/config.json", directory + "/generation_config.json")
    try self.init(
      configuration: JSONFields.content(of: path),
      generation: FileManager.default.fileExists(atPath: generation)
        ? JSONFields.content(of: generation) : nil,
      path: path)
  }

  /// Reads the contents of `config.json` and of `generation_config.json`, where there is one.
  ///
  /// - Parameters:
  ///   - configuration: numbers and names, as JSON.
  ///   - generation: what ends an answer, as JSON; nil for none.
  ///   - path: where the former comes from, for messages.
  /// - Throws: what is wrong with them.
  public init(configuration: Data, generation: Data?, path: String) throws(ModelError) {
    try self.init(JSONFields(configuration, path: path), path: path)
    // generation_config.json is where newer folders say what ends an answer.
    if let generation {
      let ids = try JSONFields(generation, path: "generation_config.json").integers("eos_token_id")
      if !ids.isEmpty { endTokenIDs = ids.map { Int32(clamping: $0) } }
    }
  }

  /// Reads the text of a `config.json`, which came from `source`.
  public init(json text: String, from source: String) throws(ModelError) {
    try self.init(JSONFields(Data(text.utf8), path: source), path: source)
  }

  private init(_ object: JSONFields, path: String) throws(ModelError) {
    guard object.string("model_type") == "paligemma" else {
      throw .unsupported("model_type '\(object.string("model_type") ?? "none")' in \(path)")
    }
    let visionFields = object.nested("vision_config")
    let textFields = object.nested("text_config")
    let textType = textFields.string("model_type") ?? "gemma"
    guard textType == "gemma" else { throw .unsupported("text model '\(textType)' in \(path)") }
    try Self.refuseUnsupported(vision: visionFields, text: textFields, path: path)
    vision = Vision(visionFields)
    text = Text(textFields)
    imageTokenID = Int32(
      clamping: object.integer("image_token_index")
        ?? object.integer("image_token_id") ?? 256_000)
    let ends = [object, textFields].map { $0.integers("eos_token_id") }.first { !$0.isEmpty }
    endTokenIDs = (ends ?? [1]).map { Int32(clamping: $0) }
    beginTokenID = Int32(
      clamping: object.integer("bos_token_id")
        ?? textFields.integer("bos_token_id") ?? 2)
    paddingTokenID = Int32(
      clamping: object.integer("pad_token_id")
        ?? textFields.integer("pad_token_id") ?? 0)
    // Google's files give 257152 in one place and 257216, with padding, in text_config.
    if textFields.integer("vocab_size") == nil, let outer = object.integer("vocab_size") {
      text.vocabularyCount = outer
    }
    if let rule = brokenRule { throw .configuration(path: path, reason: rule) }
  }
}

extension ModelConfig {
  /// What the arithmetic here doesn't do is refused, never computed as if it weren't there.
  private static func refuseUnsupported(
    vision: JSONFields, text: JSONFields, path: String
  ) throws(ModelError) {
    // In both towers GELU is the tanh form; Gemma's legacy "gelu" means it too (numerics.md 13).
    let tanhForms = ["gelu_pytorch_tanh", "gelu_new", "gelu_fast"]
    let activations = [
      (vision, "hidden_act", tanhForms), (text, "hidden_act", tanhForms + ["gelu"]),
      (text, "hidden_activation", tanhForms + ["gelu"]),
    ]
    for (fields, name, known) in activations {
      if let value = fields.string(name), !known.contains(value) {
        throw .unsupported("\(name) '\(value)' in \(path)")
      }
    }
    if text.boolean("attention_bias") == true {
      throw .unsupported("attention_bias in \(path)")
    }
    let rope = text.nested("rope_parameters")
    for type in [rope.string("rope_type"), text.nested("rope_scaling").string("type")] {
      if let type, type != "default" { throw .unsupported("rope type '\(type)' in \(path)") }
    }
    if text.has("rope_scaling") { throw .unsupported("rope_scaling in \(path)") }
  }
}

// Defaults: PaliGemmaConfig's sub-configurations of transformers 5.23, which older hub files rely
// on (configuration_paligemma.py, configuration_siglip.py, configuration_gemma.py).
extension ModelConfig.Vision {
  fileprivate init(_ fields: JSONFields) {
    self.init(
      layerCount: fields.integer("num_hidden_layers") ?? 12,
      width: fields.integer("hidden_size") ?? 768,
      headCount: fields.integer("num_attention_heads") ?? 12,
      feedForwardWidth: fields.integer("intermediate_size") ?? 3072,
      imageSide: fields.integer("image_size") ?? 224,
      patchSide: fields.integer("patch_size") ?? 16,
      epsilon: fields.float("layer_norm_eps") ?? 1e-6)
  }
}

extension ModelConfig.Text {
  fileprivate init(_ fields: JSONFields) {
    self.init(
      layerCount: fields.integer("num_hidden_layers") ?? 28,
      width: fields.integer("hidden_size") ?? 3072,
      headCount: fields.integer("num_attention_heads") ?? 16,
      keyValueHeadCount: fields.integer("num_key_value_heads") ?? 16,
      headWidth: fields.integer("head_dim") ?? 256,
      feedForwardWidth: fields.integer("intermediate_size") ?? 24576,
      vocabularyCount: fields.integer("vocab_size") ?? 256_000,
      epsilon: fields.float("rms_norm_eps") ?? 1e-6,
      ropeTheta: fields.nested("rope_parameters").float("rope_theta")
        ?? fields.float("rope_theta") ?? 10000,
      positionCountMaximum: fields.integer("max_position_embeddings") ?? 8192)
  }
}

/// Typed looks into a JSON object; a value of another type counts as absent.
struct JSONFields {
  private let object: [String: Any]

  static func content(of path: String) throws(ModelError) -> Data {
    do { return try Data(contentsOf: URL(filePath: path)) } catch {
      throw .configuration(path: path, reason: "cannot be read")
    }
  }

  init(_ data: Data, path: String) throws(ModelError) {
    guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any] else {
      throw .configuration(path: path, reason: "is not a JSON object")
    }
    self.object = object
  }

  private init(_ object: [String: Any]) { self.object = object }

  func nested(_ name: String) -> JSONFields {
    JSONFields(object[name] as? [String: Any] ?? [:])
  }
  func integer(_ name: String) -> Int? { object[name] as? Int }
  func float(_ name: String) -> Float? { (object[name] as? Double).map { Float($0) } }
  func boolean(_ name: String) -> Bool? { object[name] as? Bool }
  func has(_ name: String) -> Bool { object[name] != nil && !(object[name] is NSNull) }
  func string(_ name: String) -> String? { object[name] as? String }
  func integers(_ name: String) -> [Int] {
    (object[name] as? [Int]) ?? (object[name] as? Int).map { [$0] } ?? []
  }
}
