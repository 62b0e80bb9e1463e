import Foundation
import Tensors

/// One mapped safetensors file: 8 bytes of header length, a JSON header, the data
/// (https://huggingface.co/docs/safetensors). Every offset is checked before it is used.
public struct SafetensorsFile: Sendable {
  /// The largest header accepted: 100 MB, the limit of the reference implementation.
  static let headerByteCountMaximum = 100_000_000

  /// Where a tensor stands in the file.
  public struct Entry: Sendable, Equatable {
    /// How one element is stored.
    public let elementType: ElementType
    /// The extents, outermost first.
    public let shape: [Int]
    /// Offset of the first byte from the file's start.
    public let byteOffset: Int
    /// Bytes of the data.
    public var byteCount: Int { shape.reduce(elementType.byteCount, *) }
  }

  /// The path, for messages.
  public let path: String
  /// All tensors of the file by name.
  public let entries: [String: Entry]
  /// The free-form `__metadata__` of the header.
  public let metadata: [String: String]
  private let storage: TensorStorage
  /// How the file was when it was opened.
  let identity: FileIdentity

  /// Maps the file and reads its header; no tensor data is touched.
  public init(path: String) throws(CheckpointError) {
    self.path = path
    (storage, identity) = try MappedFile.open(path)
    guard storage.byteCount >= 8 else {
      throw .malformed(path: path, reason: "\(storage.byteCount) bytes are too few for a header")
    }
    let headerByteCount = UInt64(
      littleEndian: storage.address.loadUnaligned(as: UInt64.self))
    guard headerByteCount <= UInt64(min(Self.headerByteCountMaximum, storage.byteCount - 8)) else {
      throw .malformed(
        path: path, reason: "a header of \(headerByteCount) bytes in \(storage.byteCount)")
    }
    let header = Data(bytes: storage.address + 8, count: Int(headerByteCount))
    guard let object = try? JSONSerialization.jsonObject(with: header) as? [String: Any] else {
      throw .malformed(path: path, reason: "the header is not a JSON object")
    }
    let dataStart = 8 + Int(headerByteCount)
    var entries: [String: Entry] = [:]
    for (name, value) in object where name != "__metadata__" {
      entries[name] = try Self.entry(
        name, value, path: path, dataStart: dataStart, fileByteCount: storage.byteCount)
    }
    self.entries = entries
    metadata = object["__metadata__"] as? [String: String] ?? [:]
  }

  private static func entry(
    _ name: String, _ value: Any, path: String, dataStart: Int, fileByteCount: Int
  ) throws(CheckpointError) -> Entry {
    guard let fields = value as? [String: Any], let typeName = fields["dtype"] as? String,
      let shape = fields["shape"] as? [Int], let offsets = fields["data_offsets"] as? [Int],
      offsets.count == 2
    else { throw .malformed(path: path, reason: "'\(name)' lacks dtype, shape or data_offsets") }
    guard let elementType = elementTypes[typeName] else {
      throw .malformed(path: path, reason: "'\(name)' has the unsupported type \(typeName)")
    }
    guard let byteCount = Tensor.byteCount(elementType, shape: shape), shape.count <= 8,
      offsets[0] >= 0, offsets[1] >= offsets[0], offsets[1] - offsets[0] == byteCount,
      offsets[1] <= fileByteCount - dataStart
    else {
      throw .malformed(
        path: path,
        reason: "'\(name)' with shape \(shape) does not fit its bytes \(offsets) in the file")
    }
    return Entry(elementType: elementType, shape: shape, byteOffset: dataStart + offsets[0])
  }

  /// The tensor `name`, looking at the mapped bytes; nil when the file has none of that name.
  public func tensor(_ name: String) -> Tensor? {
    guard let entry = entries[name] else { return nil }
    return Tensor(
      viewing: storage, byteOffset: entry.byteOffset, elementType: entry.elementType,
      shape: entry.shape)
  }

  static let elementTypes: [String: ElementType] = [
    "F32": .f32, "F16": .f16, "BF16": .bf16, "U8": .u8, "I8": .i8, "I32": .i32, "I64": .i64,
  ]
}
