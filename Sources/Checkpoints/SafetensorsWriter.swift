import Foundation
import Tensors

/// Writes a safetensors file in order, a piece at a time, so that a file of any size takes little
/// memory. The file appears under its name only when it is whole.
public final class SafetensorsWriter {
  /// A tensor to come.
  public struct Plan: Sendable {
    /// The tensor's name.
    public let name: String
    /// How one element is stored.
    public let elementType: ElementType
    /// The extents, outermost first.
    public let shape: [Int]

    /// Announces a tensor.
    public init(name: String, elementType: ElementType, shape: [Int]) {
      self.name = name
      self.elementType = elementType
      self.shape = shape
    }
    /// Bytes of the data.
    public var byteCount: Int { shape.reduce(elementType.byteCount, *) }
  }

  private let path: String
  private let partial: String
  private let handle: FileHandle
  private var bytesLeft: Int

  /// Creates the file and writes its header.
  ///
  /// - Parameters:
  ///   - path: where the finished file will be.
  ///   - tensors: all tensors, in the order in which their bytes will be written.
  ///   - metadata: free-form text for the header.
  /// - Throws: `unwritable` when the file can't be made.
  public init(path: String, tensors: [Plan], metadata: [String: String] = [:])
    throws(CheckpointError)
  {
    self.path = path
    partial = path + ".partial"
    bytesLeft = tensors.reduce(0) { $0 + $1.byteCount }
    guard FileManager.default.createFile(atPath: partial, contents: nil),
      let handle = FileHandle(forWritingAtPath: partial)
    else { throw .unwritable(path: partial, reason: String(cString: strerror(errno))) }
    self.handle = handle
    do { try handle.write(contentsOf: Self.head(tensors, metadata: metadata)) } catch {
      throw .unwritable(path: partial, reason: error.localizedDescription)
    }
  }

  /// Everything in front of the data, the same bytes for the same tensors.
  static func head(_ tensors: [Plan], metadata: [String: String]) throws -> Data {
    var header: [String: Any] = ["__metadata__": metadata]
    var offset = 0
    for tensor in tensors {
      let typeName = SafetensorsFile.elementTypes.first { $0.value == tensor.elementType }?.key
      header[tensor.name] = [
        "dtype": typeName ?? "", "shape": tensor.shape,
        "data_offsets": [offset, offset + tensor.byteCount],
      ]
      offset += tensor.byteCount
    }
    var json = try JSONSerialization.data(withJSONObject: header, options: .sortedKeys)
    // Data start aligned to 64 bytes, so that mapped f32 weights are aligned too.
    json.append(Data(repeating: 0x20, count: (64 - (json.count + 8) % 64) % 64))
    return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Data($0) } + json
  }

  /// Appends the next bytes of the data.
  public func append(_ bytes: Data) throws(CheckpointError) {
    guard bytes.count <= bytesLeft else {
      throw .unwritable(path: path, reason: "\(bytes.count - bytesLeft) bytes more than announced")
    }
    do { try handle.write(contentsOf: bytes) } catch {
      throw .unwritable(path: partial, reason: error.localizedDescription)
    }
    bytesLeft -= bytes.count
  }

  /// Closes the file and gives it its name.
  public func finish() throws(CheckpointError) {
    guard bytesLeft == 0 else {
      throw .unwritable(path: path, reason: "\(bytesLeft) announced bytes were not written")
    }
    do {
      try handle.synchronize()
      try handle.close()
    } catch { throw .unwritable(path: partial, reason: error.localizedDescription) }
    guard rename(partial, path) == 0 else {
      throw .unwritable(path: path, reason: String(cString: strerror(errno)))
    }
  }
}
