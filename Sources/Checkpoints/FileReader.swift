import Foundation
import Synchronization
import Tensors

/// Which file it was and how it was when somebody opened it: what shows that it has changed since.
struct FileIdentity: Sendable, Equatable {
  private let device: UInt64
  private let inode: UInt64
  /// Bytes it had.
  let byteCount: Int
  private let seconds: Int
  private let nanoseconds: Int

  init(_ status: stat) {
    (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
    byteCount = Int(status.st_size)
    (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
  }
}

/// Reads pieces of a file for somebody else.
///
/// A mapping is quicker, but whoever touches it where the file has been cut off ends with SIGBUS. Here
/// a file that is cut off or written over is an error: its size and time are looked at after each
/// piece. One that another was renamed to take its place of stays what it was.
final class FileReader: Sendable {
  private let path: String
  private let identity: FileIdentity
  private let descriptor: Int32

  /// Opens the file at `path` again, which `identity` was.
  ///
  /// - Throws: `changed` when it is another by now.
  init(path: String, identity: FileIdentity) throws(CheckpointError) {
    self.path = path
    self.identity = identity
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .unreadable(path: path, reason: String(cString: strerror(errno)))
    }
    try check()
  }

  deinit { close(descriptor) }

  /// The bytes of `range`, in memory of their own.
  ///
  /// - Throws: `changed` when the file isn't what it was, `unreadable` when the disk fails.
  func read(_ range: Range<Int>) throws(CheckpointError) -> TensorStorage {
    guard range.lowerBound >= 0, range.upperBound <= identity.byteCount else {
      throw .malformed(path: path, reason: "bytes \(range) of \(identity.byteCount)")
    }
    let storage = TensorStorage(byteCount: range.count)
    var done = 0
    while done < range.count {
      let count = pread(
        descriptor, storage.address + done, range.count - done, off_t(range.lowerBound + done))
      if count < 0 {
        if errno == EINTR { continue }
        throw .unreadable(path: path, reason: String(cString: strerror(errno)))
      }
      guard count > 0 else { throw .changed(path: path) }
      done += count
    }
    try check()
    return storage
  }

  private func check() throws(CheckpointError) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .unreadable(path: path, reason: String(cString: strerror(errno)))
    }
    guard FileIdentity(status) == identity else { throw .changed(path: path) }
  }
}

extension SharedTensor {
  /// Reads all of a checkpoint's tensor to tell of it; nil when it has no bytes.
  public init?(
    name: String, of checkpoint: Checkpoint, notes: [String: String]
  ) throws(CheckpointError) {
    let entry = try checkpoint.entry(name)
    var chunks: [ContentHash] = []
    for range in Self.ranges(of: entry.byteCount) {
      let bytes = try checkpoint.bytes(of: name, range)
      chunks.append(
        ContentHash(of: UnsafeRawBufferPointer(start: bytes.address, count: bytes.byteCount)))
    }
    self.init(
      name: name, elementType: entry.elementType, shape: entry.shape, notes: notes, chunks: chunks)
  }
}
