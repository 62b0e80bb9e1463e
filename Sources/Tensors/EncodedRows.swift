import CKernels

/// Rows of activations in fewer bytes. What is lost of a row depends on that row alone.
extension Tensor {
  /// The f32 elements rounded to bf16, to nearest and ties to even.
  public func roundedToBF16() -> Tensor {
    let out = Tensor(.bf16, shape: shape)
    roundToBF16(into: out)
    return out
  }

  /// Writes the f32 elements, rounded so, into `out`, a bf16 tensor with the same count.
  public func roundToBF16(into out: Tensor) {
    precondition(out.elementType == .bf16 && out.count == count, "\(shape) into \(out.shape)")
    withExtendedLifetime((self, out)) {
      kernel_convert_f32_bf16(count, pointer, out.elements(UInt16.self))
    }
  }

  /// The rows of f32 `[T, D]` as a scale and a byte per element each: `[T, 4 + D]` u8.
  ///
  /// - Returns: nil when a row has no scale: a value is infinite or no number, or all are tiny.
  public func encodedAsInt8Rows() -> Tensor? {
    let out = Tensor(.u8, shape: [rowCount, 4 + rowWidth])
    return withExtendedLifetime((self, out)) {
      kernel_encode_int8_rows(
        rowCount, rowWidth, pointer, out.storage.address.assumingMemoryBound(to: UInt8.self))
        ? out : nil
    }
  }

  /// The rows that `encodedAsInt8Rows` made `[T, 4 + D]` of, as f32 of `shape`.
  ///
  /// - Returns: nil when a scale is none.
  /// - Precondition: `shape` has the same rows, and 4 elements a row less.
  public func decodedFromInt8Rows(shape: [Int]) -> Tensor? {
    let out = Tensor(.f32, shape: shape)
    precondition(
      elementType == .u8 && rowCount == out.rowCount && rowWidth == out.rowWidth + 4,
      "int8 rows \(self.shape) as \(shape)")
    return withExtendedLifetime((self, out)) {
      let bytes = (storage.address + byteOffset).assumingMemoryBound(to: UInt8.self)
      return kernel_decode_int8_rows(rowCount, out.rowWidth, bytes, out.pointer) ? out : nil
    }
  }
}
