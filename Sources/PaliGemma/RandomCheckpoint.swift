import Checkpoints
import Foundation
import Tensors

extension Checkpoint {
  /// Weights that nobody trained, in memory, in a model's true shapes and packed for `precision`: to
  /// measure how fast a model of that size is where its files are not.
  ///
  /// The layers of a kind have the same numbers, each in memory of its own, so that a pass reads as many
  /// bytes as it does with a real model. All numbers are functions of the seed: a cut of the model into
  /// processes has the weights that one process has.
  ///
  /// - Parameters:
  ///   - blocks: those that weights are made for, of `config.blocks`.
  ///   - config: the shapes.
  ///   - precision: what the products will be computed in; the token table is kept in bf16 beside integers.
  ///   - seed: other seeds give other weights.
  ///   - progress: told the index of each block that is done; what it throws ends the making.
  /// - Returns: a checkpoint that holds what sections of `blocks` are made of.
  /// - Throws: what `progress` throws, and `CheckpointError` when a tensor can't be quantised.
  public static func random(
    _ blocks: Range<Int>, of config: ModelConfig, precision: Precision, seed: UInt64 = 0,
    progress: (_ block: Int) throws -> Void = { _ in }
  ) throws -> Checkpoint {
    var maker = RandomBlocks(config: config, precision: precision, seed: seed)
    for index in blocks {
      try maker.add(config.blocks[index])
      try progress(index)
    }
    let notes = [precisionKey: precision.rawValue, layoutKey: layout]
    return Checkpoint(tensors: maker.tensors, metadata: precision.bits == nil ? [:] : notes)
  }
}

/// Makes the tensors of one block after the other.
private struct RandomBlocks {
  private let config: ModelConfig
  private let precision: Precision
  private var floats: RandomWeights
  private var halves: RandomWeights
  private var firstLayers: [String: [String: Tensor]] = [:]
  private var table: Tensor?
  private(set) var tensors: [String: Tensor] = [:]

  init(config: ModelConfig, precision: Precision, seed: UInt64) {
    self.config = config
    self.precision = precision
    let capacity = CheckpointSynthesis.pieceCount
    floats = RandomWeights(seed: seed, elementType: .f32, capacity: capacity)
    halves = RandomWeights(seed: seed, elementType: .bf16, capacity: capacity)
  }

  mutating func add(_ block: Block) throws(CheckpointError) {
    switch block {
    case .visionLayer(let layer): try addLayer(layer, like: .visionLayer(0), "vision")
    case .decoderLayer(let layer): try addLayer(layer, like: .decoderLayer(0), "decoder")
    case .tokenEmbedding:
      for weight in config.weights(of: block) { tensors[weight.name] = tokenTable(weight) }
    case .patchEmbedding, .projector, .languageHead:
      tensors.merge(try made(block)) { $1 }
    }
  }

  /// A layer's tensors: the first one's numbers under the layer's own names.
  private mutating func addLayer(
    _ layer: Int, like first: Block, _ kind: String
  ) throws(CheckpointError) {
    var known = firstLayers[kind]
    if known == nil { known = try made(first) }
    firstLayers[kind] = known
    for (name, tensor) in known ?? [:] {
      let own = name.replacing(".layers.0.", with: ".layers.\(layer).")
      tensors[own] = layer == 0 ? tensor : Self.copy(tensor)
    }
  }

  private mutating func made(_ block: Block) throws(CheckpointError) -> [String: Tensor] {
    var made: [String: Tensor] = [:]
    var packed: Set<String> = []
    var weights = config.weights(of: block)
    // The head has the embedding's table.
    if block == .languageHead { weights += config.weights(of: .tokenEmbedding) }
    let known = Dictionary(weights.map { ($0.name, $0) }) { first, _ in first }
    if let bits = precision.bits {
      for product in Product.all(of: block, config, isTied: true) {
        let parts = product.parts.compactMap { known[$0.name + ".weight"] }
        var inputs: [Tensor] = []
        for part in parts {
          inputs.append(part.role == .embedding ? tokenTable(part) : tensor(part))
        }
        guard
          let quantised = QuantizedWeights(
            quantizing: inputs, bits: bits, isGated: product.isGated)
        else { throw .mismatch(name: product.name, reason: "it can't be quantised") }
        let tensors = [quantised.packed, quantised.scales, quantised.sums]
        for (plan, tensor) in zip(product.packedTensors(bits: bits), tensors) {
          made[plan.name] = tensor
        }
        packed.formUnion(parts.map(\.name))
      }
    }
    for weight in weights where !packed.contains(weight.name) {
      made[weight.name] = weight.role == .embedding ? tokenTable(weight) : tensor(weight)
    }
    return made
  }

  private mutating func tokenTable(_ weight: ModelWeight) -> Tensor {
    if let table { return table }
    let made = precision.bits == nil ? tensor(weight) : Self.fill(weight, .bf16, &halves)
    table = made
    return made
  }

  private mutating func tensor(_ weight: ModelWeight) -> Tensor {
    Self.fill(weight, .f32, &floats)
  }

  private static func fill(
    _ weight: ModelWeight, _ elementType: ElementType, _ source: inout RandomWeights
  ) -> Tensor {
    let tensor = Tensor(elementType, shape: weight.shape)
    let size = elementType.byteCount
    for first in stride(from: 0, to: weight.count, by: CheckpointSynthesis.pieceCount) {
      let end = min(weight.count, first + CheckpointSynthesis.pieceCount)
      let bytes = source.bytes(of: weight, elements: first..<end)
      tensor.withBytes { target in
        let place = UnsafeMutableRawBufferPointer(rebasing: target[first * size..<end * size])
        bytes.withUnsafeBytes { place.copyMemory(from: $0) }
      }
    }
    return tensor
  }

  private static func copy(_ tensor: Tensor) -> Tensor {
    let copy = Tensor(tensor.elementType, shape: tensor.shape)
    tensor.withBytes { source in
      copy.withBytes { $0.copyMemory(from: UnsafeRawBufferPointer(source)) }
    }
    return copy
  }
}

extension ModelSection {
  /// A cache as a request of `tokenCount` positions has it, with room for `more`, in which every number is
  /// the same: what a step costs doesn't depend on them. Nil in a section without decoder layers.
  public func madeUpCache(tokenCount: Int, more: Int) -> KVCache? {
    makeCache(capacity: tokenCount + more).map { cache in
      cache.fill(0.01)
      cache.advance(by: tokenCount)
      return cache
    }
  }
}
