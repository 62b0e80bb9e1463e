import PaliGemma
import Tensors

/// What a stage needs of its machine's memory, from the model's numbers: an estimate before anything is
/// loaded, so that a plan made in need is not one that swaps.
struct MemoryNeed {
  let config: ModelConfig
  let precision: String
  let limits: Limits

  /// Weights of these blocks, and the caches of as many requests as are let in where so many stages
  /// decode.
  func byteCount(of blocks: Range<Int>, decodeStages: Int) -> Int {
    let bits = Precision(rawValue: precision)?.storedBits ?? 32
    let weights = config.blocks[blocks].reduce(0.0) { $0 + weightCount($1) }
    let text = config.text
    let position = 2 * text.keyValueHeadCount * text.headWidth * 4
    let layers = config.decoderLayers(in: blocks).count
    // A picture, a prompt and an answer of usual length.
    let requests = limits.requestsInFlight(decodeStages: decodeStages)
    let caches = requests * layers * position * (config.imageTokenCount + 64)
    return Int(weights * Double(bits) / 8) + caches
  }

  /// Weights of one block.
  func weightByteCount(of block: Int) -> Int {
    let bits = Precision(rawValue: precision)?.storedBits ?? 32
    return Int(weightCount(config.blocks[block]) * Double(bits) / 8)
  }

  private func weightCount(_ block: Block) -> Double {
    let (vision, text) = (config.vision, config.text)
    let (visionWidth, width) = (Double(vision.width), Double(text.width))
    switch block {
    case .patchEmbedding: return visionWidth * Double(vision.patchWidth + vision.patchCount)
    case .visionLayer:
      return 4 * visionWidth * visionWidth + 2 * visionWidth * Double(vision.feedForwardWidth)
    case .projector: return visionWidth * width
    case .tokenEmbedding, .languageHead: return width * Double(text.vocabularyCount)
    case .decoderLayer:
      let heads = Double((2 * text.headCount + 2 * text.keyValueHeadCount) * text.headWidth)
      return width * (heads + 3 * Double(text.feedForwardWidth))
    }
  }
}
