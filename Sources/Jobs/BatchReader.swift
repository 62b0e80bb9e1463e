import Foundation

/// One line of a batch file.
struct RawLine: Sendable, Equatable {
  /// 1-based, blank lines counted.
  let number: Int
  /// The offset behind its line end: how much of the file is read with it.
  let endOffset: Int
  /// The bytes without line end; nil when the line is longer than allowed.
  let bytes: [UInt8]?
}

/// Reads a batch file line by line, in memory for one line.
///
/// Lines end in LF or CRLF; the last may have no end. Blank lines are skipped, as is a byte-order mark
/// at the start. Of a line beyond the limit nothing is kept.
struct BatchReader {
  /// The file's size in bytes when it was opened; 0 for a pipe.
  let fileByteCount: Int
  private let handle: FileHandle
  private let path: String
  private let lineByteCount: Int
  private let chunkByteCount: Int
  private var chunk: [UInt8] = []
  private var position = 0
  private var offset = 0
  private var number = 0

  /// Opens `path`.
  init(
    path: String, lineByteCount: Int = JobLimits.lineByteCount,
    chunkByteCount: Int = JobLimits.chunkByteCount
  ) throws(BatchError) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw .unreadable(path: path, reason: String(cString: strerror(errno)))
    }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      throw .unreadable(path: path, reason: "it is a folder")
    }
    do { handle = try FileHandle(forReadingFrom: URL(filePath: path)) } catch {
      throw .unreadable(path: path, reason: error.localizedDescription)
    }
    fileByteCount = Int(status.st_size)
    self.path = path
    self.lineByteCount = lineByteCount
    self.chunkByteCount = chunkByteCount
  }

  /// The next line that is not blank; nil at the end.
  mutating func next() throws(BatchError) -> RawLine? {
    while let line = try nextOfAny() {
      guard let bytes = line.bytes else { return line }
      if bytes.contains(where: { !Self.blanks.contains($0) }) { return line }
    }
    return nil
  }

  private static let blanks: Set<UInt8> = [0x20, 0x09, 0x0D]
  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private mutating func nextOfAny() throws(BatchError) -> RawLine? {
    var bytes: [UInt8] = []
    var isTooLong = false
    var isEmpty = true
    number += 1
    while try fill() {
      isEmpty = false
      let rest = chunk[position...]
      let end = rest.firstIndex(of: 0x0A)
      let part = rest[..<(end ?? chunk.endIndex)]
      // One more than allowed, for the CR of CRLF.
      if isTooLong || part.count > lineByteCount + 1 - bytes.count {
        isTooLong = true
        bytes = []
      } else {
        bytes += part
      }
      let taken = part.count + (end == nil ? 0 : 1)
      position += taken
      offset += taken
      if end != nil { break }
    }
    if isEmpty { return nil }
    if bytes.last == 0x0D { bytes.removeLast() }
    if number == 1, bytes.starts(with: Self.byteOrderMark) { bytes.removeFirst(3) }
    if bytes.count > lineByteCount { isTooLong = true }
    return RawLine(number: number, endOffset: offset, bytes: isTooLong ? nil : bytes)
  }

  /// Makes sure that there are bytes to take; false at the end of the file.
  private mutating func fill() throws(BatchError) -> Bool {
    if position < chunk.count { return true }
    do {
      chunk = Array(try handle.read(upToCount: chunkByteCount) ?? Data())
    } catch { throw .unreadable(path: path, reason: error.localizedDescription) }
    position = 0
    return !chunk.isEmpty
  }
}
