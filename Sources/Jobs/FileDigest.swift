import Foundation
import Messaging

/// A checksum of a file that a large one doesn't have to be read for.
enum FileDigest {
  private static let (pieceByteCount, pieceCount) = (4096, 64)

  /// The checksum of `digest`, the file's size, its first bytes, and of the rest 64 pieces of 4 KiB
  /// spread over it.
  ///
  /// - Parameters:
  ///   - digest: what comes before.
  ///   - file: the file.
  ///   - headByteCount: how much of its beginning counts whole.
  /// - Returns: the checksum.
  /// - Throws: what Foundation throws for a file that can't be read.
  static func chained(_ digest: UInt64, _ file: URL, headByteCount: Int) throws -> UInt64 {
    let handle = try FileHandle(forReadingFrom: file)
    defer { try? handle.close() }
    let size = try handle.seekToEnd()
    var digest = withUnsafeBytes(of: size) { Checksum.chained(digest, $0) }
    func take(_ offset: UInt64, _ count: Int) throws {
      try handle.seek(toOffset: offset)
      let data = try handle.read(upToCount: count) ?? Data()
      digest = data.withUnsafeBytes { Checksum.chained(digest, $0) }
    }
    let head = min(size, UInt64(headByteCount))
    for offset in stride(from: 0, to: head, by: JobLimits.chunkByteCount) {
      try take(offset, min(JobLimits.chunkByteCount, Int(head - offset)))
    }
    guard size > head else { return digest }
    let rest = size - head
    for piece in 1...UInt64(pieceCount) {
      // Down to whole bytes first, so that no product overflows.
      let offset = head + rest / UInt64(pieceCount) * piece
      try take(offset > pieceByteCount ? offset - UInt64(pieceByteCount) : 0, pieceByteCount)
    }
    return digest
  }
}
