import Foundation

/// Subtitle files that are there already.
enum SubtitleFile {
  /// The part of a file that a writer goes on with.
  struct Kept {
    var byteCount: Int
    var cueCount: Int
    var lastEnd: MediaTime?
  }

  /// Up to and with the last whole cue; nil when there is no such file, or nothing in it.
  static func wholeCues(path: String, format: SubtitleFormat) throws(VideoError) -> Kept? {
    guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
      let size = attributes[.size] as? Int, size > 0
    else { return nil }
    guard size <= VideoLimits.subtitleByteCount,
      let data = FileManager.default.contents(atPath: path)
    else {
      throw unwritable(path, "what is there is too large to go on with, or can't be read")
    }
    guard data.starts(with: Data(format.header.utf8)) else {
      throw unwritable(path, "what is there is no \(format.rawValue) file of ours")
    }
    var kept = Kept(byteCount: format.header.utf8.count, cueCount: 0, lastEnd: nil)
    while let gap = data[kept.byteCount...].firstRange(of: Data("\n\n".utf8)) {
      let cue = String(decoding: data[kept.byteCount..<gap.lowerBound], as: UTF8.self)
      guard let end = end(of: cue) else { break }
      kept.byteCount = gap.upperBound
      kept.cueCount += 1
      kept.lastEnd = end
    }
    return kept
  }

  /// The end of a cue that is written as `SubtitleFormat.cue` writes it.
  private static func end(of cue: String) -> MediaTime? {
    let lines = cue.split(separator: "\n")
    guard lines.count >= 2, let arrow = lines[1].range(of: " --> ") else { return nil }
    let fields = lines[1][arrow.upperBound...].split { ":.,".contains($0) }.compactMap { Int64($0) }
    guard fields.count == 4, fields[0] < 1_000_000 else { return nil }
    let milliseconds = ((fields[0] * 60 + fields[1]) * 60 + fields[2]) * 1000 + fields[3]
    return MediaTime(nanoseconds: milliseconds * 1_000_000)
  }

  /// The file, empty or cut to its kept part, to write at its end.
  static func open(path: String, keeping byteCount: Int?) throws(VideoError) -> FileHandle {
    if byteCount == nil {
      guard FileManager.default.createFile(atPath: path, contents: nil) else {
        throw unwritable(path, String(cString: strerror(errno)))
      }
    }
    do {
      let handle = try FileHandle(forUpdating: URL(filePath: path))
      try handle.truncate(atOffset: UInt64(byteCount ?? 0))
      try handle.seekToEnd()
      return handle
    } catch {
      throw unwritable(path, "\(error)")
    }
  }

  static func unwritable(_ path: String, _ reason: String) -> VideoError {
    VideoError(
      .unwritable, cause: "'\(path)' can't be written: \(reason)",
      remedy: "name a file in a folder that may be written to, on a disk with room")
  }
}
