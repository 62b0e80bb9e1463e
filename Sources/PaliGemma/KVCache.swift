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
  private let keys: [Tensor]  // per layer [S, K, E]
  private let values: [Tensor]  // per layer [S, K, E]

  /// Makes an empty cache for `layerCount` layers and `capacity` positions.
  public init(layerCount: Int, capacity: Int, config: ModelConfig.Text) {
    self.capacity = capacity
    let shape = [capacity, config.keyValueHeadCount, config.headWidth]
    keys = (0..<layerCount).map { _ in Tensor(shape: shape) }
    values = (0..<layerCount).map { _ in Tensor(shape: shape) }
  }

  /// Memory of all keys and values.
  public var byteCount: Int {
    (keys + values).reduce(0) { $0 + $1.byteCount }
  }

  /// Keys and values of layer `index` (0-based in the shard).
  func layer(_ index: Int) -> (keys: Tensor, values: Tensor) { (keys[index], values[index]) }

  /// Forgets the positions from `count` on; they will be written again.
  ///
  /// - Precondition: `count` is at most `tokenCount`.
  public func truncate(to count: Int) { tokenCount = min(tokenCount, max(0, count)) }

  /// Puts one number everywhere.
  func fill(_ value: Float) {
    for tensor in keys + values {
      tensor.withFloats { $0.initialize(repeating: value, count: tensor.count) }
    }
  }

  /// Counts `count` more positions as filled, after all layers have written them.
  func advance(by count: Int) { tokenCount += count }
}
