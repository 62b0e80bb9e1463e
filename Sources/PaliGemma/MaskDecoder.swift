import Checkpoints
import Tensors

/// The decoder of big_vision's VQ-VAE for masks: 16 code words, the model's `<seg>` tokens, to scores
/// of 64 × 64 pixels (PaliGemma's paper, and Ning et al., "All in Tokens", arXiv 2301.02229).
///
/// Names and shapes are those of the published `vae-oid.npz`, a PyTorch checkpoint; its encoder is left
/// alone. Rows are pixels, `C` = 128 channels, `D` = 512 per code word:
/// `[16, D]` → 1×1 convolution → two residual blocks `[16, C]` → four times a transposed convolution
/// that doubles the sides, with ReLU, to `C`, `C/2`, `C/4`, `C/8` channels → 1×1 convolution `[4096, 1]`.
public struct MaskDecoder: Sendable {
  /// Code words of one mask, in rows of four.
  public static let codeCount = 16
  /// Different code words.
  public static let vocabularyCount = 128
  /// Pixels along each side of the scores.
  public static let side = 64

  private let codebook: Tensor  // [128, D]
  private let entry: Linear
  private let residuals: [[Linear]]  // two 3×3 convolutions and a 1×1
  private let upsamples: [(weight: Linear, bias: Tensor)]
  private let exit: Linear

  /// Reads the decoder from an `.npz` file.
  ///
  /// - Throws: what is wrong with the file: unreadable, damaged, an array missing or of another shape.
  public init(path: String) throws(MaskDecoderError) {
    let file: NPZFile
    do { file = try NPZFile(path: path, names: MaskDecoderWeights.names) } catch {
      throw MaskDecoderError(error, path: path)
    }
    try self.init(MaskDecoderWeights(path: path, tensors: file.tensors))
  }

  /// Puts the decoder together from its weights.
  init(_ weights: MaskDecoderWeights) throws(MaskDecoderError) {
    codebook = try weights.tensor("_vq_vae._embedding", [Self.vocabularyCount, nil])
    let (inputs, channels) = (codebook.rowWidth, try weights.channelCount())
    entry = try weights.convolution("decoder.0", inputs: inputs, outputs: channels, kernel: 1)
    var residuals: [[Linear]] = []
    for block in ["decoder.2.net", "decoder.3.net"] {
      var layers: [Linear] = []
      for (index, kernel) in [(0, 3), (2, 3), (4, 1)] {
        layers.append(
          try weights.convolution(
            "\(block).\(index)", inputs: channels, outputs: channels, kernel: kernel))
      }
      residuals.append(layers)
    }
    self.residuals = residuals
    var (upsamples, width): ([(Linear, Tensor)], Int) = ([], channels)
    for (step, index) in [4, 6, 8, 10].enumerated() {
      let outputs = channels >> step
      upsamples.append(
        try weights.transposedConvolution("decoder.\(index)", inputs: width, outputs: outputs))
      width = outputs
    }
    self.upsamples = upsamples.map { (weight: $0, bias: $1) }
    exit = try weights.convolution("decoder.12", inputs: width, outputs: 1, kernel: 1)
  }

  /// The scores of one mask: `[64, 64]`, row-major, above 0 inside; about -1 to 1.
  ///
  /// - Parameter codes: 16 code words of 0…127, row by row from the top left.
  /// - Returns: nil for another number of code words, or one outside its range.
  public func scores(_ codes: [Int]) -> [Float]? {
    guard codes.count == Self.codeCount, codes.allSatisfy((0..<codebook.rowCount).contains) else {
      return nil
    }
    let words = Tensor(shape: [codes.count, codebook.rowWidth])
    for (row, code) in codes.enumerated() {
      codebook.rows(code..<code + 1).withBytes { source in
        words.rows(row..<row + 1).withBytes { $0.copyMemory(from: UnsafeRawBufferPointer(source)) }
      }
    }
    var side = 4
    var x = entry(words)
    x.rectify()
    for layers in residuals {
      var y = layers[0](x.neighbourhoods(side: side))
      y.rectify()
      y = layers[1](y.neighbourhoods(side: side))
      y.rectify()
      y = layers[2](y)
      y.add(x)
      x = y
    }
    for layer in upsamples {
      x = layer.weight(x).spread(side: side, bias: layer.bias)
      x.rectify()
      side *= 2
    }
    return exit(x).floats
  }
}
