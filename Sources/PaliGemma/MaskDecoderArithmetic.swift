import CKernels
import Tensors

/// Convolutions as products: pixels are rows, `[side · side, C]`.
extension Tensor {
  /// ReLU, in place.
  func rectify() {
    withFloats { values in for index in 0..<count { values[index] = max(values[index], 0) } }
  }

  /// Each pixel with its eight neighbours, zeros outside: `[side · side, 9 · C]`, tap by tap in rows.
  func neighbourhoods(side: Int) -> Tensor {
    let width = rowWidth
    let out = Tensor(shape: [side * side, 9 * width])
    withFloats { source in
      out.withFloats { target in
        target.update(repeating: 0, count: out.count)
        for (y, x) in Self.grid(side) {
          for (tap, (dy, dx)) in Self.grid(3).enumerated() {
            let (row, column) = (y + dy - 1, x + dx - 1)
            guard (0..<side).contains(row), (0..<side).contains(column) else { continue }
            (target + ((y * side + x) * 9 + tap) * width).update(
              from: source + (row * side + column) * width, count: width)
          }
        }
      }
    }
    return out
  }

  /// The second half of a transposed convolution (4 × 4, stride 2, padding 1): adds up what each
  /// pixel gives to the 4 × 4 pixels around it in a picture of twice the side.
  ///
  /// Pixel (y, x) reaches rows 2y − 1 … 2y + 2, and columns alike.
  ///
  /// - Parameters:
  ///   - side: of the pixels in `self`, `[side · side, 16 · C]`, tap by tap in rows.
  ///   - bias: `[C]`.
  /// - Returns: `[4 · side · side, C]`.
  func spread(side: Int, bias: Tensor) -> Tensor {
    let (width, outSide) = (rowWidth / 16, 2 * side)
    let out = Tensor(shape: [outSide * outSide, width])
    withFloats { source in
      out.withFloats { target in
        bias.withFloats { bias in
          for row in 0..<(outSide * outSide) {
            (target + row * width).update(from: bias, count: width)
          }
        }
        for (y, x) in Self.grid(side) {
          for (tap, (dy, dx)) in Self.grid(4).enumerated() {
            let (row, column) = (2 * y + dy - 1, 2 * x + dx - 1)
            guard (0..<outSide).contains(row), (0..<outSide).contains(column) else { continue }
            kernel_add_f32(
              width, target + (row * outSide + column) * width,
              source + ((y * side + x) * 16 + tap) * width)
          }
        }
      }
    }
    return out
  }

  /// Rows and columns of a square, row by row.
  private static func grid(_ side: Int) -> [(Int, Int)] {
    (0..<(side * side)).map { ($0 / side, $0 % side) }
  }
}
