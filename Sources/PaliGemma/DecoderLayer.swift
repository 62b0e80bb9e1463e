import CKernels
import Checkpoints
import Tensors

/// One Gemma layer: RMSNorm → attention → residual, RMSNorm → GeGLU feed-forward → residual
/// (Gemma Team 2024; attention with shared key/value heads after Shazeer 2019).
struct DecoderLayer {
  private let config: ModelConfig.Text
  private let inputNorm: Norm  // input_layernorm
  private let qkv: Linear  // self_attn.{q,k,v}_proj, stacked: [(H + 2K) · E, D]
  private let output: Linear  // self_attn.o_proj: [D, H · E]
  private let attentionNorm: Norm  // post_attention_layernorm
  private let gateUp: Linear  // mlp.{gate,up}_proj, then GeGLU: [2F, D]
  private let down: Linear  // mlp.down_proj: [D, F]
  /// theta^(−2i/E) for the E/2 pairs of a head.
  private let inverseFrequencies: [Float]

  init(_ names: WeightNames, _ config: ModelConfig.Text, layer: Int) throws(CheckpointError) {
    self.config = config
    let prefix = "language_model.model.layers.\(layer)."
    let norm = { (name: String) throws(CheckpointError) -> Norm in
      Norm(rms: try names.floats(prefix + name, config.width), epsilon: config.epsilon)
    }
    inputNorm = try norm("input_layernorm.weight")
    attentionNorm = try norm("post_attention_layernorm.weight")
    let products = DecoderProducts(config, layer: layer)
    qkv = try names.linear(products.qkv)
    output = try names.linear(products.output)
    gateUp = try names.linear(products.gateUp)
    down = try names.linear(products.down)
    inverseFrequencies = (0..<config.headWidth / 2).map { pair in
      // As the reference computes it: the exponent and the power in f32.
      1 / Float.power(config.ropeTheta, Float(2 * pair) / Float(config.headWidth))
    }
  }

  /// Adds this layer's work to the residual stream, in place, and appends keys and values.
  ///
  /// - Parameters:
  ///   - x: `[T, D]` f32, the rows of all sequences one after the other.
  ///   - sequences: whose rows they are; each has a cache with room for them.
  ///   - positions: `[T]`, 1-based (numerics.md 6).
  ///   - index: which layer of the caches this is.
  ///   - scratch: room for `T` rows.
  ///   - onlyLast: whether the rows that will be sampled, each sequence's last one, are enough:
  ///     the others then end with their keys and values.
  /// - Returns: `x`, or with `onlyLast` the last rows `[sequences, D]`.
  func callAsFunction(
    _ x: Tensor, sequences: [SequenceRows], positions: [Int32], cacheIndex index: Int,
    scratch: LayerScratch, onlyLast: Bool = false
  ) -> Tensor {
    qkv(x, after: inputNorm, into: scratch.projected)
    rotate(scratch.projected, positions: positions)
    attend(scratch, sequences: sequences, cacheIndex: index)
    var (x, attended) = (x, scratch.attended)
    if onlyLast { (x, attended) = (x.lastRows(of: sequences), attended.lastRows(of: sequences)) }
    output.add(attended, to: x)
    let inner = scratch.inner.rows(0..<x.rowCount)
    gateUp(x, after: attentionNorm, into: inner)
    down.add(inner, to: x)
    return x
  }

  /// Whether a row's result doesn't depend on the rows beside it, so that rows may be left out.
  var isExact: Bool { output.isExact && gateUp.isExact && down.isExact }

  private var rowWidth: Int {
    (config.headCount + 2 * config.keyValueHeadCount) * config.headWidth
  }

  /// RoPE on the queries and keys of `[T, (H + 2K) · E]`; values stay.
  private func rotate(_ projected: Tensor, positions: [Int32]) {
    projected.withFloats {
      kernel_rope_f32(
        positions.count, config.headCount + config.keyValueHeadCount, config.headWidth, rowWidth,
        positions, inverseFrequencies, $0)
    }
  }

  /// Writes keys and values to the caches, then attends: `projected` to `attended`.
  private func attend(_ scratch: LayerScratch, sequences: [SequenceRows], cacheIndex: Int) {
    let (heads, shared, head) = (config.headCount, config.keyValueHeadCount, config.headWidth)
    let stride = shared * head
    let scale = 1 / Float(head).squareRoot()
    scratch.suffix.removeAll(keepingCapacity: true)
    scratch.projected.withFloats { rows in
      scratch.attended.withFloats { outRows in
        var first = 0
        for sequence in sequences {
          guard let cache = sequence.cache else { continue }
          // The sequences keep the caches, and so this memory.
          let (keys, values) = cache.layer(cacheIndex)
          let (count, filled) = (sequence.rowCount, cache.tokenCount)
          let q = rows + first * rowWidth
          let o = outRows + first * heads * head
          copy(q + heads * head, to: keys + filled * stride, count: count)
          copy(q + (heads + shared) * head, to: values + filled * stride, count: count)
          if case .prefix = sequence.part {
            kernel_attend_all_f32(
              count, filled + count, heads, shared, head, q, rowWidth, keys, values, stride, scale,
              o, heads * head)
          } else {
            // Row by row, so that a suffix replayed as several rows gives the bits of one-by-one.
            for row in 0..<count {
              scratch.suffix.append(
                kernel_decode_row(
                  q: q + row * rowWidth, keys: keys, values: values, out: o + row * heads * head,
                  S: filled + row + 1))
            }
          }
          first += count
        }
        kernel_attend_rows_f32(
          scratch.suffix, scratch.suffix.count, stride, heads, shared, head, scale)
      }
    }
    withExtendedLifetime(sequences) {}
  }

  /// Copies `count` rows of `K · E` floats out of the projected rows.
  private func copy(
    _ source: UnsafeMutablePointer<Float>, to target: UnsafeMutablePointer<Float>, count: Int
  ) {
    let width = config.keyValueHeadCount * config.headWidth
    for row in 0..<count {
      (target + row * width).update(from: source + row * rowWidth, count: width)
    }
  }
}
