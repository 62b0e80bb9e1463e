import CKernels

/// How weights are kept for products.
public enum Precision: String, Sendable, CaseIterable, Decodable {
  /// As they are, through OpenBLAS.
  case f32
  /// A signed byte each with a scale per output; activations are quantised row by row on the fly.
  /// Sums are exact integers, so results don't depend on company, cut, threads or CPU.
  case int8
}

/// A product with weights and, where the model has one, a bias.
public struct Linear: Sendable {
  private enum Weights {
    case f32(Tensor)  // [N, K]
    case int8(packed: Tensor, scales: Tensor, sums: Tensor)
  }
  private let weights: Weights
  private let bias: Tensor?  // [N]
  /// The number of outputs, `N`.
  public let outputWidth: Int
  /// The number of inputs, `K`.
  public let inputWidth: Int

  /// A product in f32 with weights `[N, K]` and a bias `[N]`.
  public init(weight: Tensor, bias: Tensor? = nil) {
    weights = .f32(weight)
    self.bias = bias
    (outputWidth, inputWidth) = (weight.rowCount, weight.rowWidth)
  }

  /// A product in int8: quantises weights stacked from `parts`, a few rows at a time, so that no
  /// f32 copy of the whole is ever made. Nil when a part's element type is no floating-point type.
  ///
  /// - Parameters:
  ///   - parts: weights `[N_i, K]` of any floating-point type, stored one below the other.
  ///   - bias: `[ΣN_i]` f32, or nil.
  public init?(quantising parts: [Tensor], bias: Tensor? = nil) {
    let inputs = parts.first?.rowWidth ?? 0
    let outputs = parts.reduce(0) { $0 + $1.rowCount }
    let packed = Tensor(.i8, shape: [kernel_int8_packed_bytes(outputs, inputs)])
    packed.withBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 0) }
    let scales = Tensor(shape: [outputs])
    let sums = Tensor(.i32, shape: [outputs])
    var row = 0
    for part in parts {
      // About a megabyte of f32 at a time.
      for chunk in stride(from: 0, to: part.rowCount, by: max(1, (1 << 18) / max(inputs, 1))) {
        let end = min(part.rowCount, chunk + max(1, (1 << 18) / max(inputs, 1)))
        guard let rows = part.rows(chunk..<end).convertedToF32() else { return nil }
        withExtendedLifetime((rows, packed, scales, sums)) {
          kernel_int8_pack_f32(
            row, end - chunk, outputs, inputs, rows.pointer, packed.bytes(as: Int8.self),
            scales.pointer, sums.bytes(as: Int32.self))
        }
        row += end - chunk
      }
    }
    weights = .int8(packed: packed, scales: scales, sums: sums)
    self.bias = bias
    (outputWidth, inputWidth) = (outputs, inputs)
  }

  /// x `[T, K]` to `[T, N]`: x · weightᵀ + bias.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    precondition(x.rowWidth == inputWidth, "product of \(x.shape) with \(inputWidth) inputs")
    let out = Tensor(shape: [x.rowCount, outputWidth])
    withExtendedLifetime((x, self, out)) {
      switch weights {
      case .f32(let weight):
        kernel_linear_f32(
          x.rowCount, outputWidth, inputWidth, x.pointer, weight.pointer, bias?.pointer,
          out.pointer)
      case .int8(let packed, let scales, let sums):
        kernel_linear_int8_f32(
          x.rowCount, outputWidth, inputWidth, x.pointer, packed.bytes(as: Int8.self),
          scales.pointer, sums.bytes(as: Int32.self), bias?.pointer, out.pointer)
      }
    }
    return out
  }
}

extension Tensor {
  /// The elements as `Element`s; valid as long as the caller keeps the tensor.
  fileprivate func bytes<Element>(as type: Element.Type) -> UnsafeMutablePointer<Element> {
    (storage.address + byteOffset).assumingMemoryBound(to: type)
  }
}
