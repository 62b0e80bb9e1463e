import Tensors

/// How a GGUF file stores the elements of one tensor: singly, or in blocks of some that share a scale
/// (ggml.h and ggml-common.h of llama.cpp are the format's source).
public struct GGUFType: Sendable, Equatable, CustomStringConvertible {
  /// The number in the file.
  public let number: UInt32
  /// The name as llama.cpp writes it, such as `Q4_K`.
  public let name: String
  /// Elements of one block; 1 where each stands alone.
  public let blockCount: Int
  /// Bytes of one block.
  public let blockByteCount: Int
  /// The type of elements that stand alone, where there is one here.
  public let elementType: ElementType?
  /// Writes the `blockCount` numbers of one block; nil for types that aren't expanded.
  let expand: (@Sendable (UnsafePointer<UInt8>, UnsafeMutablePointer<Float>) -> Void)?

  /// Whether its numbers can be had as f32.
  public var isReadable: Bool { expand != nil || [.f32, .f16, .bf16].contains(elementType) }
  /// The name.
  public var description: String { name }

  /// Types are the same whose numbers are.
  public static func == (left: GGUFType, right: GGUFType) -> Bool { left.number == right.number }

  /// The bytes of a tensor of this type with these extents, outermost first; nil for a negative one, an
  /// overflow, or rows that no whole number of blocks makes.
  func byteCount(shape: [Int]) -> Int? {
    guard shape.last ?? 1 >= 0, (shape.last ?? 1).isMultiple(of: blockCount) else { return nil }
    // First as if elements took a byte: then no division hides an overflow.
    guard let count = Tensor.byteCount(.u8, shape: shape) else { return nil }
    let (bytes, overflow) = (count / blockCount).multipliedReportingOverflow(by: blockByteCount)
    return overflow ? nil : bytes
  }

  /// The type with this number; nil when it isn't known here.
  static func of(_ number: UInt32) -> GGUFType? { all[number] }

  private init(
    _ number: UInt32, _ name: String, _ blockCount: Int, _ blockByteCount: Int,
    expand: (@Sendable (UnsafePointer<UInt8>, UnsafeMutablePointer<Float>) -> Void)? = nil
  ) {
    (self.number, self.name) = (number, name)
    (self.blockCount, self.blockByteCount) = (blockCount, blockByteCount)
    elementType = nil
    self.expand = expand
  }

  private init(_ number: UInt32, _ name: String, byteCount: Int, as elementType: ElementType? = nil)
  {
    (self.number, self.name) = (number, name)
    (blockCount, blockByteCount) = (1, byteCount)
    self.elementType = elementType
    expand = nil
  }

  /// Sizes are those of `GGML_QUANT_SIZES` in gguf-py 0.19. Types without `expand` can be listed, not read.
  private static let all = Dictionary(
    [
      GGUFType(0, "F32", byteCount: 4, as: .f32), GGUFType(1, "F16", byteCount: 2, as: .f16),
      GGUFType(30, "BF16", byteCount: 2, as: .bf16), GGUFType(24, "I8", byteCount: 1, as: .i8),
      GGUFType(25, "I16", byteCount: 2), GGUFType(26, "I32", byteCount: 4, as: .i32),
      GGUFType(27, "I64", byteCount: 8, as: .i64), GGUFType(28, "F64", byteCount: 8),
      GGUFType(2, "Q4_0", 32, 18, expand: GGUFBlocks.q40),
      GGUFType(3, "Q4_1", 32, 20, expand: GGUFBlocks.q41),
      GGUFType(6, "Q5_0", 32, 22, expand: GGUFBlocks.q50),
      GGUFType(7, "Q5_1", 32, 24, expand: GGUFBlocks.q51),
      GGUFType(8, "Q8_0", 32, 34, expand: GGUFBlocks.q80),
      GGUFType(10, "Q2_K", 256, 84, expand: GGUFBlocks.q2K),
      GGUFType(11, "Q3_K", 256, 110, expand: GGUFBlocks.q3K),
      GGUFType(12, "Q4_K", 256, 144, expand: GGUFBlocks.q4K),
      GGUFType(13, "Q5_K", 256, 176, expand: GGUFBlocks.q5K),
      GGUFType(14, "Q6_K", 256, 210, expand: GGUFBlocks.q6K),
      GGUFType(9, "Q8_1", 32, 40), GGUFType(15, "Q8_K", 256, 292),
      GGUFType(16, "IQ2_XXS", 256, 66), GGUFType(17, "IQ2_XS", 256, 74),
      GGUFType(18, "IQ3_XXS", 256, 98), GGUFType(19, "IQ1_S", 256, 50),
      GGUFType(20, "IQ4_NL", 32, 18), GGUFType(21, "IQ3_S", 256, 110),
      GGUFType(22, "IQ2_S", 256, 82), GGUFType(23, "IQ4_XS", 256, 136),
      GGUFType(29, "IQ1_M", 256, 56), GGUFType(34, "TQ1_0", 256, 54),
      GGUFType(35, "TQ2_0", 256, 66), GGUFType(39, "MXFP4", 32, 17),
    ].map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
}
