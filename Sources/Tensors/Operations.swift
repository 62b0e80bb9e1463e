import CKernels

extension Tensor {
  /// The f32 elements; valid as long as the caller keeps the tensor (`withExtendedLifetime`).
  var pointer: UnsafeMutablePointer<Float> {
    precondition(elementType == .f32, "f32 elements of a tensor of \(elementType)")
    return (storage.address + byteOffset).assumingMemoryBound(to: Float.self)
  }

  /// A tensor with memory of its own and the same elements.
  public func copied() -> Tensor {
    let copy = Tensor(elementType, shape: shape)
    withBytes { source in copy.withBytes { $0.copyMemory(from: UnsafeRawBufferPointer(source)) } }
    return copy
  }

  /// Adds `other`, of the same shape, in place: the residual stream.
  public func add(_ other: Tensor) {
    precondition(count == other.count, "adding \(other.shape) to \(shape)")
    withExtendedLifetime((self, other)) { kernel_add_f32(count, pointer, other.pointer) }
  }

  /// Multiplies every element by `factor`, in place.
  public func scale(by factor: Float) {
    withExtendedLifetime(self) { kernel_scale_f32(count, pointer, factor, pointer) }
  }

  /// GELU in its tanh form, in place.
  public func gelu() {
    withExtendedLifetime(self) { kernel_gelu_f32(count, pointer) }
  }

  /// GeGLU: rows `[T, 2F]` of gate and up to `out` `[T, F]`: gelu(gate) · up.
  func geglu(into out: Tensor) {
    withExtendedLifetime((self, out)) {
      kernel_geglu_f32(rowCount, rowWidth / 2, pointer, out.pointer)
    }
  }

  /// The same numbers as f32; a tensor that is f32 already, and aligned, is returned as it is.
  ///
  /// - Returns: nil when the element type is no floating-point type.
  public func convertedToF32() -> Tensor? {
    if elementType == .f32 && isAligned { return self }
    let out = Tensor(.f32, shape: shape)
    return convert(into: out) ? out : nil
  }

  /// Writes the same numbers as f32 into `out`, which has the same count.
  ///
  /// - Returns: false when the element type is no floating-point type.
  public func convert(into out: Tensor) -> Bool {
    precondition(out.count == count, "converting \(shape) into \(out.shape)")
    return withExtendedLifetime((self, out)) {
      let source = storage.address + byteOffset
      switch elementType {
      case .f32:
        UnsafeMutableRawPointer(out.pointer).copyMemory(from: source, byteCount: byteCount)
      case .bf16:
        kernel_convert_bf16_f32(count, source.assumingMemoryBound(to: UInt16.self), out.pointer)
      case .f16:
        kernel_convert_f16_f32(count, source.assumingMemoryBound(to: UInt16.self), out.pointer)
      case .u8, .i8, .i32, .i64: return false
      }
      return true
    }
  }
}
