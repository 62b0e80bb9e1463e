/// How one element of a tensor is stored. The raw value is the number used on the wire.
public enum ElementType: UInt8, Sendable, CaseIterable {
  case f32 = 1
  case f16 = 2
  case bf16 = 3
  case u8 = 4
  case i8 = 5
  case i32 = 6
  case i64 = 7

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .u8, .i8: 1
    case .f16, .bf16: 2
    case .f32, .i32: 4
    case .i64: 8
    }
  }
}
