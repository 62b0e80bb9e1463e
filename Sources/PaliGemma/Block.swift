/// One link of the chain that the model is. Any contiguous cut of the chain is a legal stage.
public enum Block: Sendable, Equatable {
  /// Pixels to patch rows, plus a learned position per patch.
  case patchEmbedding
  /// A SigLIP encoder layer.
  case visionLayer(Int)
  /// SigLIP's last LayerNorm and the projection to the decoder's width.
  case projector
  /// Token ids to rows, with the image rows put before them.
  case tokenEmbedding
  /// A Gemma layer.
  case decoderLayer(Int)
  /// The last RMSNorm and the product with the vocabulary.
  case languageHead
}

extension ModelConfig {
  /// All blocks in order; a range of indices into it names a part of the model.
  public var blocks: [Block] {
    [.patchEmbedding] + (0..<vision.layerCount).map { .visionLayer($0) }
      + [.projector, .tokenEmbedding] + (0..<text.layerCount).map { .decoderLayer($0) }
      + [.languageHead]
  }
  /// The number of blocks.
  public var blockCount: Int { vision.layerCount + text.layerCount + 4 }
  /// Index of the token embedding: the first block of the decoder's half.
  public var tokenEmbeddingIndex: Int { vision.layerCount + 2 }
  /// Index of the first decoder layer.
  public var firstDecoderIndex: Int { tokenEmbeddingIndex + 1 }
  /// Index of the head, the last block.
  public var headIndex: Int { blockCount - 1 }

  /// The decoder layers (0-based in the decoder) among `blocks`.
  public func decoderLayers(in blocks: Range<Int>) -> Range<Int> {
    blocks.clamped(to: firstDecoderIndex..<headIndex).shifted(by: -firstDecoderIndex)
  }

  /// Floating-point operations of one block for one picture and a prompt of `promptTokenCount`
  /// tokens that answers with `answerTokenCount` tokens: the cost an even plan goes by.
  ///
  /// A product with weights `[N, K]` costs 2·N·K per row; attention 4·width per pair of rows.
  public func operations(
    of block: Block, promptTokenCount: Int = 16, answerTokenCount: Int = 20
  ) -> Double {
    let patches = Double(vision.patchCount)
    let prefix = patches + Double(promptTokenCount)
    let rows = prefix + Double(answerTokenCount)
    let (visionWidth, width) = (Double(vision.width), Double(text.width))
    switch block {
    case .patchEmbedding: return 2 * patches * visionWidth * Double(vision.patchWidth)
    case .visionLayer:
      let weights =
        4 * visionWidth * visionWidth + 2 * visionWidth * Double(vision.feedForwardWidth)
      return 2 * patches * weights + 4 * patches * patches * visionWidth
    case .projector: return 2 * patches * visionWidth * width
    case .tokenEmbedding: return rows * width
    case .decoderLayer:
      let heads = Double((2 * text.headCount + 2 * text.keyValueHeadCount) * text.headWidth)
      let weights = width * (heads + 3 * Double(text.feedForwardWidth))
      return 2 * rows * weights + 4 * rows * prefix * Double(text.headCount * text.headWidth)
    case .languageHead:
      return 2 * Double(answerTokenCount + 1) * width * Double(text.vocabularyCount)
    }
  }
}

extension Range<Int> {
  /// The same range moved by `distance`.
  fileprivate func shifted(by distance: Int) -> Range<Int> {
    lowerBound + distance..<upperBound + distance
  }
}
