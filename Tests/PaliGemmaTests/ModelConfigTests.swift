import Foundation
import PaliGemma
import Tensors
import Testing

/// `config.json` in the forms that are about: full and short, old names and new, and broken ones.
@Suite struct ModelConfigTests {
  /// A folder with `config.json` (and `generation_config.json`), read.
  private func read(_ config: Any, generation: Any? = nil) throws -> ModelConfig {
    let folder = try TemporaryFolder()
    try folder.write(try JSONSerialization.data(withJSONObject: config), as: "config.json")
    if let generation {
      try folder.write(
        try JSONSerialization.data(withJSONObject: generation), as: "generation_config.json")
    }
    return try ModelConfig(directory: folder.path)
  }

  /// What Google's file for the 3B at 224 px says, which leaves most to defaults.
  static let published: [String: any Sendable] = [
    "model_type": "paligemma", "image_token_index": 257_152, "bos_token_id": 2,
    "eos_token_id": 1, "pad_token_id": 0, "vocab_size": 257_216, "hidden_size": 2048,
    "text_config": [
      "model_type": "gemma", "hidden_size": 2048, "intermediate_size": 16384,
      "num_attention_heads": 8, "num_hidden_layers": 18, "num_key_value_heads": 1,
      "vocab_size": 257_216,
    ] as [String: any Sendable],
    "vision_config": [
      "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
      "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14,
    ] as [String: any Sendable],
  ]

  @Test func shortFormMeansTheDefaults() throws {
    let config = try read(Self.published)
    let preset = try #require(SynthesisPreset.named("paligemma-3b-224"))
    #expect(config == preset.config)
  }

  @Test func newForm() throws {
    var object = Self.published
    object["image_token_index"] = nil
    object["image_token_id"] = 300
    object["eos_token_id"] = nil
    var text = object["text_config"] as? [String: any Sendable] ?? [:]
    text["rope_parameters"] = ["rope_theta": 5000.0]
    text["rope_theta"] = 7.0
    text["use_bidirectional_attention"] = true
    text["head_dim"] = 64
    text["rms_norm_eps"] = 1e-5
    object["text_config"] = text
    let config = try read(object)
    #expect(config.imageTokenID == 300)
    #expect(config.text.ropeTheta == 5000)
    #expect(config.text.headWidth == 64)
    #expect(config.text.epsilon == 1e-5)
    #expect(config.endTokenIDs == [1])
  }

  @Test func allEndTokensCount() throws {
    var object = Self.published
    object["eos_token_id"] = [1, 1587]
    #expect(try read(object).endTokenIDs == [1, 1587])
    object["eos_token_id"] = nil
    var text = object["text_config"] as? [String: any Sendable] ?? [:]
    text["eos_token_id"] = [1, 9]
    object["text_config"] = text
    #expect(try read(object).endTokenIDs == [1, 9])
    #expect(try read(object, generation: ["eos_token_id": 107]).endTokenIDs == [107])
  }

  /// What would be computed wrongly is refused.
  @Test func unsupportedArithmeticIsRefused() throws {
    let cases: [(String, String, any Sendable)] = [
      ("text_config", "attention_bias", true), ("text_config", "hidden_act", "relu"),
      ("text_config", "hidden_activation", "silu"),
      (
        "text_config", "rope_parameters",
        ["rope_type": "linear", "factor": 4.0] as [String: any Sendable]
      ),
      ("text_config", "rope_scaling", ["type": "linear", "factor": 2.0] as [String: any Sendable]),
      ("vision_config", "hidden_act", "gelu"), ("vision_config", "hidden_act", "quick_gelu"),
    ]
    for (part, field, value) in cases {
      var object = Self.published
      var fields = object[part] as? [String: any Sendable] ?? [:]
      fields[field] = value
      object[part] = fields
      #expect("\(part).\(field)") { try read(object) } throws: {
        if case .unsupported = $0 as? ModelError { true } else { false }
      }
    }
    var legacy = Self.published
    var text = legacy["text_config"] as? [String: any Sendable] ?? [:]
    text["hidden_act"] = "gelu"
    text["attention_bias"] = false
    text["rope_parameters"] =
      ["rope_type": "default", "rope_theta": 10000.0] as [String: any Sendable]
    legacy["text_config"] = text
    #expect(try read(legacy) == read(Self.published))
  }

  @Test func vocabularyOfTheOldestFilesStandsOutside() throws {
    var object = Self.published
    var text = object["text_config"] as? [String: any Sendable] ?? [:]
    text["vocab_size"] = nil
    object["text_config"] = text
    #expect(try read(object).text.vocabularyCount == 257_216)
  }

  @Test func generationConfigSaysWhatEndsAnAnswer() throws {
    let several = try read(Self.published, generation: ["eos_token_id": [1, 107]])
    #expect(several.endTokenIDs == [1, 107])
    #expect(try read(Self.published, generation: ["eos_token_id": 5]).endTokenIDs == [5])
    #expect(try read(Self.published, generation: ["max_length": 3]).endTokenIDs == [1])
  }

  @Test func whatIsWrittenIsRead() throws {
    for preset in SynthesisPreset.all {
      let folder = try TemporaryFolder()
      for file in preset.config.hubFiles(elementType: .bf16) {
        try folder.write(file.content, as: file.name)
      }
      #expect(try ModelConfig(directory: folder.path) == preset.config, "\(preset.name)")
    }
  }

  /// One bad value each, and the word the message must have.
  static let bad: [(part: String?, field: String, value: any Sendable, word: String)] = [
    (nil, "model_type", "llava", "llava"),
    ("text_config", "model_type", "gemma2", "gemma2"),
    ("text_config", "hidden_activation", "relu", "relu"),
    ("vision_config", "hidden_act", "silu", "silu"),
    ("text_config", "num_hidden_layers", 0, "out of range"),
    ("text_config", "hidden_size", -4, "out of range"),
    ("text_config", "vocab_size", 1 << 40, "out of range"),
    ("text_config", "head_dim", 15, "odd"),
    ("text_config", "num_key_value_heads", 3, "3 key/value heads"),
    ("text_config", "num_hidden_layers", 1025, "1025 layers"),
    ("text_config", "head_dim", 1 << 22, "heads of width"),
    ("text_config", "rope_theta", 0.0, "positive"),
    ("text_config", "rms_norm_eps", -1e-6, "positive"),
    ("vision_config", "image_size", 225, "no multiple of patch_size"),
    ("vision_config", "image_size", 14 << 11, "too large"),
    ("vision_config", "patch_size", 0, "out of range"),
    ("vision_config", "num_attention_heads", 7, "no multiple of 7 heads"),
    ("vision_config", "num_hidden_layers", Int.max, "out of range"),
    ("vision_config", "layer_norm_eps", 0.0, "positive"),
  ]

  @Test(arguments: bad.indices) func badValuesAreErrors(_ index: Int) throws {
    let bad = Self.bad[index]
    var object = Self.published
    if let part = bad.part {
      var fields = object[part] as? [String: any Sendable] ?? [:]
      fields[bad.field] = bad.value
      object[part] = fields
    } else {
      object[bad.field] = bad.value
    }
    let error = #expect(throws: ModelError.self) { try read(object) }
    let message = error?.description ?? ""
    #expect(message.contains(bad.word), "\(message)")
    #expect(message.contains("config.json"), "\(message)")
  }

  @Test(arguments: ["", "{", "[]", "null", "3", "\"paligemma\"", "{\"model_type\":1}"])
  func whatIsNoConfigIsAnError(_ text: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(Data(text.utf8), as: "config.json")
    #expect(throws: ModelError.self) { try ModelConfig(directory: folder.path) }
  }

  @Test func missingFileIsAnErrorThatNamesIt() {
    let error = #expect(throws: ModelError.self) { try ModelConfig(directory: "/nonexistent") }
    #expect(error?.description.contains("/nonexistent/config.json") == true)
  }

  /// Numbers of other types, sizes and signs: an error or a config, never a trap.
  @Test func oddNumbersNeverTrap() throws {
    let odd: [any Sendable] = [
      0, -1, 1, 3, 1 << 24, 1 << 31, 1 << 62, Int.max, Int.min, 0.5, -2.5, 1e300, true, "8", [8],
    ]
    var answers = 0
    for part in ["text_config", "vision_config", ""] {
      let fields =
        part.isEmpty
        ? Self.published : Self.published[part] as? [String: any Sendable] ?? [:]
      for field in fields.keys.sorted() {
        for value in odd {
          var changed = fields
          changed[field] = value
          var object = Self.published
          if part.isEmpty { object = changed } else { object[part] = changed }
          if let config = try? read(object) {
            answers += config.blockCount
            _ = config.blocks.prefix(3).map { config.operations(of: $0) }
          }
        }
      }
    }
    #expect(answers > 0)
  }
}
