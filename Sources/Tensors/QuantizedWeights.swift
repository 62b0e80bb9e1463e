import CKernels

/// Weights of a product in packed integers, as the kernels read them (int8.h in CKernels says how).
///
/// Four tensors that may be mapped from a file: nothing is copied or computed when they are.
public struct QuantizedWeights: Sendable {
  /// Bits of a weight: 8, or 4 with an integer multiplier per 32 inputs.
  public let bits: Int
  /// The number of outputs, `N`; of gated weights the number of pairs.
  public let outputWidth: Int
  /// The number of inputs, `K`.
  public let inputWidth: Int
  /// Whether these are gates and ups, interleaved, whose product ends in a GeGLU.
  public let isGated: Bool
  /// `[bytes]` u8.
  public let packed: Tensor
  /// `[rows]` f32: a scale per packed row; `rows` is `rowCount(outputWidth:isGated:)`.
  public let scales: Tensor
  /// `[rows]` i32: the sum of each row's quantised weights.
  public let sums: Tensor

  /// Rows in packed form: outputs, filled up to whole panels.
  public static func rowCount(outputWidth: Int, isGated: Bool) -> Int {
    kernel_quantised_rows(outputWidth, isGated)
  }

  /// Bytes of the packed form.
  public static func byteCount(bits: Int, outputWidth: Int, inputWidth: Int, isGated: Bool) -> Int {
    kernel_quantised_bytes(
      Int32(bits), rowCount(outputWidth: outputWidth, isGated: isGated), inputWidth)
  }

  /// Looks at weights that were packed before; nil when their sizes or types are others.
  public init?(
    bits: Int, outputWidth: Int, inputWidth: Int, isGated: Bool, packed: Tensor, scales: Tensor,
    sums: Tensor
  ) {
    let rows = Self.rowCount(outputWidth: outputWidth, isGated: isGated)
    let byteCount = Self.byteCount(
      bits: bits, outputWidth: outputWidth, inputWidth: inputWidth, isGated: isGated)
    guard bits == 8 || bits == 4, packed.elementType == .u8, packed.shape == [byteCount],
      scales.elementType == .f32, scales.shape == [rows], sums.elementType == .i32,
      sums.shape == [rows], scales.isAligned, sums.isAligned
    else { return nil }
    self.bits = bits
    self.outputWidth = outputWidth
    self.inputWidth = inputWidth
    self.isGated = isGated
    self.packed = packed
    self.scales = scales
    self.sums = sums
  }

  /// Quantises weights stacked from `parts`, a few rows at a time, so that no f32 copy of the whole
  /// is ever made. Nil when a part's element type is no floating-point type.
  ///
  /// - Parameters:
  ///   - parts: weights `[N_i, K]` of any floating-point type, one below the other; of gated
  ///     weights the gates `[F, K]` and the ups `[F, K]`.
  ///   - bits: 8 or 4.
  ///   - isGated: whether gates and ups are to be interleaved.
  public init?(quantizing parts: [Tensor], bits: Int, isGated: Bool = false) {
    let inputs = parts.first?.rowWidth ?? 0
    let outputs = isGated ? parts[0].rowCount : parts.reduce(0) { $0 + $1.rowCount }
    let rowCount = Self.rowCount(outputWidth: outputs, isGated: isGated)
    self.bits = bits
    self.isGated = isGated
    (outputWidth, inputWidth) = (outputs, inputs)
    packed = Tensor(.u8, shape: [kernel_quantised_bytes(Int32(bits), rowCount, inputs)])
    scales = Tensor(shape: [rowCount])
    sums = Tensor(.i32, shape: [rowCount])
    let (bytes, factors, totals) = (
      packed.elements(UInt8.self), scales.pointer, sums.elements(Int32.self)
    )
    kernel_quantise_clear(Int32(bits), rowCount, inputs, bytes, factors, totals)
    var row = 0
    for (index, part) in parts.enumerated() {
      let place = isGated ? (index == 0 ? KERNEL_GATE : KERNEL_UP) : KERNEL_PLAIN
      if isGated { row = 0 }
      // About a megabyte of f32 at a time.
      let step = max(1, (1 << 18) / max(inputs, 1))
      for first in stride(from: 0, to: part.rowCount, by: step) {
        let end = min(part.rowCount, first + step)
        guard let rows = part.rows(first..<end).convertedToF32() else { return nil }
        withExtendedLifetime(rows) {
          kernel_quantise_f32(
            Int32(bits), place, row, end - first, inputs, rows.pointer, bytes, factors, totals)
        }
        row += end - first
      }
    }
  }

  /// norm(x) `[T, K]` times these weights into `out` `[T, N]`.
  func multiply(_ x: Tensor, after norm: Norm?, bias: Tensor?, then: kernel_then, out: Tensor) {
    withExtendedLifetime((self, x, norm, bias, out)) {
      var weights = kernel_quantised(
        bits: Int32(bits), N: outputWidth, K: inputWidth, packed: packed.elements(UInt8.self),
        scales: scales.pointer, sums: sums.elements(Int32.self))
      guard var norm = norm?.kernel else {
        kernel_linear_quantised_f32(
          x.rowCount, &weights, x.pointer, nil, bias?.pointer, then, out.pointer)
        return
      }
      kernel_linear_quantised_f32(
        x.rowCount, &weights, x.pointer, &norm, bias?.pointer, then, out.pointer)
    }
  }
}

extension Tensor {
  /// The elements as `Element`s; valid as long as the caller keeps the tensor.
  func elements<Element>(_ type: Element.Type) -> UnsafeMutablePointer<Element> {
    (storage.address + byteOffset).assumingMemoryBound(to: type)
  }

  /// Whether the first element stands where its type may stand.
  public var isAligned: Bool {
    (UInt(bitPattern: storage.address) + UInt(byteOffset)) % UInt(elementType.byteCount) == 0
  }
}
