import Checkpoints
import Tensors

/// One block of a model's shape with made-up weights, to find out what it costs here: nothing is read
/// from disk, and the weights are freed with the sample.
public struct BlockSample {
  /// Bytes of the table that a head is measured with: more than caches hold, little enough to make.
  public static let headByteCount = 64 << 20

  /// The numbers of the model in miniature: a layer of each kind, in their true widths.
  public let config: ModelConfig
  /// The block alone.
  public let section: ModelSection
  /// What its cost is to be multiplied by: a head is measured with a part of the vocabulary.
  public let factor: Double

  /// Makes the block of `config` that is like `kind`, of whatever layer.
  ///
  /// - Throws: when a tensor would not fit, which is a mistake here.
  public init(_ kind: Block, of config: ModelConfig, precision: Precision)
    throws(CheckpointError)
  {
    var small = config
    (small.vision.layerCount, small.text.layerCount) = (1, 1)
    let rowBytes = config.text.width * precision.storedBits / 8
    let rows = kind == .languageHead ? max(256, Self.headByteCount / max(1, rowBytes)) : 512
    small.text.vocabularyCount = min(config.text.vocabularyCount, rows)
    let index = Self.index(kind, in: small)
    let block = small.blocks[index]
    var tensors: [String: Tensor] = [:]
    let products = Product.all(of: block, small, isTied: true)
    var packed: Set<String> = []
    if let bits = precision.bits {
      for product in products {
        packed.formUnion(product.parts.map { $0.name + ".weight" })
        for plan in product.packedTensors(bits: bits) {
          tensors[plan.name] = Self.filled(plan.elementType, plan.shape)
        }
      }
    }
    if precision == .bf16 {
      packed.formUnion(products.flatMap { product in product.parts.map { $0.name + ".weight" } })
      for product in products {
        for part in product.parts {
          tensors[part.name + ".weight"] = Self.filled(.bf16, [part.rows, product.inputs])
        }
      }
    }
    var weights = small.weights(of: block)
    if block == .languageHead { weights += small.weights(of: .tokenEmbedding) }
    for weight in weights where !packed.contains(weight.name) {
      tensors[weight.name] = Self.filled(.f32, weight.shape)
    }
    let metadata =
      precision.bits == nil
      ? [:]
      : [Checkpoint.precisionKey: precision.rawValue, Checkpoint.layoutKey: Checkpoint.layout]
    self.config = small
    section = try ModelSection(
      config: small, checkpoint: Checkpoint(tensors: tensors, metadata: metadata),
      blocks: index..<index + 1, precision: precision)
    factor =
      kind == .languageHead
      ? Double(config.text.vocabularyCount) / Double(small.text.vocabularyCount) : 1
  }

  /// Where in the miniature the block is.
  private static func index(_ kind: Block, in small: ModelConfig) -> Int {
    switch kind {
    case .patchEmbedding: 0
    case .visionLayer: 1
    case .projector: 2
    case .tokenEmbedding: small.tokenEmbeddingIndex
    case .decoderLayer: small.firstDecoderIndex
    case .languageHead: small.headIndex
    }
  }

  /// A cache as a request of `tokenCount` positions has it, with room for `more`.
  public func cache(tokenCount: Int, more: Int) -> KVCache? {
    section.madeUpCache(tokenCount: tokenCount, more: more)
  }

  /// Rows `[count, width]` of numbers that differ, as a block takes them.
  public static func rows(_ count: Int, width: Int) -> Tensor {
    let tensor = Tensor(shape: [count, width])
    tensor.withFloats { pointer in
      for index in 0..<tensor.count { pointer[index] = Float((index &* 40_503) & 1023) / 512 - 1 }
    }
    return tensor
  }

  /// Small equal numbers: what a product costs doesn't depend on them, and no page stays untouched.
  private static func filled(_ elementType: ElementType, _ shape: [Int]) -> Tensor {
    let tensor = Tensor(elementType, shape: shape)
    if elementType == .f32 {
      tensor.withFloats { $0.initialize(repeating: 0.01, count: tensor.count) }
    } else {
      tensor.withBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 1) }
    }
    return tensor
  }
}
