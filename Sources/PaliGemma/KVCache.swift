import Tensors

/// Keys and values of one request, for the decoder layers of one shard.
///
/// Owned by the stage that made it and touched by its thread alone. Its size is fixed when it is
/// made, so that memory is spoken for before a request is let in.
public final class KVCache {
  /// Positions there is room for, `S`.
  public let capacity: Int
  /// Positions filled in every layer.
  public private(set) var tokenCount = 0
  private let layerCount: Int
  /// Per layer keys, then values: `[layers · 2 · S, K · E]`.
  private let memory: Tensor

  /// Makes an empty cache for `layerCount` layers and `capacity` positions.
  public init(layerCount: Int, capacity: Int, config: ModelConfig.Text) {
    self.capacity = capacity
    self.layerCount = layerCount
    memory = Tensor(
      rows: layerCount * 2 * capacity, width: config.keyValueHeadCount * config.headWidth)
  }

  /// Memory of all keys and values.
  public var byteCount: Int { memory.byteCount }

  /// Keys and values `[S, K, E]` of layer `index` (0-based in the shard); valid as long as somebody
  /// has the cache.
  func layer(
    _ index: Int
  ) -> (keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>) {
    precondition(index < layerCount, "layer \(index) of \(layerCount)")
    let size = capacity * memory.rowWidth
    return memory.withFloats { ($0 + 2 * index * size, $0 + (2 * index + 1) * size) }
  }

  /// Forgets the positions from `count` on; they will be written again.
  ///
  /// - Precondition: `count` is at most `tokenCount`.
  public func truncate(to count: Int) { tokenCount = min(tokenCount, max(0, count)) }

  /// Puts one number everywhere.
  func fill(_ value: Float) {
    memory.withFloats { $0.initialize(repeating: value, count: memory.count) }
  }

  /// Counts `count` more positions as filled, after all layers have written them.
  func advance(by count: Int) { tokenCount += count }
}
