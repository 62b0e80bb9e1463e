import CSodium
import Tensors

/// BLAKE2b-256: names bytes by what they are, so that nobody who gives other bytes can pass them off.
public struct ContentHash: Hashable, Sendable, CustomStringConvertible {
  /// Bytes of a hash.
  public static let byteCount = 32
  /// The hash itself.
  public let bytes: [UInt8]

  /// Takes a hash as it came; nil when it has another size.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }

  /// The hash of `content`.
  public init(of content: UnsafeRawBufferPointer) {
    // Chooses the code for this CPU; from the second time on it does nothing.
    _ = sodium_init()
    let address = content.bindMemory(to: UInt8.self).baseAddress
    bytes = [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
      guard let out = buffer.baseAddress else { return }
      // It refuses sizes of a hash that it can't make, and 32 bytes are its usual one.
      crypto_generichash(out, Self.byteCount, address, UInt64(content.count), nil, 0)
      count = Self.byteCount
    }
  }

  /// The hash of some bytes.
  public init(of content: [UInt8]) { self = content.withUnsafeBytes { ContentHash(of: $0) } }

  /// 64 hexadecimal digits.
  public var description: String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

/// A tensor as it is shared: its type and shape, and what its bytes are, chunk by chunk.
public struct SharedTensor: Sendable, Equatable {
  /// Bytes of every chunk but the last: what is asked for, checked and kept at a time.
  public static let chunkByteCount = 1 << 20
  /// Dimensions at most, as in a file.
  static let rankMaximum = 8

  /// The name in the checkpoint it comes from.
  public let name: String
  /// How one element is stored.
  public let elementType: ElementType
  /// The extents, outermost first.
  public let shape: [Int]
  /// What stands in the file's header about how weights are packed.
  public let notes: [String: String]
  /// The hash of each chunk.
  public let chunks: [ContentHash]
  /// Bytes of the data.
  public let byteCount: Int
  /// The hash of all of this: what the tensor is known by.
  public let hash: ContentHash

  /// A tensor that somebody tells of; nil when its shape has no size, or another number of chunks.
  public init?(
    name: String, elementType: ElementType, shape: [Int], notes: [String: String],
    chunks: [ContentHash]
  ) {
    guard let byteCount = Tensor.byteCount(elementType, shape: shape), byteCount > 0,
      shape.count <= Self.rankMaximum, chunks.count == Self.chunkCount(byteCount)
    else { return nil }
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.notes = notes
    self.chunks = chunks
    self.byteCount = byteCount
    // Lengths stand before texts, so that no two tensors make the same bytes.
    var words = [elementType.rawValue]
    func add(_ number: Int) { withUnsafeBytes(of: UInt64(number).littleEndian) { words += $0 } }
    func add(_ text: String) {
      add(text.utf8.count)
      words += Array(text.utf8)
    }
    add(name)
    add(shape.count)
    for extent in shape { add(extent) }
    add(notes.count)
    for (key, value) in notes.sorted(by: { $0.key < $1.key }) {
      add(key)
      add(value)
    }
    for chunk in chunks { words += chunk.bytes }
    hash = ContentHash(of: words)
  }

  /// Reads all of `tensor` to tell of it.
  public init?(name: String, tensor: Tensor, notes: [String: String]) {
    let chunks = tensor.withBytes { bytes in
      (0..<Self.chunkCount(bytes.count)).map { index in
        ContentHash(of: UnsafeRawBufferPointer(rebasing: bytes[Self.range(index, of: bytes.count)]))
      }
    }
    self.init(
      name: name, elementType: tensor.elementType, shape: tensor.shape, notes: notes,
      chunks: chunks)
  }

  /// Where chunk `index` stands in the data.
  public func range(ofChunk index: Int) -> Range<Int> { Self.range(index, of: byteCount) }

  /// Where all chunks of so many bytes stand.
  static func ranges(of byteCount: Int) -> [Range<Int>] {
    (0..<chunkCount(byteCount)).map { range($0, of: byteCount) }
  }

  private static func range(_ index: Int, of byteCount: Int) -> Range<Int> {
    index * chunkByteCount..<min(byteCount, (index + 1) * chunkByteCount)
  }

  private static func chunkCount(_ byteCount: Int) -> Int {
    byteCount / chunkByteCount + (byteCount % chunkByteCount > 0 ? 1 : 0)
  }
}
