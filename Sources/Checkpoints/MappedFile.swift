import Foundation
import Tensors

/// A whole file mapped read-only: pages come in when touched, and belong to the page cache.
enum MappedFile {
  /// Maps the file at `path`; an empty file gives empty storage.
  ///
  /// Whoever cuts it off meanwhile ends every process that touches what was behind: a model's files are
  /// replaced by renaming, and read by `FileReader` where they are for others.
  static func open(
    _ path: String
  ) throws(CheckpointError) -> (storage: TensorStorage, identity: FileIdentity) {
    let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .unreadable(path: path, reason: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .unreadable(path: path, reason: "not a regular file")
    }
    let byteCount = Int(status.st_size)
    let identity = FileIdentity(status)
    guard byteCount > 0 else { return (TensorStorage(byteCount: 0), identity) }
    guard let address = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0),
      address != MAP_FAILED
    else { throw .unreadable(path: path, reason: String(cString: strerror(errno))) }
    let bits = UInt(bitPattern: address)
    let storage = TensorStorage(adopting: address, byteCount: byteCount) {
      munmap(UnsafeMutableRawPointer(bitPattern: bits), byteCount)
    }
    return (storage, identity)
  }
}
