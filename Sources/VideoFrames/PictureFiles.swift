import Foundation
import Imaging

/// Picture files as a source: which they are, and in which order.
enum PictureFiles {
  private static let endings: Set = ["jpg", "jpeg", "png", "webp"]

  /// Judged by the ending of a name.
  static func isPicture(_ path: String) -> Bool {
    endings.contains((path as NSString).pathExtension.lowercased())
  }

  /// The files of a folder or pattern, or the one file; in natural order: `2.png` before `10.png`.
  static func list(_ source: VideoSource) throws(VideoError) -> [String] {
    let path = source.address
    var isFolder: ObjCBool = false
    let isThere = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    var files: [String]
    if isFolder.boolValue {
      let names: [String]
      do { names = try FileManager.default.contentsOfDirectory(atPath: path) } catch {
        throw VideoError(
          .notFound, cause: "the folder '\(path)' can't be read: \(error.localizedDescription)",
          remedy: "name a folder that may be read")
      }
      files = names.filter { isPicture($0) && !$0.hasPrefix(".") }.map { path + "/" + $0 }
    } else {
      files = isThere ? [path] : PathPattern.matches(path).filter(isPicture)
    }
    guard !files.isEmpty else {
      throw VideoError(
        isFolder.boolValue ? .empty : .notFound, cause: "'\(path)' has no pictures",
        remedy: "name a folder, or a pattern, of .jpg, .jpeg, .png or .webp files")
    }
    guard files.count <= VideoLimits.pictureCount else {
      throw VideoError(
        .tooLarge,
        cause:
          "'\(path)' has \(files.count) pictures, above the limit of \(VideoLimits.pictureCount)",
        remedy: "split them over several folders")
    }
    files.sort(by: isInOrder)
    return files
  }

  /// Digits count as numbers; equal numbers and letters fall back on the bytes, so that the order is total.
  static func isInOrder(_ left: String, _ right: String) -> Bool {
    let (first, second) = (Array(left.utf8), Array(right.utf8))
    var (i, j) = (0, 0)
    func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
    func number(_ bytes: [UInt8], _ at: inout Int) -> ArraySlice<UInt8> {
      let start = at
      while at < bytes.count, isDigit(bytes[at]) { at += 1 }
      return bytes[start..<at].drop { $0 == 48 }
    }
    while i < first.count, j < second.count {
      if isDigit(first[i]), isDigit(second[j]) {
        let (a, b) = (number(first, &i), number(second, &j))
        if a.count != b.count { return a.count < b.count }
        if a != b { return a.lexicographicallyPrecedes(b) }
      } else {
        if first[i] != second[j] { return first[i] < second[j] }
        i += 1
        j += 1
      }
    }
    let isShorter = (first.count - i, second.count - j)
    if isShorter.0 != isShorter.1 { return isShorter.0 < isShorter.1 }
    return left.utf8.lexicographicallyPrecedes(right.utf8)
  }
}
