import Checkpoints
import Tensors

/// The last RMSNorm and the product with the vocabulary; the table is the embedding's own unless
/// the checkpoint has a separate one (numerics.md 10: unscaled).
struct LanguageHead {
  private let norm: Norm  // language_model.model.norm
  private let vocabulary: Linear  // [V, D]

  init(_ names: WeightNames, _ config: ModelConfig.Text) throws(CheckpointError) {
    let weight = try names.floats("language_model.model.norm.weight", config.width)
    norm = Norm(rms: weight, epsilon: config.epsilon)
    vocabulary = try names.linear(.head(config, isTied: names.isHeadTied))
  }

  /// The logits `[sequences, V]` of the sequences' last rows `[sequences, D]`: only those are
  /// sampled.
  func callAsFunction(_ last: Tensor) -> Tensor {
    vocabulary(last, after: norm)
  }
}

extension Tensor {
  /// Each sequence's last row of `[T, D]`: `[sequences, D]`, in memory of its own where there are others.
  func lastRows(of sequences: [SequenceRows]) -> Tensor {
    if sequences.count == rowCount { return self }
    let last = Tensor(rows: sequences.count, width: rowWidth)
    var end = 0
    for (index, sequence) in sequences.enumerated() {
      end += sequence.rowCount
      _ = rows(end - 1..<end).convert(into: last.rows(index..<index + 1))
    }
    return last
  }
}
