/// One tensor that a checkpoint of a model holds.
public struct ModelWeight: Sendable, Equatable {
  /// What kind of numbers it holds; tells what a sensible random value is.
  public enum Role: Sendable, Equatable {
    /// A matrix of a product with `inputs` inputs per output.
    case product(inputs: Int)
    /// The matrix behind a decoder layer's attention.
    case attentionOutput(inputs: Int)
    /// What a product or a LayerNorm adds.
    case bias
    /// A LayerNorm's factor, around 1.
    case layerNorm
    /// A Gemma RMSNorm's weight `w`, around 0: the factor is 1 + w.
    case rmsNorm
    /// A learned position per patch.
    case position
    /// The token table `[V, D]`, which is the head's matrix too.
    case embedding
  }

  /// The name in Google's hub files.
  public let name: String
  /// The extents, outermost first.
  public let shape: [Int]
  /// What it holds.
  public let role: Role
  /// The block that it belongs to.
  public let block: Block
  /// Its elements; extents are bounded by the configuration's own rules.
  public var count: Int { shape.reduce(1, *) }
}

extension ModelConfig {
  /// Every tensor of a checkpoint, block after block; the head's table is the embedding's own and
  /// left out. 603 tensors for PaliGemma 3B.
  public var weights: [ModelWeight] { blocks.flatMap { weights(of: $0) } }

  /// The tensors of one block.
  public func weights(of block: Block) -> [ModelWeight] {
    var list = WeightList(block: block)
    let vision = "vision_tower.vision_model."
    switch block {
    case .patchEmbedding:
      list.prefix = vision + "embeddings."
      let side = self.vision.patchSide
      list.add(
        "patch_embedding.weight", [self.vision.width, 3, side, side],
        .product(inputs: self.vision.patchWidth))
      list.add("patch_embedding.bias", [self.vision.width], .bias)
      list.add(
        "position_embedding.weight", [self.vision.patchCount, self.vision.width], .position)
    case .visionLayer(let layer):
      list.prefix = vision + "encoder.layers.\(layer)."
      addVisionLayer(to: &list)
    case .projector:
      list.prefix = vision
      list.addLayerNorm("post_layernorm", self.vision.width)
      list.prefix = "multi_modal_projector."
      list.addProduct("linear", outputs: text.width, inputs: self.vision.width, hasBias: true)
    case .tokenEmbedding:
      list.prefix = "language_model.model."
      list.add("embed_tokens.weight", [text.vocabularyCount, text.width], .embedding)
    case .decoderLayer(let layer):
      list.prefix = "language_model.model.layers.\(layer)."
      addDecoderLayer(to: &list)
    case .languageHead:
      list.prefix = "language_model.model."
      list.add("norm.weight", [text.width], .rmsNorm)
    }
    return list.weights
  }

  private func addVisionLayer(to list: inout WeightList) {
    let (width, inner) = (vision.width, vision.feedForwardWidth)
    list.addLayerNorm("layer_norm1", width)
    list.addLayerNorm("layer_norm2", width)
    list.addProduct("mlp.fc1", outputs: inner, inputs: width, hasBias: true)
    list.addProduct("mlp.fc2", outputs: width, inputs: inner, hasBias: true)
    for part in ["k", "out", "q", "v"] {
      list.addProduct("self_attn.\(part)_proj", outputs: width, inputs: width, hasBias: true)
    }
  }

  private func addDecoderLayer(to list: inout WeightList) {
    let (width, inner) = (text.width, text.feedForwardWidth)
    let queries = text.headCount * text.headWidth
    let shared = text.keyValueHeadCount * text.headWidth
    list.add("input_layernorm.weight", [width], .rmsNorm)
    list.addProduct("mlp.down_proj", outputs: width, inputs: inner)
    list.addProduct("mlp.gate_proj", outputs: inner, inputs: width)
    list.addProduct("mlp.up_proj", outputs: inner, inputs: width)
    list.add("post_attention_layernorm.weight", [width], .rmsNorm)
    list.addProduct("self_attn.k_proj", outputs: shared, inputs: width)
    list.add("self_attn.o_proj.weight", [width, queries], .attentionOutput(inputs: queries))
    list.addProduct("self_attn.q_proj", outputs: queries, inputs: width)
    list.addProduct("self_attn.v_proj", outputs: shared, inputs: width)
  }
}

/// Collects the tensors of one block under a common prefix.
private struct WeightList {
  let block: Block
  var prefix = ""
  var weights: [ModelWeight] = []

  init(block: Block) { self.block = block }

  mutating func add(_ name: String, _ shape: [Int], _ role: ModelWeight.Role) {
    weights.append(ModelWeight(name: prefix + name, shape: shape, role: role, block: block))
  }
  mutating func addProduct(_ name: String, outputs: Int, inputs: Int, hasBias: Bool = false) {
    if hasBias { add(name + ".bias", [outputs], .bias) }
    add(name + ".weight", [outputs, inputs], .product(inputs: inputs))
  }
  mutating func addLayerNorm(_ name: String, _ width: Int) {
    add(name + ".bias", [width], .bias)
    add(name + ".weight", [width], .layerNorm)
  }
}
