import Foundation

// Foundation's functions, in one place: the model files then import nothing but our own layers.

/// eˣ in double precision.
func exponential(_ x: Double) -> Double { exp(x) }

extension Float {
  /// base to the power of exponent, in f32 as the reference computes RoPE's frequencies.
  static func power(_ base: Float, _ exponent: Float) -> Float { powf(base, exponent) }
}
