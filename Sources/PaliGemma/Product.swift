import Checkpoints
import Tensors

/// A product of the model: whose weights it takes, one below the other, so that one product does
/// the work of several.
struct Product {
  /// Names without `.weight` and `.bias`, and the outputs of each.
  let parts: [(name: String, rows: Int)]
  /// `K`.
  let inputs: Int
  /// Whether each part has a bias.
  var hasBias = false
  /// What becomes of the outputs.
  var activation = Linear.Activation.none

  /// For messages, and what the packed weights are called by.
  var name: String { parts.first?.name ?? "" }
  /// The packed weights' name in a quantised checkpoint.
  var packedName: String { name + ".packed" }
  /// Whether parts are gates and ups.
  var isGated: Bool { activation == .geglu }
  /// `N`, or `F` of gates and ups.
  var outputs: Int { isGated ? parts[0].rows : parts.reduce(0) { $0 + $1.rows } }

  /// What a quantised checkpoint holds of it: the packed weights, their scales, their sums.
  func packedTensors(bits: Int) -> [SafetensorsWriter.Plan] {
    let rows = QuantizedWeights.rowCount(outputWidth: outputs, isGated: isGated)
    let byteCount = QuantizedWeights.byteCount(
      bits: bits, outputWidth: outputs, inputWidth: inputs, isGated: isGated)
    return [
      SafetensorsWriter.Plan(name: packedName, elementType: .u8, shape: [byteCount]),
      SafetensorsWriter.Plan(name: name + ".scales", elementType: .f32, shape: [rows]),
      SafetensorsWriter.Plan(name: name + ".sums", elementType: .i32, shape: [rows]),
    ]
  }
}

/// The products of a SigLIP layer.
struct VisionProducts {
  let qkv: Product
  let output: Product
  let up: Product
  let down: Product

  init(_ config: ModelConfig.Vision, layer: Int) {
    let prefix = "vision_tower.vision_model.encoder.layers.\(layer)."
    let (width, inner) = (config.width, config.feedForwardWidth)
    qkv = Product(
      parts: ["q", "k", "v"].map { (prefix + "self_attn.\($0)_proj", width) }, inputs: width,
      hasBias: true)
    output = Product(
      parts: [(prefix + "self_attn.out_proj", width)], inputs: width, hasBias: true)
    up = Product(
      parts: [(prefix + "mlp.fc1", inner)], inputs: width, hasBias: true, activation: .gelu)
    down = Product(parts: [(prefix + "mlp.fc2", width)], inputs: inner, hasBias: true)
  }
}

/// The products of a Gemma layer.
struct DecoderProducts {
  let qkv: Product
  let output: Product
  let gateUp: Product
  let down: Product

  init(_ config: ModelConfig.Text, layer: Int) {
    let prefix = "language_model.model.layers.\(layer)."
    let (width, inner, head) = (config.width, config.feedForwardWidth, config.headWidth)
    let (queries, shared) = (config.headCount * head, config.keyValueHeadCount * head)
    qkv = Product(
      parts: [
        (prefix + "self_attn.q_proj", queries), (prefix + "self_attn.k_proj", shared),
        (prefix + "self_attn.v_proj", shared),
      ], inputs: width)
    output = Product(parts: [(prefix + "self_attn.o_proj", width)], inputs: queries)
    gateUp = Product(
      parts: [(prefix + "mlp.gate_proj", inner), (prefix + "mlp.up_proj", inner)], inputs: width,
      activation: .geglu)
    down = Product(parts: [(prefix + "mlp.down_proj", width)], inputs: inner)
  }
}

extension Product {
  /// The projector's product.
  static func projector(_ config: ModelConfig) -> Product {
    Product(
      parts: [("multi_modal_projector.linear", config.text.width)], inputs: config.vision.width,
      hasBias: true)
  }

  /// The head's product, with a table of its own or the embedding's.
  static func head(_ config: ModelConfig.Text, isTied: Bool) -> Product {
    let name = isTied ? "language_model.model.embed_tokens" : "language_model.lm_head"
    return Product(parts: [(name, config.vocabularyCount)], inputs: config.width)
  }

  /// All products of a block; the patch embedding's is always computed in f32 and none of these.
  static func all(of block: Block, _ config: ModelConfig, isTied: Bool) -> [Product] {
    switch block {
    case .patchEmbedding, .tokenEmbedding: return []
    case .visionLayer(let layer):
      let products = VisionProducts(config.vision, layer: layer)
      return [products.qkv, products.output, products.up, products.down]
    case .projector: return [projector(config)]
    case .decoderLayer(let layer):
      let products = DecoderProducts(config.text, layer: layer)
      return [products.qkv, products.output, products.gateUp, products.down]
    case .languageHead: return [head(config.text, isTied: isTied)]
    }
  }
}
