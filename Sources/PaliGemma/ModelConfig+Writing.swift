import Foundation
import Tensors

/// The JSON files of a checkpoint folder, in the form of Google's hub files.
extension ModelConfig {
  /// What `config.json`, `preprocessor_config.json` and `generation_config.json` say.
  ///
  /// - Parameter elementType: how the weights are stored, which Hugging Face wants to know.
  /// - Returns: file names and contents.
  public func hubFiles(elementType: ElementType) -> [(name: String, content: Data)] {
    [
      ("config.json", hubConfig(elementType)),
      ("preprocessor_config.json", hubPreprocessor),
      (
        "generation_config.json",
        [
          "bos_token_id": beginTokenID, "eos_token_id": endTokenIDs.first ?? 1,
          "pad_token_id": paddingTokenID,
        ]
      ),
    ].map { name, object in (name, Self.json(object)) }
  }

  /// What `config.json` says, for somebody who has no files.
  public var json: String { String(decoding: Self.json(hubConfig(.f32)), as: UTF8.self) }

  private func hubConfig(_ elementType: ElementType) -> [String: Any] {
    let type = Self.torchNames[elementType] ?? "float32"
    return [
      "architectures": ["PaliGemmaForConditionalGeneration"],
      "bos_token_id": beginTokenID, "eos_token_id": endTokenIDs.first ?? 1,
      "pad_token_id": paddingTokenID, "image_token_index": imageTokenID,
      "hidden_size": text.width, "ignore_index": -100, "model_type": "paligemma",
      "projection_dim": text.width, "torch_dtype": type, "vocab_size": text.vocabularyCount,
      "text_config": [
        "head_dim": text.headWidth, "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": text.width, "intermediate_size": text.feedForwardWidth,
        "max_position_embeddings": text.positionCountMaximum, "model_type": "gemma",
        "num_attention_heads": text.headCount, "num_hidden_layers": text.layerCount,
        "num_image_tokens": imageTokenCount, "num_key_value_heads": text.keyValueHeadCount,
        "rms_norm_eps": Self.decimal(text.epsilon), "rope_theta": Self.decimal(text.ropeTheta),
        "torch_dtype": type, "vocab_size": text.vocabularyCount,
      ] as [String: Any],
      "vision_config": [
        "hidden_size": vision.width, "image_size": vision.imageSide,
        "intermediate_size": vision.feedForwardWidth,
        "layer_norm_eps": Self.decimal(vision.epsilon), "model_type": "siglip_vision_model",
        "num_attention_heads": vision.headCount, "num_hidden_layers": vision.layerCount,
        "num_image_tokens": imageTokenCount, "patch_size": vision.patchSide,
        "projection_dim": text.width, "projector_hidden_act": "gelu_fast",
        "vision_use_head": false,
      ] as [String: Any],
    ]
  }

  private var hubPreprocessor: [String: Any] {
    [
      "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
      "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
      "image_processor_type": "SiglipImageProcessor", "image_seq_length": imageTokenCount,
      "processor_class": "PaliGemmaProcessor", "resample": 3,
      "rescale_factor": NSDecimalNumber(string: "0.00392156862745098"),
      "size": ["height": vision.imageSide, "width": vision.imageSide],
    ]
  }

  private static let torchNames: [ElementType: String] = [
    .f32: "float32", .f16: "float16", .bf16: "bfloat16",
  ]

  /// The shortest decimal form of `value`: 1e-06, not the digits of its nearest double.
  private static func decimal(_ value: Float) -> NSDecimalNumber {
    NSDecimalNumber(string: "\(value)")
  }

  private static func json(_ object: [String: Any]) -> Data {
    // Our own literals are valid JSON; the fallback only keeps this function total.
    (try? JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys]))
      ?? Data("{}".utf8)
  }
}
