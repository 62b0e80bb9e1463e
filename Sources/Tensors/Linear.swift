import CKernels

/// How weights are kept for products.
public enum Precision: String, Sendable, CaseIterable, Decodable {
  /// As they are, through OpenBLAS.
  case f32
  /// Two bytes each; products are those of f32 with the same numbers, to the bit, from half the memory.
  /// A checkpoint in bf16 loses nothing.
  case bf16
  /// A signed byte each with a scale per output; activations are quantised row by row on the fly.
  /// Sums are exact integers, so results don't depend on company, cut, threads or CPU.
  case int8
  /// Four bits each with an integer multiplier per 32 inputs and a scale per output; the rest as in
  /// int8. Half the memory to read.
  case int4

  /// Bits of a quantised weight; nil in floating point.
  public var bits: Int? {
    switch self {
    case .f32, .bf16: nil
    case .int8: 8
    case .int4: 4
    }
  }

  /// Bits a weight takes in memory.
  public var storedBits: Int {
    switch self {
    case .f32: 32
    case .bf16: 16
    case .int8: 8
    case .int4: 4
    }
  }
}

/// A product with weights and, where the model has them, a bias and what is done with each output.
public struct Linear: Sendable {
  /// What becomes of an output; in the quantised precisions without another pass over memory.
  public enum Activation: Sendable, Equatable {
    /// Nothing.
    case none
    /// GELU in its tanh form.
    case gelu
    /// gelu(gate) · up: the weights are gates `[F, K]` above ups `[F, K]`, the result is `[T, F]`.
    case geglu
  }

  private enum Weights {
    case floats(Tensor)  // [N, K] in f32 or bf16
    case quantized(QuantizedWeights)
  }
  private let weights: Weights
  private let bias: Tensor?  // [N]
  private let activation: Activation
  /// The number of outputs, `N` (`F` of a GeGLU).
  public let outputWidth: Int
  /// The number of inputs, `K`.
  public let inputWidth: Int

  /// A product with weights `[N, K]` in f32 or bf16 and a bias `[N]` in f32.
  ///
  /// - Precondition: the weights have one of these types.
  public init(weight: Tensor, bias: Tensor? = nil, activation: Activation = .none) {
    precondition([.f32, .bf16].contains(weight.elementType), "weights in \(weight.elementType)")
    weights = .floats(weight)
    self.bias = bias
    self.activation = activation
    outputWidth = activation == .geglu ? weight.rowCount / 2 : weight.rowCount
    inputWidth = weight.rowWidth
  }

  /// A product with quantised weights and a bias `[N]` in f32.
  ///
  /// - Precondition: the weights are gated if, and only if, the activation is `.geglu`.
  public init(_ weights: QuantizedWeights, bias: Tensor? = nil, activation: Activation = .none) {
    precondition(weights.isGated == (activation == .geglu), "gated weights are for a GeGLU")
    self.weights = .quantized(weights)
    self.bias = bias
    self.activation = activation
    (outputWidth, inputWidth) = (weights.outputWidth, weights.inputWidth)
  }

  /// Whether a row's result has the same bits whatever rows it is computed with, on every CPU.
  public var isExact: Bool {
    if case .quantized = weights { true } else { false }
  }

  /// x `[T, K]` to `[T, N]`: norm(x) · weightᵀ + bias, and the activation.
  public func callAsFunction(_ x: Tensor, after norm: Norm? = nil) -> Tensor {
    let out = Tensor(rows: x.rowCount, width: outputWidth)
    self(x, after: norm, into: out)
    return out
  }

  /// The same into `out` `[T, N]`, memory of the caller's. Quantised products normalise each row on its way to
  /// integers: the bits of the norm by itself, without a tensor in between.
  public func callAsFunction(_ x: Tensor, after norm: Norm? = nil, into out: Tensor) {
    precondition(x.rowWidth == inputWidth, "product of \(x.shape) with \(inputWidth) inputs")
    precondition(
      out.rowCount == x.rowCount && out.rowWidth == outputWidth, "product into \(out.shape)")
    switch weights {
    case .floats(let weight):
      let x = norm.map { $0(x) } ?? x
      let isGated = activation == .geglu
      let rows = isGated ? Tensor(rows: x.rowCount, width: weight.rowCount) : out
      multiply(x, weight, into: rows)
      if activation == .gelu { out.gelu() }
      if isGated { rows.geglu(into: out) }
    case .quantized(let weights):
      weights.multiply(x, after: norm, bias: bias, then: then, out: out)
    }
  }

  private func multiply(_ x: Tensor, _ weight: Tensor, into out: Tensor) {
    withExtendedLifetime((x, self, out)) {
      if weight.elementType == .bf16 {
        kernel_linear_bf16(
          x.rowCount, weight.rowCount, inputWidth, x.pointer, weight.elements(UInt16.self),
          bias?.pointer, out.pointer)
      } else {
        kernel_linear_f32(
          x.rowCount, weight.rowCount, inputWidth, x.pointer, weight.pointer, bias?.pointer,
          out.pointer)
      }
    }
  }

  /// Adds the product of x `[T, K]` to the rows `[T, N]` of the residual stream, in place.
  ///
  /// - Precondition: there is no activation.
  public func add(_ x: Tensor, to residual: Tensor) {
    precondition(activation == .none && x.rowWidth == inputWidth, "adding \(x.shape)")
    precondition(
      residual.rowCount == x.rowCount && residual.rowWidth == outputWidth, "to \(residual.shape)")
    switch weights {
    case .floats: residual.add(self(x))
    case .quantized(let weights):
      weights.multiply(x, after: nil, bias: bias, then: KERNEL_ADD, out: residual)
    }
  }

  private var then: kernel_then {
    switch activation {
    case .none: KERNEL_STORE
    case .gelu: KERNEL_GELU
    case .geglu: KERNEL_GEGLU
    }
  }
}
