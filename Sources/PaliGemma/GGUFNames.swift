import Checkpoints

/// Which tensor of a GGUF pair has the numbers of which weight; names are those of gguf-py's
/// `constants.py` and of clip.cpp.
struct GGUFNames {
  /// Whether `ffn_down` is the first product of a vision layer's feed-forward and `ffn_up` the second, as
  /// converters called them until May 2025 (llama.cpp's pull request 13290). Only their shapes tell.
  let isFeedForwardTurned: Bool

  init(projector: GGUFFile, config: ModelConfig.Vision) {
    let turned = [config.width, config.feedForwardWidth]
    isFeedForwardTurned =
      config.width != config.feedForwardWidth
      && projector.entries["v.blk.0.ffn_up.weight"]?.shape == turned
  }

  /// Names to try for the weight with hub name `name`; empty for none.
  func candidates(_ name: String) -> [String] {
    for (hub, others) in Self.parts where name.hasPrefix(hub) {
      return others.map { $0 + name.dropFirst(hub.count) }
    }
    for (hub, prefix, layer) in [
      ("language_model.model.layers.", "blk.", Self.decoderLayer),
      ("vision_tower.vision_model.encoder.layers.", "v.blk.", visionLayer),
    ] where name.hasPrefix(hub) {
      let rest = name.dropFirst(hub.count)
      guard let dot = rest.firstIndex(of: ".") else { return [] }
      let (number, part) = (rest[..<dot], rest[rest.index(after: dot)...])
      for (hub, own) in layer where part.hasPrefix(hub) {
        return [prefix + number + "." + own + part.dropFirst(hub.count)]
      }
    }
    return []
  }

  private static let parts: [(hub: String, others: [String])] = [
    ("language_model.model.embed_tokens.", ["token_embd."]),
    ("language_model.model.norm.", ["output_norm."]),
    ("language_model.lm_head.", ["output."]),
    ("vision_tower.vision_model.embeddings.patch_embedding.", ["v.patch_embd."]),
    ("vision_tower.vision_model.embeddings.position_embedding.", ["v.position_embd."]),
    ("vision_tower.vision_model.post_layernorm.", ["v.post_ln."]),
    // clip.cpp's name for a LLaVA projector's first product; newer converters have a name of its own.
    ("multi_modal_projector.linear.", ["mm.0.", "mm.input_projection."]),
  ]

  private static let decoderLayer: KeyValuePairs = [
    "input_layernorm.": "attn_norm.", "post_attention_layernorm.": "ffn_norm.",
    // Gemma turns halves (NeoX), so rows of q and k are in the Hub's order: only llama's are permuted.
    "self_attn.q_proj.": "attn_q.", "self_attn.k_proj.": "attn_k.",
    "self_attn.v_proj.": "attn_v.", "self_attn.o_proj.": "attn_output.",
    "mlp.gate_proj.": "ffn_gate.", "mlp.up_proj.": "ffn_up.", "mlp.down_proj.": "ffn_down.",
  ]

  private var visionLayer: KeyValuePairs<String, String> {
    let (first, second) =
      isFeedForwardTurned ? ("ffn_down.", "ffn_up.") : ("ffn_up.", "ffn_down.")
    return [
      "layer_norm1.": "ln1.", "layer_norm2.": "ln2.",
      "self_attn.q_proj.": "attn_q.", "self_attn.k_proj.": "attn_k.",
      "self_attn.v_proj.": "attn_v.", "self_attn.out_proj.": "attn_out.",
      "mlp.fc1.": first, "mlp.fc2.": second,
    ]
  }
}
