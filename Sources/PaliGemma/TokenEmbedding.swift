import Checkpoints
import Tensors

/// Token ids to rows: a look-up in the mapped table, so that only the rows used are ever read.
struct TokenEmbedding {
  private let table: Tensor  // [V, D] language_model.model.embed_tokens.weight, as stored
  /// √D. The reference rounds it to the element type it computes in, which here is f32.
  private let factor: Float
  private let config: ModelConfig

  init(_ names: WeightNames, _ config: ModelConfig) throws(CheckpointError) {
    table = try names.stored(
      "language_model.model.embed_tokens.weight",
      shape: [config.text.vocabularyCount, config.text.width])
    factor = Float(Double(config.text.width).squareRoot())
    self.config = config
  }

  /// Merges image rows and text rows into `[T, D]`, request by request.
  ///
  /// - Parameters:
  ///   - images: `[pictures · P, D]` from the projector, in the order of the sequences; nil when
  ///     no sequence has pictures.
  ///   - sequences: whose rows are wanted; their ids are within the vocabulary.
  /// - Returns: `[T, D]` f32.
  func callAsFunction(images: Tensor?, sequences: [SequenceRows]) -> Tensor {
    let width = config.text.width
    let out = Tensor(rows: sequences.reduce(0) { $0 + $1.rowCount }, width: width)
    var (row, imageRow) = (0, 0)
    for sequence in sequences {
      if case .prefix(let imageCount) = sequence.part, let images, imageCount > 0 {
        let count = imageCount * config.imageTokenCount
        _ = images.rows(imageRow..<imageRow + count).convert(into: out.rows(row..<row + count))
        row += count
        imageRow += count
      }
      for id in sequence.tokenIDs {
        let target = out.rows(row..<row + 1)
        _ = table.rows(Int(id)..<Int(id) + 1).convert(into: target)
        target.scale(by: factor)
        row += 1
      }
    }
    return out
  }
}
