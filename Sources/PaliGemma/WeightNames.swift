import Checkpoints
import Tensors

/// Hands out a model's weights by one name each, whatever the checkpoint's writer called them.
///
/// Names here are those of Google's hub files; other writers' prefixes are tried in turn
/// (numerics.md 19). Shapes are checked against the configuration.
struct WeightNames {
  /// Counts the bytes that were asked for.
  final class Tally {
    var byteCount = 0
  }

  let checkpoint: Checkpoint
  /// How weights of products are kept.
  let precision: Precision
  let tally = Tally()

  init(checkpoint: Checkpoint, precision: Precision = .f32) {
    self.checkpoint = checkpoint
    self.precision = precision
  }

  private static let prefixes: [(hub: String, others: [String])] = [
    (
      "vision_tower.vision_model.",
      ["vision_tower.", "model.vision_tower.vision_model.", "model.vision_tower."]
    ),
    ("multi_modal_projector.", ["model.multi_modal_projector."]),
    (
      "language_model.model.",
      ["model.language_model.", "language_model.", "model.language_model.model."]
    ),
    ("language_model.lm_head.", ["lm_head.", "model.lm_head.", "model.language_model.lm_head."]),
  ]

  /// The name under which the checkpoint has the weight with hub name `name`; nil when it hasn't.
  func resolved(_ name: String) -> String? {
    if checkpoint.contains(name) { return name }
    for (hub, others) in Self.prefixes where name.hasPrefix(hub) {
      let rest = name.dropFirst(hub.count)
      return others.map { $0 + rest }.first { checkpoint.contains($0) }
    }
    return nil
  }

  /// Whether the head has no table of its own.
  var isHeadTied: Bool {
    resolved("language_model.lm_head.weight") == nil
      && !checkpoint.contains("language_model.lm_head.packed")
  }

  /// The part of `found` that stands for the prefix of `hubName`: what its writer called it.
  static func prefix(of found: String, hubName: String) -> String? {
    for (hub, _) in prefixes where hubName.hasPrefix(hub) {
      return String(found.dropLast(hubName.count - hub.count))
    }
    return nil
  }

  /// The weight as it is stored, mapped, with its shape checked.
  func stored(_ name: String, shape: [Int]) throws(CheckpointError) -> Tensor {
    let tensor = try checkpoint.tensor(resolved(name) ?? name)
    guard tensor.shape == shape else {
      throw .mismatch(name: name, reason: "its shape is \(tensor.shape), expected \(shape)")
    }
    guard [.f32, .f16, .bf16].contains(tensor.elementType) else {
      throw .mismatch(name: name, reason: "its element type \(tensor.elementType) is no float")
    }
    tally.byteCount += tensor.byteCount
    return tensor
  }

  /// The weight in f32: mapped when it is stored so, else a converted copy.
  func floats(_ name: String, _ shape: Int...) throws(CheckpointError) -> Tensor {
    guard let tensor = try stored(name, shape: shape).convertedToF32() else {
      throw .mismatch(name: name, reason: "it can't be read as f32")
    }
    return tensor
  }

  /// One of SigLIP's LayerNorms.
  func layerNorm(
    _ prefix: String, _ config: ModelConfig.Vision
  ) throws(CheckpointError) -> Norm {
    Norm(
      layer: try floats(prefix + "weight", config.width),
      bias: try floats(prefix + "bias", config.width), epsilon: config.epsilon)
  }

  /// The product `product`, in the precision asked for: packed weights that the checkpoint holds
  /// are mapped, others are converted.
  ///
  /// - Throws: when a tensor is missing, or has another shape or type than it should.
  func linear(_ product: Product) throws(CheckpointError) -> Linear {
    let biases = try (product.hasBias ? product.parts : []).map { part throws(CheckpointError) in
      try stored(part.name + ".bias", shape: [part.rows])
    }
    let bias = biases.isEmpty ? nil : Self.stacked(biases, as: .f32)
    guard biases.isEmpty || bias != nil else { throw Self.noFloats(product.name) }
    if checkpoint.contains(product.packedName) {
      return Linear(try packed(product), bias: bias, activation: product.activation)
    }
    // All shapes are checked against the files before memory is taken.
    let weights = try parts(of: product)
    if let bits = precision.bits {
      guard
        let quantized = QuantizedWeights(
          quantizing: weights, bits: bits, isGated: product.isGated)
      else { throw Self.noFloats(product.name) }
      return Linear(quantized, bias: bias, activation: product.activation)
    }
    guard let weight = Self.stacked(weights, as: precision == .bf16 ? .bf16 : .f32) else {
      throw Self.noFloats(product.name)
    }
    return Linear(weight: weight, bias: bias, activation: product.activation)
  }

  /// The unpacked weights `[N_i, K]` of a product.
  func parts(of product: Product) throws(CheckpointError) -> [Tensor] {
    try product.parts.map { part throws(CheckpointError) in
      try stored(part.name + ".weight", shape: [part.rows, product.inputs])
    }
  }

  /// Weights that the checkpoint holds in packed form, mapped.
  private func packed(_ product: Product) throws(CheckpointError) -> QuantizedWeights {
    let tensors = try product.packedTensors(bits: precision.bits ?? 8).map {
      plan throws(CheckpointError) in try checkpoint.tensor(plan.name)
    }
    guard let bits = precision.bits,
      let weights = QuantizedWeights(
        bits: bits, outputWidth: product.outputs, inputWidth: product.inputs,
        isGated: product.isGated, packed: tensors[0], scales: tensors[1], sums: tensors[2])
    else {
      throw .mismatch(
        name: product.packedName, reason: "its size or type is not that of \(precision) weights")
    }
    tally.byteCount += tensors.reduce(0) { $0 + $1.byteCount }
    return weights
  }

  private static func noFloats(_ name: String) -> CheckpointError {
    .mismatch(name: name, reason: "it can't be read as floats")
  }

  /// Tensors one below the other in f32 or bf16; a single one that is so already stays mapped. Nil when one is no float.
  private static func stacked(_ parts: [Tensor], as elementType: ElementType) -> Tensor? {
    guard let first = parts.first else { return nil }
    if parts.count == 1, first.elementType == elementType, first.isAligned { return first }
    let total = parts.reduce(0) { $0 + $1.rowCount }
    let out = Tensor(elementType, shape: [total] + first.shape.dropFirst())
    var row = 0
    for part in parts {
      let place = out.rows(row..<row + part.rowCount)
      guard elementType == .bf16 ? part.roundToHalves(into: place) : part.convert(into: place)
      else { return nil }
      row += part.rowCount
    }
    return out
  }
}

extension Tensor {
  /// Writes the same numbers, rounded to bf16, into `out`; those that are bf16 stay what they are. False when they are no floats.
  fileprivate func roundToHalves(into out: Tensor) -> Bool {
    // A few megabytes at a time.
    let step = max(1, (1 << 20) / max(rowWidth, 1))
    for start in stride(from: 0, to: rowCount, by: step) {
      let rows = start..<min(rowCount, start + step)
      guard let floats = self.rows(rows).convertedToF32() else { return false }
      floats.roundToBF16(into: out.rows(rows))
    }
    return true
  }
}
