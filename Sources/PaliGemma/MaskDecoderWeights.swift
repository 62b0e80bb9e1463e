import Tensors

/// The arrays of `vae-oid.npz` that the decoder needs, checked, and laid out for products.
struct MaskDecoderWeights {
  /// Bounds of a sane decoder; the published one has 128 channels and 512 numbers per code word.
  private static let widthMaximum = 4096

  let path: String
  let tensors: [String: Tensor]

  /// Everything that is read from the file.
  static let names: Set<String> = {
    let layers =
      ["0", "12", "4", "6", "8", "10"]
      + ["2", "3"].flatMap { block in ["0", "2", "4"].map { "\(block).net.\($0)" } }
    return Set(
      layers.flatMap { ["decoder.\($0).weight", "decoder.\($0).bias"] } + ["_vq_vae._embedding"])
  }()

  /// The array `name` in f32, of the given extents; nil stands for any up to the maximum.
  func tensor(_ name: String, _ shape: [Int?]) throws(MaskDecoderError) -> Tensor {
    guard let tensor = tensors[name] else { throw error("it has no array '\(name)'") }
    let isRight =
      tensor.shape.count == shape.count
      && zip(tensor.shape, shape).allSatisfy { extent, expected in
        extent == expected ?? min(max(extent, 1), Self.widthMaximum)
      }
    guard isRight else {
      let expected = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
      throw error("'\(name)' has shape \(tensor.shape) where [\(expected)] is needed")
    }
    guard let floats = tensor.convertedToF32() else {
      throw error("'\(name)' has elements of type \(tensor.elementType), not f32 or f16")
    }
    return floats
  }

  /// `C`, which three halvings must leave whole.
  func channelCount() throws(MaskDecoderError) -> Int {
    let count = try tensor("decoder.0.bias", [nil]).count
    guard count % 8 == 0 else { throw error("\(count) channels can't be halved three times") }
    return count
  }

  /// PyTorch's `[outputs, inputs, kernel, kernel]` as `[outputs, kernel · kernel · inputs]`.
  func convolution(
    _ name: String, inputs: Int, outputs: Int, kernel: Int
  ) throws(MaskDecoderError) -> Linear {
    let weight = try tensor("\(name).weight", [outputs, inputs, kernel, kernel])
    let bias = try tensor("\(name).bias", [outputs])
    let taps = kernel * kernel
    let rows = Tensor(shape: [outputs, taps * inputs])
    weight.withFloats { source in
      rows.withFloats { target in
        for output in 0..<outputs {
          let start = output * inputs * taps
          for input in 0..<inputs {
            for tap in 0..<taps {
              target[start + tap * inputs + input] = source[start + input * taps + tap]
            }
          }
        }
      }
    }
    return Linear(weight: rows, bias: bias)
  }

  /// PyTorch's `[inputs, outputs, 4, 4]` as `[16 · outputs, inputs]`, and the bias beside it, which is
  /// added once for a pixel and not once for a tap.
  func transposedConvolution(
    _ name: String, inputs: Int, outputs: Int
  ) throws(MaskDecoderError) -> (Linear, Tensor) {
    let weight = try tensor("\(name).weight", [inputs, outputs, 4, 4])
    let rows = Tensor(shape: [16 * outputs, inputs])
    weight.withFloats { source in
      rows.withFloats { target in
        for input in 0..<inputs {
          for output in 0..<outputs {
            for tap in 0..<16 {
              target[(tap * outputs + output) * inputs + input] =
                source[(input * outputs + output) * 16 + tap]
            }
          }
        }
      }
    }
    return (Linear(weight: rows), try tensor("\(name).bias", [outputs]))
  }

  private func error(_ cause: String) -> MaskDecoderError {
    MaskDecoderError(path: path, cause: cause)
  }
}
