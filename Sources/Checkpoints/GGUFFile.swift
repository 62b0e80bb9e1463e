import Tensors

/// One mapped GGUF file, version 2 or 3, little-endian: metadata, a list of tensors, the data
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Every count, size and offset is checked
/// before it is used; no tensor data is touched until it is asked for.
public struct GGUFFile: Sendable {
  /// Bytes of a metadata key or a tensor's name; the format has 65535 and 64.
  static let nameByteCountMaximum = 65535
  /// Bytes of one text of the metadata, such as a chat template or a licence.
  static let textByteCountMaximum = 16 << 20
  /// Dimensions of a tensor (`GGML_MAX_DIMS`).
  static let dimensionCountMaximum = 4
  /// What `general.alignment` is where the file doesn't say, and at most: a huge page.
  static let (defaultAlignment, alignmentMaximum) = (32, 2 << 20)

  /// Where a tensor stands in the file.
  public struct Entry: Sendable, Equatable {
    /// How its elements are stored.
    public let type: GGUFType
    /// The extents, outermost first: the reverse of what the file says.
    public let shape: [Int]
    /// Offset of the first byte from the file's start.
    public let byteOffset: Int
    /// Bytes of the data.
    public let byteCount: Int
    /// The number of elements.
    public var count: Int { shape.reduce(1, *) }
  }

  /// The path, for messages.
  public let path: String
  /// The format's version.
  public let version: UInt32
  /// What the file says of itself, by key.
  public let metadata: [String: GGUFValue]
  /// All tensors by name.
  public let entries: [String: Entry]
  private let storage: TensorStorage

  /// Maps the file and reads its head.
  ///
  /// - Throws: `unreadable`, or `malformed` with the place that breaks the format.
  public init(path: String) throws(CheckpointError) {
    self.path = path
    storage = try MappedFile.open(path).storage
    var cursor = GGUFCursor(storage: storage, path: path)
    guard try cursor.integer(UInt32.self) == 0x4655_4747 else {
      throw cursor.problem("it doesn't begin with GGUF")
    }
    version = try cursor.integer()
    guard (2...3).contains(version) else {
      let isTurned = (2...3).contains(version.byteSwapped)
      throw cursor.problem(
        isTurned ? "it is big-endian; only little-endian files are read" : "version \(version)")
    }
    // 13: a key's length, a kind, a byte of value. 24: a name's length, no dimensions, type, offset.
    let (tensorCount, valueCount) = (
      try cursor.count(of: "tensors", leastByteCount: 24),
      try cursor.count(of: "metadata values", leastByteCount: 13)
    )
    var metadata: [String: GGUFValue] = [:]
    for _ in 0..<valueCount {
      let key = try cursor.text(atMost: Self.nameByteCountMaximum)
      let number: UInt32 = try cursor.integer()
      guard let kind = GGUFKind(rawValue: number) else {
        throw cursor.problem("'\(key.prefix(80))' has a value of kind \(number)")
      }
      let value = try cursor.value(kind)
      guard metadata.updateValue(value, forKey: key) == nil else {
        throw cursor.problem("'\(key.prefix(80))' is there twice")
      }
    }
    self.metadata = metadata
    entries = try Self.entries(
      &cursor, count: tensorCount, alignment: Self.alignment(metadata, cursor))
  }

  private static func alignment(
    _ metadata: [String: GGUFValue], _ cursor: GGUFCursor
  ) throws(CheckpointError) -> Int {
    guard let value = metadata["general.alignment"] else { return defaultAlignment }
    guard let alignment = value.integer, (8...alignmentMaximum).contains(alignment),
      alignment & (alignment - 1) == 0
    else {
      throw cursor.problem("general.alignment is no power of two from 8 to \(alignmentMaximum)")
    }
    return alignment
  }

  /// Reads the list of tensors, whose data begin at the next multiple of `alignment` behind it.
  private static func entries(
    _ cursor: inout GGUFCursor, count: Int, alignment: Int
  ) throws(CheckpointError) -> [String: Entry] {
    var found: [(name: String, type: GGUFType, shape: [Int], offset: UInt64)] = []
    for _ in 0..<count { found.append(try head(&cursor)) }
    let fileByteCount = cursor.storage.byteCount
    let dataStart = (cursor.offset + alignment - 1) / alignment * alignment
    var entries: [String: Entry] = [:]
    for (name, type, shape, offset) in found {
      let problem = cursor.problem(
        "'\(name.prefix(80))', \(type) \(shape) at \(offset), does not fit in the file")
      guard let byteCount = type.byteCount(shape: shape), let offset = Int(exactly: offset),
        offset.isMultiple(of: alignment), dataStart <= fileByteCount || byteCount == 0,
        offset <= max(0, fileByteCount - dataStart),
        byteCount <= max(0, fileByteCount - dataStart) - offset
      else { throw problem }
      // Without bytes there is no place; so none beyond the end.
      let place = byteCount == 0 ? 0 : dataStart + offset
      let entry = Entry(type: type, shape: shape, byteOffset: place, byteCount: byteCount)
      guard entries.updateValue(entry, forKey: name) == nil else {
        throw cursor.problem("'\(name.prefix(80))' is there twice")
      }
    }
    return entries
  }

  private static func head(
    _ cursor: inout GGUFCursor
  ) throws(CheckpointError) -> (name: String, type: GGUFType, shape: [Int], offset: UInt64) {
    let name = try cursor.text(atMost: nameByteCountMaximum)
    guard !name.isEmpty else { throw cursor.problem("a tensor without a name") }
    let rank: UInt32 = try cursor.integer()
    guard rank <= dimensionCountMaximum else {
      throw cursor.problem("'\(name.prefix(80))' has \(rank) dimensions")
    }
    var shape: [Int] = []
    for _ in 0..<rank {
      let extent: UInt64 = try cursor.integer()
      guard let extent = Int(exactly: extent) else {
        throw cursor.problem("'\(name.prefix(80))' has an extent of \(extent)")
      }
      shape.insert(extent, at: 0)
    }
    let number: UInt32 = try cursor.integer()
    guard let type = GGUFType.of(number) else {
      throw cursor.problem("'\(name.prefix(80))' has the unknown type \(number)")
    }
    return (name, type, shape, try cursor.integer())
  }

  /// The tensor `name` over the mapped bytes; nil when there is none, or its type has blocks.
  public func tensor(_ name: String) -> Tensor? {
    guard let entry = entries[name], let elementType = entry.type.elementType else { return nil }
    return Tensor(
      viewing: storage, byteOffset: entry.byteOffset, elementType: elementType, shape: entry.shape)
  }

  /// Numbers of tensor `name` as f32, row-major.
  ///
  /// - Parameters:
  ///   - name: of the tensor.
  ///   - elements: which of its elements; borders are those of blocks (`GGUFType.blockCount`).
  /// - Returns: `[elements.count]`, mapped where the file holds them so.
  /// - Throws: `missingTensor`, or `mismatch` when the type isn't read here or the borders are none.
  public func floats(
    of name: String, _ elements: Range<Int>
  ) throws(CheckpointError) -> Tensor {
    guard let entry = entries[name] else { throw .missingTensor(name: name, directory: path) }
    let (type, size) = (entry.type, entry.type.blockCount)
    guard elements.lowerBound >= 0, elements.upperBound <= entry.count,
      elements.lowerBound.isMultiple(of: size), elements.upperBound.isMultiple(of: size)
    else {
      throw .mismatch(name: name, reason: "elements \(elements) are no blocks of \(entry.shape)")
    }
    let start = entry.byteOffset + elements.lowerBound / size * type.blockByteCount
    guard let expand = type.expand else {
      guard let elementType = type.elementType,
        let floats = Tensor(
          viewing: storage, byteOffset: start, elementType: elementType, shape: [elements.count])?
          .convertedToF32()
      else {
        throw .mismatch(name: name, reason: "its type \(type) can't be expanded")
      }
      return floats
    }
    let out = Tensor(shape: [elements.count])
    let blocks = (storage.address + start).assumingMemoryBound(to: UInt8.self)
    out.withFloats { floats in
      for block in 0..<elements.count / size {
        expand(blocks + block * type.blockByteCount, floats + block * size)
      }
    }
    withExtendedLifetime(storage) {}
    return out
  }
}
