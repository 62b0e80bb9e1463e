import Foundation

/// Files of subtitles.
enum SubtitleFile {
  /// The file, empty, to write at its end.
  static func open(path: String) throws(VideoError) -> FileHandle {
    guard FileManager.default.createFile(atPath: path, contents: nil) else {
      throw unwritable(path, String(cString: strerror(errno)))
    }
    do { return try FileHandle(forWritingTo: URL(filePath: path)) } catch {
      throw unwritable(path, "\(error)")
    }
  }

  static func unwritable(_ path: String, _ reason: String) -> VideoError {
    VideoError(
      .unwritable, cause: "'\(path)' can't be written: \(reason)",
      remedy: "name a file in a folder that may be written to, on a disk with room")
  }
}
