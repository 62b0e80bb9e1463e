import Checkpoints
import Tensors

/// The last RMSNorm and the product with the vocabulary; the table is the embedding's own unless
/// the checkpoint has a separate one (numerics.md 10: unscaled).
struct LanguageHead {
  private let norm: Tensor  // language_model.model.norm.weight
  private let vocabulary: Linear  // [V, D]
  private let epsilon: Float

  init(_ names: WeightNames, _ config: ModelConfig.Text) throws(CheckpointError) {
    let (count, width) = (config.vocabularyCount, config.width)
    norm = try names.floats("language_model.model.norm.weight", width)
    let own = "language_model.lm_head"
    let tied = "language_model.model.embed_tokens"
    vocabulary = try names.linear(
      [(names.resolved(own + ".weight") == nil ? tied : own, count)], inputs: width,
      hasBias: false)
    epsilon = config.epsilon
  }

  /// The logits `[sequences, V]` of each sequence's last row of x `[T, D]`: only those are sampled.
  func callAsFunction(_ x: Tensor, sequences: [SequenceRows]) -> Tensor {
    let last = Tensor(shape: [sequences.count, x.rowWidth])
    var end = 0
    for (index, sequence) in sequences.enumerated() {
      end += sequence.rowCount
      _ = x.rows(end - 1..<end).convert(into: last.rows(index..<index + 1))
    }
    return vocabulary(last.rmsNormalized(weight: norm, epsilon: epsilon))
  }
}
