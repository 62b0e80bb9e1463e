import Checkpoints
import Tensors

/// The last RMSNorm and the product with the vocabulary; the table is the embedding's own unless
/// the checkpoint has a separate one (numerics.md 10: unscaled).
struct LanguageHead {
  private let norm: Tensor  // language_model.model.norm.weight
  private let vocabulary: Linear  // [V, D]
  private let epsilon: Float

  init(_ names: WeightNames, _ config: ModelConfig.Text) throws(CheckpointError) {
    norm = try names.floats("language_model.model.norm.weight", config.width)
    vocabulary = try names.linear(.head(config, isTied: names.isHeadTied))
    epsilon = config.epsilon
  }

  /// The logits `[sequences, V]` of the sequences' last rows `[sequences, D]`: only those are
  /// sampled.
  func callAsFunction(_ last: Tensor) -> Tensor {
    vocabulary(last.rmsNormalized(weight: norm, epsilon: epsilon))
  }
}

extension Tensor {
  /// Each sequence's last row of `[T, D]`: `[sequences, D]`, in memory of its own.
  func lastRows(of sequences: [SequenceRows]) -> Tensor {
    let last = Tensor(shape: [sequences.count, rowWidth])
    var end = 0
    for (index, sequence) in sequences.enumerated() {
      end += sequence.rowCount
      _ = rows(end - 1..<end).convert(into: last.rows(index..<index + 1))
    }
    return last
  }
}
