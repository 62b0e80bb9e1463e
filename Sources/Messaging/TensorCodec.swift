import CWire
import Tensors

typealias WireTensorHeader = Palisade__Wire__TensorHeader

/// A tensor as header and payload.
///
/// The payload is little-endian, as every supported CPU has it.
enum TensorCodec {
  /// The header, and the payload's own frame unless it is small enough to travel inside.
  static func encode(
    _ tensor: Tensor,
    as wanted: TensorEncoding = .exact,
    in arena: WireArena
  ) throws(MessagingError) -> (header: WireTensorHeader, payload: Frame?) {
    let byteCount = try checkedByteCount(tensor.elementType, shape: tensor.shape)
    let end = tensor.byteOffset.addingReportingOverflow(byteCount)
    guard tensor.byteOffset >= 0, !end.overflow, end.partialValue <= tensor.storage.byteCount else {
      throw .malformed("Tensor", "reaches past the end of its storage")
    }
    var header = WireTensorHeader()
    palisade__wire__tensor_header__init(&header)
    header.element_type = Palisade__Wire__ElementType(UInt32(tensor.elementType.rawValue))
    let (encoding, stored) = wanted.payload(of: tensor)
    header.encoding = encoding.wire
    (header.n_shape, header.shape) = arena.list(tensor.shape.map { UInt64($0) })
    header.byte_count = UInt64(stored.byteCount)
    let payload = Frame(tensor: stored)
    header.checksum = checksum(of: payload)
    guard stored.byteCount <= MessageLimits.inlineByteCount else { return (header, payload) }
    header.is_inline = 1
    let (count, pointer) = arena.list(payload.bytes)
    header.inline_payload = ProtobufCBinaryData(len: count, data: pointer)
    return (header, nil)
  }

  /// The tensor behind a header, and how it came; where that is exactly, its memory is the payload
  /// frame's, not a copy.
  static func decode(
    _ header: WireTensorHeader,
    payload: Frame?
  ) throws(MessagingError) -> (tensor: Tensor, encoding: TensorEncoding) {
    guard let raw = UInt8(exactly: header.element_type.rawValue),
      let elementType = ElementType(rawValue: raw)
    else {
      throw .malformed("Tensor", "unknown element type \(header.element_type.rawValue)")
    }
    let encoding = try TensorEncoding(header.encoding, "Tensor")
    let extents = try WireReading.list(
      header.shape,
      header.n_shape,
      atMost: MessageLimits.rank,
      "Tensor dimensions"
    )
    var shape: [Int] = []
    for extent in extents { shape.append(try Bounds.int(extent, "Tensor extent")) }
    // Memory is taken for the tensor itself too, so both have to be sizes.
    _ = try checkedByteCount(elementType, shape: shape)
    guard let stored = encoding.stored(elementType, shape: shape) else {
      throw .malformed("Tensor", "\(elementType) in the encoding \(encoding.rawValue)")
    }
    let byteCount = try checkedByteCount(stored.type, shape: stored.shape)
    guard header.byte_count == UInt64(byteCount) else {
      throw .malformed(
        "Tensor",
        "\(header.byte_count) bytes announced, but shape \(shape) takes \(byteCount)"
      )
    }
    let frame = try self.payload(of: header, byteCount: byteCount, frame: payload)
    guard checksum(of: frame) == header.checksum else {
      throw MessagingError(
        code: .checksumMismatch,
        operation: "Tensor",
        cause: "the payload was changed on its way",
        remedy: "have the micro-batch sent again; if it repeats, check memory and network"
      )
    }
    let (storage, byteOffset) = aligned(frame, to: stored.type.byteCount)
    guard
      let rows = Tensor(
        viewing: storage,
        byteOffset: byteOffset,
        elementType: stored.type,
        shape: stored.shape
      )
    else { throw .malformed("Tensor", "shape \(shape) reaches past the payload") }
    guard let tensor = encoding.decoded(rows, shape: shape) else {
      throw .malformed("Tensor", "a row's scale is no scale")
    }
    return (tensor, encoding)
  }

  /// The bytes of a legal shape.
  ///
  /// An extent of 0 is not legal: a product with it hides the overflow
  /// of the others, and a micro-batch without rows has no tensor.
  private static func checkedByteCount(
    _ elementType: ElementType,
    shape: [Int]
  ) throws(MessagingError) -> Int {
    try Bounds.count(shape.count, atMost: MessageLimits.rank, "Tensor dimensions")
    guard shape.allSatisfy({ $0 > 0 }), let byteCount = Tensor.byteCount(elementType, shape: shape)
    else { throw .malformed("Tensor", "shape \(shape) is empty, negative or too large") }
    return byteCount
  }

  private static func payload(
    of header: WireTensorHeader,
    byteCount: Int,
    frame: Frame?
  ) throws(MessagingError) -> Frame {
    let inline = header.inline_payload
    guard header.is_inline != 0 else {
      guard let frame, inline.len == 0 else {
        throw .malformed("Tensor", "the payload frame is missing")
      }
      guard frame.byteCount == byteCount else {
        throw .malformed("Tensor", "\(frame.byteCount) bytes of payload instead of \(byteCount)")
      }
      return frame
    }
    guard frame == nil, inline.len == byteCount, byteCount <= MessageLimits.inlineByteCount,
      let data = inline.data
    else {
      throw .malformed("Tensor", "\(inline.len) bytes of inline payload instead of \(byteCount)")
    }
    let storage = TensorStorage(byteCount: byteCount)
    storage.address.copyMemory(from: data, byteCount: byteCount)
    return Frame(storage: storage)
  }

  /// Received memory usually is aligned for its elements; where it is not, it is copied once.
  private static func aligned(_ frame: Frame, to alignment: Int) -> (TensorStorage, Int) {
    let (storage, byteOffset) = frame.shared()
    if UInt(bitPattern: storage.address + byteOffset) % UInt(alignment) == 0 {
      return (storage, byteOffset)
    }
    return Frame(bytes: frame.bytes).shared()
  }

  private static func checksum(of frame: Frame) -> UInt64 {
    frame.withBytes { wire_checksum($0.baseAddress, $0.count) }
  }
}
