import CWire
import Tensors

/// How rows are written into the payload of a message.
public enum TensorEncoding: String, Sendable, CaseIterable, Decodable {
  /// Every bit, in the tensor's own type.
  case exact = "f32"
  /// f32 rounded to bf16: half the bytes.
  case bf16
  /// f32 as a byte an element, with a scale for each row: a quarter of the bytes.
  case int8

  /// The encoding for `tensor`: what isn't rows of finite f32 travels as it is.
  func payload(of tensor: Tensor) -> (encoding: TensorEncoding, payload: Tensor) {
    guard tensor.elementType == .f32 else { return (.exact, tensor) }
    switch self {
    case .exact: break
    case .bf16: return (self, tensor.roundedToBF16())
    case .int8:
      if !tensor.shape.isEmpty, let rows = tensor.encodedAsInt8Rows() { return (self, rows) }
    }
    return (.exact, tensor)
  }

  /// The type and the shape of the payload of a tensor of `shape`; nil where this encoding has none.
  func stored(_ elementType: ElementType, shape: [Int]) -> (type: ElementType, shape: [Int])? {
    switch self {
    case .exact: return (elementType, shape)
    case .bf16: return elementType == .f32 ? (.bf16, shape) : nil
    case .int8:
      guard elementType == .f32, let rows = shape.first,
        let width = Tensor.byteCount(.u8, shape: Array(shape.dropFirst())), width <= Int.max - 4
      else { return nil }
      return (.u8, [rows, width + 4])
    }
  }

  /// The tensor that `payload` was made of, as far as it can be known; nil when it is none.
  func decoded(_ payload: Tensor, shape: [Int]) -> Tensor? {
    switch self {
    case .exact: payload
    case .bf16: payload.convertedToF32()
    case .int8: payload.decodedFromInt8Rows(shape: shape)
    }
  }

  var wire: Palisade__Wire__Encoding {
    switch self {
    case .exact: PALISADE__WIRE__ENCODING__ENCODING_EXACT
    case .bf16: PALISADE__WIRE__ENCODING__ENCODING_BF16
    case .int8: PALISADE__WIRE__ENCODING__ENCODING_INT8_PER_ROW
    }
  }

  init(_ wire: Palisade__Wire__Encoding, _ field: String) throws(MessagingError) {
    guard let encoding = Self.allCases.first(where: { $0.wire.rawValue == wire.rawValue }) else {
      throw .malformed(field, "encoding \(wire.rawValue) is not supported")
    }
    self = encoding
  }
}
