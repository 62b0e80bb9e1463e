import CKernels
import Tensors

/// What the layers of one micro-batch compute on the way, in turn in the same memory: a layer takes none.
///
/// Made for one pass through a section, and used by its thread alone.
final class LayerScratch {
  /// `[T, (H + 2K) · E]`: queries, keys and values.
  let projected: Tensor
  /// `[T, H · E]`: what attention gives.
  let attended: Tensor
  /// `[T, F]`: inside the feed-forward.
  let inner: Tensor
  /// Rows of suffixes with their caches, of one layer.
  var suffix: [kernel_decode_row] = []

  /// Room for `rows` rows of a decoder layer.
  init(rows: Int, _ config: ModelConfig.Text) {
    let heads = config.headCount * config.headWidth
    projected = Tensor(
      rows: rows, width: heads + 2 * config.keyValueHeadCount * config.headWidth)
    attended = Tensor(rows: rows, width: heads)
    inner = Tensor(rows: rows, width: config.feedForwardWidth)
    // A prefill has none; a replay of more grows.
    suffix.reserveCapacity(min(rows, 64))
  }

  /// Room for `rows` rows of a SigLIP layer.
  init(rows: Int, _ config: ModelConfig.Vision) {
    projected = Tensor(rows: rows, width: 3 * config.width)
    attended = Tensor(rows: rows, width: config.width)
    inner = Tensor(rows: rows, width: config.feedForwardWidth)
  }
}
