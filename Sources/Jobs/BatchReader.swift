import Foundation
import Messaging

/// One line of a batch file.
struct RawLine: Sendable, Equatable {
  /// 1-based, blank lines counted.
  let number: Int
  /// Where it begins in the file.
  let offset: Int
  /// The offset behind its line end: how much of the file is read with it.
  let endOffset: Int
  /// Whether it has a line end; only the last line may have none.
  let isEnded: Bool
  /// The bytes without line end; nil when the line is longer than allowed.
  let bytes: [UInt8]?
}

/// A place between two lines of a batch file, and what stands before it.
struct ReadingPlace: Sendable, Equatable {
  /// Bytes before it.
  var offset = 0
  /// Lines before it.
  var line = 0
  /// Checksum of those lines.
  var digest: UInt64 = 0
}

/// Reads a batch file line by line, in memory for one line.
///
/// Lines end in LF or CRLF; the last may have no end. Blank lines are skipped, as is a byte-order mark
/// at the start. Of a line beyond the limit nothing is kept.
struct BatchReader {
  /// The file's size in bytes when it was opened; 0 for a pipe.
  let fileByteCount: Int
  /// Nanoseconds of the file's last change when it was opened.
  let modified: Int
  /// Whether it can be read from any place, and again: a file, not a pipe.
  let isFile: Bool
  /// How far it has read.
  private(set) var place = ReadingPlace()
  private let handle: FileHandle
  let path: String
  private let lineByteCount: Int
  private let chunkByteCount: Int
  private var chunk: [UInt8] = []
  private var position = 0

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
    modified = status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec
    isFile = status.st_mode & S_IFMT == S_IFREG
    self.path = path
    self.lineByteCount = lineByteCount
    self.chunkByteCount = chunkByteCount
  }

  /// Goes to the beginning of a line. What follows has no meaningful digest unless `place` had.
  mutating func seek(to place: ReadingPlace) throws(BatchError) {
    let start = self.place.offset - position
    self.place = place
    // Lines near each other, as in a second try of many, cost one reading together.
    if (start..<start + chunk.count).contains(place.offset) {
      position = place.offset - start
      return
    }
    (chunk, position) = ([], 0)
    do { try handle.seek(toOffset: UInt64(place.offset)) } catch {
      throw .unreadable(path: path, reason: error.localizedDescription)
    }
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

  /// The next line, blank or not; nil at the end.
  mutating func nextOfAny() throws(BatchError) -> RawLine? {
    var bytes: [UInt8] = []
    var (isTooLong, isEmpty, isEnded) = (false, true, false)
    let start = place.offset
    while !isEnded {
      guard try fill() else { break }
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
      place.offset += taken
      isEnded = end != nil
    }
    if isEmpty { return nil }
    place.line += 1
    // Of a line beyond the limit its length has to do.
    let seed = place.digest &+ UInt64(isTooLong ? place.offset - start : 0)
    place.digest = bytes.withUnsafeBytes { Checksum.chained(seed, $0) }
    if bytes.last == 0x0D { bytes.removeLast() }
    if place.line == 1, bytes.starts(with: Self.byteOrderMark) { bytes.removeFirst(3) }
    if bytes.count > lineByteCount { isTooLong = true }
    return RawLine(
      number: place.line, offset: start, endOffset: place.offset, isEnded: isEnded,
      bytes: isTooLong ? nil : bytes)
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
