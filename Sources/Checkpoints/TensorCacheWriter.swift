import Foundation

/// Writes one tensor of a cache, chunk by chunk, each checked before it is kept. The file appears under
/// its name only when it is whole; what a killed process has left is gone on with.
public final class TensorCacheWriter {
  /// The tensor being written.
  public let tensor: SharedTensor
  /// Chunks that are there, checked.
  public private(set) var chunkCount = 0
  private let head: Data
  private let part: String
  private let path: String
  private let descriptor: Int32

  /// How often the place of a part may change while it is being opened.
  private static let attempts = 8

  init(_ tensor: SharedTensor, head: Data, part stem: String, path: String) throws(CheckpointError)
  {
    self.tensor = tensor
    self.head = head
    self.path = path
    (part, descriptor) = try Self.open(stem)
    try resume()
  }

  deinit { close(descriptor) }

  /// Opens the part that anybody goes on with, or one of this process's own while another has that.
  private static func open(_ stem: String) throws(CheckpointError) -> (String, Int32) {
    for attempt in 0..<Self.attempts {
      let isOwn = attempt == Self.attempts - 1
      let suffix = isOwn ? ".\(getpid())-\(UInt32.random(in: 0...UInt32.max))" : ""
      let part = stem + suffix + TensorCache.partEnding
      let descriptor = Foundation.open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else {
        throw .unwritable(path: part, reason: String(cString: strerror(errno)))
      }
      var (mine, there) = (stat(), stat())
      // Locked, and still what the name stands for: another may have finished it meanwhile.
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0, fstat(descriptor, &mine) == 0,
        stat(part, &there) == 0, mine.st_ino == there.st_ino
      {
        return (part, descriptor)
      }
      close(descriptor)
    }
    throw .unwritable(path: stem, reason: "other processes write it all the time")
  }

  /// Finds out how many chunks are there, and cuts off what is none.
  private func resume() throws(CheckpointError) {
    var buffer = [UInt8](repeating: 0, count: max(head.count, SharedTensor.chunkByteCount))
    func read(_ offset: Int, _ count: Int) -> Bool {
      var done = 0
      while done < count {
        let got = buffer.withUnsafeMutableBytes {
          pread(descriptor, $0.baseAddress?.advanced(by: done), count - done, offset + done)
        }
        if got <= 0 { return false }
        done += got
      }
      return true
    }
    guard read(0, head.count), buffer.prefix(head.count).elementsEqual(head) else {
      try check(ftruncate(descriptor, 0) == 0)
      let result = head.withUnsafeBytes { bytes in
        Result { () throws(CheckpointError) in try write(bytes, at: 0) }
      }
      return try result.get()
    }
    for (index, chunk) in tensor.chunks.enumerated() {
      let range = tensor.range(ofChunk: index)
      guard read(head.count + range.lowerBound, range.count),
        buffer.withUnsafeBytes({
          ContentHash(of: UnsafeRawBufferPointer(rebasing: $0[..<range.count]))
        })
          == chunk
      else { break }
      chunkCount += 1
    }
    try check(ftruncate(descriptor, off_t(end)) == 0)
  }

  /// Where the next chunk goes.
  private var end: Int {
    head.count + min(tensor.byteCount, chunkCount * SharedTensor.chunkByteCount)
  }

  /// Whether nothing is missing.
  public var isWhole: Bool { chunkCount == tensor.chunks.count }

  /// Takes the next chunk.
  ///
  /// - Returns: false when it is not what it should be; then nothing was written.
  public func append(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) -> Bool {
    guard !isWhole, bytes.count == tensor.range(ofChunk: chunkCount).count,
      ContentHash(of: bytes) == tensor.chunks[chunkCount]
    else { return false }
    try write(bytes, at: end)
    chunkCount += 1
    return true
  }

  /// Gives the file its name.
  public func finish() throws(CheckpointError) {
    guard isWhole else {
      throw .unwritable(
        path: path, reason: "\(tensor.chunks.count - chunkCount) chunks are missing")
    }
    try check(fsync(descriptor) == 0)
    try check(rename(part, path) == 0)
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
    var done = 0
    while done < bytes.count {
      let written = pwrite(
        descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset + done))
      if written < 0 && errno == EINTR { continue }
      try check(written > 0)
      done += written
    }
  }

  private func check(_ holds: Bool) throws(CheckpointError) {
    guard holds else { throw .unwritable(path: part, reason: String(cString: strerror(errno))) }
  }
}
