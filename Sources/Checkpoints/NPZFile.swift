import CZip
import Foundation
import Tensors

/// Arrays of one NumPy `.npz` file: a zip archive with a `.npy` file for each array, stored or deflated.
///
/// Only arrays asked for by name are read, and every size is checked before memory is taken for it.
public struct NPZFile: Sendable {
  /// Bytes of one array. The largest of big_vision's mask decoder has 1 MiB.
  static let arrayByteCountMaximum = 64 << 20
  /// Arrays in one file; `vae-oid.npz` has some forty.
  static let arrayCountMaximum = 4096

  /// The path, for messages.
  public let path: String
  /// The arrays read, row-major.
  public let tensors: [String: Tensor]

  /// Reads those of `names` that the file has.
  ///
  /// - Throws: `.unreadable` when there is no such file, `.malformed` when it, or one of these arrays,
  ///   isn't what its name says: a damaged archive, another checksum, an unknown type of element.
  public init(path: String, names: Set<String>) throws(CheckpointError) {
    self.path = path
    let archive = try Archive(path: path)
    var tensors: [String: Tensor] = [:]
    for (index, member) in try archive.members().enumerated() {
      guard member.hasSuffix(".npy") else { continue }
      let name = String(member.dropLast(4))
      guard names.contains(name) else { continue }
      guard tensors[name] == nil else {
        throw .malformed(path: path, reason: "two arrays are called '\(name)'")
      }
      let bytes = try archive.read(index, name: name)
      do throws(NPYHeader.Problem) { tensors[name] = try Self.tensor(bytes) } catch {
        throw .malformed(path: path, reason: "'\(name)' \(error.reason)")
      }
    }
    self.tensors = tensors
  }

  static func tensor(_ bytes: [UInt8]) throws(NPYHeader.Problem) -> Tensor {
    let header = try NPYHeader(bytes)
    let byteCount = bytes.count - header.byteOffset
    guard Tensor.byteCount(header.elementType, shape: header.shape) == byteCount else {
      throw NPYHeader.Problem(
        reason: "with shape \(header.shape) does not fit its \(byteCount) bytes")
    }
    let tensor = Tensor(header.elementType, shape: header.shape)
    let size = header.elementType.byteCount
    // Column-major is row-major with the extents reversed: the place of an element is counted on in
    // the strides of the other order.
    let places = header.isColumnMajor ? columnMajorPlaces(header.shape) : nil
    tensor.withBytes { target in
      bytes[header.byteOffset...].withUnsafeBytes { source in
        guard let places else { return target.copyMemory(from: source) }
        for (element, place) in places.enumerated() {
          let from = UnsafeRawBufferPointer(rebasing: source[(place * size)..<((place + 1) * size)])
          UnsafeMutableRawBufferPointer(rebasing: target[(element * size)...])
            .copyMemory(from: from)
        }
      }
    }
    return tensor
  }

  /// For each element in row-major order, where it stands in column-major order.
  private static func columnMajorPlaces(_ shape: [Int]) -> [Int] {
    var places = [0]
    var stride = 1
    var strides: [Int] = []
    for extent in shape {
      strides.append(stride)
      stride *= extent
    }
    for (extent, stride) in zip(shape, strides) {
      places = places.flatMap { place in (0..<extent).map { place + $0 * stride } }
    }
    return places
  }
}

/// An open zip archive.
private struct Archive: ~Copyable {
  private let path: String
  private let handle: OpaquePointer

  init(path: String) throws(CheckpointError) {
    self.path = path
    // Said first, in the system's words; libzip's for a folder or a missing file are poor.
    guard FileManager.default.isReadableFile(atPath: path) else {
      throw .unreadable(path: path, reason: "there is no such file, or it may not be read")
    }
    var code: Int32 = 0
    guard let handle = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code) else {
      var error = zip_error_t()
      zip_error_init_with_code(&error, code)
      defer { zip_error_fini(&error) }
      let cause = String(cString: zip_error_strerror(&error))
      throw .malformed(path: path, reason: "not a sound zip archive (\(cause))")
    }
    self.handle = handle
  }

  deinit { zip_discard(handle) }

  /// Names of all members, in order.
  borrowing func members() throws(CheckpointError) -> [String] {
    let count = zip_get_num_entries(handle, 0)
    guard count <= NPZFile.arrayCountMaximum else {
      throw .malformed(path: path, reason: "\(count) arrays are too many")
    }
    return (0..<max(0, count)).map { index in
      zip_get_name(handle, UInt64(index), 0).map { String(cString: $0) } ?? ""
    }
  }

  /// The whole content of a member, its checksum compared.
  borrowing func read(_ index: Int, name: String) throws(CheckpointError) -> [UInt8] {
    var status = zip_stat_t()
    guard zip_stat_index(handle, UInt64(index), 0, &status) == 0,
      status.size <= UInt64(NPZFile.arrayByteCountMaximum)
    else { throw .malformed(path: path, reason: "'\(name)' is too large, or has no size") }
    guard status.comp_method == UInt16(ZIP_CM_STORE) || status.comp_method == UInt16(ZIP_CM_DEFLATE)
    else { throw .malformed(path: path, reason: "'\(name)' is neither stored nor deflated") }
    guard let file = zip_fopen_index(handle, UInt64(index), 0) else {
      throw .malformed(path: path, reason: "'\(name)' can't be read")
    }
    defer { zip_fclose(file) }
    var bytes = [UInt8](repeating: 0, count: Int(status.size))
    var filled = 0
    // Until nothing more comes: only then has libzip compared the checksum.
    while true {
      let count = bytes.withUnsafeMutableBytes { buffer in
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        var spare: UInt8 = 0
        guard let base = rest.baseAddress, !rest.isEmpty else { return zip_fread(file, &spare, 1) }
        return zip_fread(file, base, UInt64(rest.count))
      }
      guard count >= 0, filled + Int(count) <= bytes.count else {
        throw .malformed(path: path, reason: "'\(name)' is damaged")
      }
      if count == 0 { break }
      filled += Int(count)
    }
    guard filled == bytes.count else {
      throw .malformed(path: path, reason: "'\(name)' ends early")
    }
    return bytes
  }
}
