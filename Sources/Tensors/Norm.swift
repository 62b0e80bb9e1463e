import CKernels

/// A norm over the rows in front of a product.
public struct Norm: Sendable {
  private let weight: Tensor  // [D]
  private let bias: Tensor?  // [D]
  private let epsilon: Float

  /// Gemma's RMSNorm: x · rsqrt(mean(x²) + epsilon) · (1 + weight), with a weight `[D]`.
  public init(rms weight: Tensor, epsilon: Float) {
    self.weight = weight
    bias = nil
    self.epsilon = epsilon
  }

  /// LayerNorm with a weight and a bias `[D]`.
  public init(layer weight: Tensor, bias: Tensor, epsilon: Float) {
    self.weight = weight
    self.bias = bias
    self.epsilon = epsilon
  }

  /// The rows of x `[T, D]`, normalised.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    let out = Tensor(rows: x.rowCount, width: x.rowWidth)
    withExtendedLifetime((self, x, out)) {
      if let bias {
        kernel_layernorm_f32(
          x.rowCount, x.rowWidth, x.pointer, weight.pointer, bias.pointer, epsilon, out.pointer)
      } else {
        kernel_rmsnorm_f32(
          x.rowCount, x.rowWidth, x.pointer, weight.pointer, epsilon, out.pointer)
      }
    }
    return out
  }

  /// For a product that normalises its rows itself; valid as long as the caller keeps the norm.
  var kernel: kernel_norm {
    kernel_norm(w: weight.pointer, b: bias?.pointer, epsilon: epsilon)
  }
}
