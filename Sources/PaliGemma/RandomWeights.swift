import CKernels
import Foundation
import Tensors

/// Makes the stored bytes of any piece of any weight.
struct RandomWeights {
  private let seed: UInt64
  private let elementType: ElementType
  private var floats: [Float]
  private var halves: [UInt16]

  /// Pieces will have at most `capacity` elements.
  init(seed: UInt64, elementType: ElementType, capacity: Int) {
    self.seed = seed
    self.elementType = elementType
    floats = [Float](repeating: 0, count: capacity)
    halves = [UInt16](repeating: 0, count: elementType == .f32 ? 0 : capacity)
  }

  /// Elements `elements` of `weight`, as the file holds them.
  mutating func bytes(of weight: ModelWeight, elements: Range<Int>) -> Data {
    let (centre, halfWidth) = Self.distribution(weight)
    kernel_random_f32(
      seed, Self.stream(weight.name), UInt64(elements.lowerBound), elements.count, centre,
      halfWidth, &floats)
    switch elementType {
    case .bf16: kernel_convert_f32_bf16(elements.count, floats, &halves)
    case .f16: kernel_convert_f32_f16(elements.count, floats, &halves)
    default: return floats.withUnsafeBytes { Data($0.prefix(elements.count * 4)) }
    }
    return halves.withUnsafeBytes { Data($0.prefix(elements.count * 2)) }
  }

  /// Which of Philox's streams a tensor has: FNV-1a (64 bits) of its name.
  static func stream(_ name: String) -> UInt64 {
    name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// The middle and the half width of the uniform numbers a weight is made of.
  ///
  /// Products keep their input's size (deviation 1/√inputs), with two exceptions, both so that a
  /// greedy answer wanders through the vocabulary instead of repeating one token: text rows enter
  /// with deviation 0.05 after the factor √D, or the tied head would answer with the token it was
  /// just given; and a decoder's attention, which averages over a prefix that is much the same for
  /// every token, adds a tenth, or it would drown the token.
  static func distribution(_ weight: ModelWeight) -> (centre: Float, halfWidth: Float) {
    // A uniform number of deviation 1 reaches to √3.
    let unit = Float(3).squareRoot()
    switch weight.role {
    case .product(let inputs): return (0, unit / Float(inputs).squareRoot())
    case .attentionOutput(let inputs): return (0, unit * 0.1 / Float(inputs).squareRoot())
    case .embedding:
      return (0, unit * 0.05 / Float(weight.shape.last ?? 1).squareRoot())
    case .position: return (0, unit * 0.2)
    case .bias: return (0, unit * 0.02)
    case .rmsNorm: return (0, 0.1)
    case .layerNorm: return (1, 0.1)
    }
  }
}
