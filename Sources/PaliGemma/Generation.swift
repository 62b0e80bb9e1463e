import Checkpoints
import Tensors

/// The whole model in one piece, one request at a time: the plain form that every pipeline is
/// compared with, and the place to read what an answer is.
public final class Generation {
  /// The whole model.
  public let model: ModelSection

  /// Loads all blocks of the checkpoint in `directory`.
  public init(config: ModelConfig, checkpoint: Checkpoint, precision: Precision = .f32)
    throws(CheckpointError)
  {
    model = try ModelSection(
      config: config, checkpoint: checkpoint, blocks: 0..<config.blockCount,
      precision: precision)
  }

  /// Answers one request: a prefill, then one step per token until an end token or the limit.
  ///
  /// - Parameters:
  ///   - pixels: `[pictures, side, side, 3]` u8, already resized.
  ///   - promptTokenIDs: `<bos>`, the prompt and its newline; image tokens are implied.
  ///   - tokenCountMaximum: the longest answer; at least 1.
  ///   - parameters: how tokens are chosen.
  /// - Returns: the tokens, with the end token last when the answer ended by itself.
  public func answer(
    pixels: Tensor, promptTokenIDs: [Int32], tokenCountMaximum: Int,
    parameters: SamplingParameters = SamplingParameters()
  ) -> [SampledToken] {
    let config = model.config
    let prefixCount = pixels.rowCount * config.imageTokenCount + promptTokenIDs.count
    let cache = model.makeCache(capacity: prefixCount + tokenCountMaximum)
    var rows = SequenceRows(
      .prefix(imageCount: pixels.rowCount), tokenIDs: promptTokenIDs, rowCount: prefixCount,
      cache: cache)
    var logits = model.forward(pixels, sequences: [rows])
    var answer: [SampledToken] = []
    while true {
      let token = Sampler.sample(logits, index: answer.count, parameters)
      answer.append(token)
      if config.endTokenIDs.contains(token.chosen.tokenID) || answer.count >= tokenCountMaximum {
        return answer
      }
      rows = SequenceRows(.suffix, tokenIDs: [token.chosen.tokenID], rowCount: 1, cache: cache)
      logits = model.forward(nil, sequences: [rows])
    }
  }
}
