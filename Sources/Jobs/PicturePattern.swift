import Foundation
import Imaging
import Messaging

/// A folder or a glob pattern that stands for many pictures.
struct PicturePattern: Sendable, Equatable {
  /// What all paths begin with: the folder, or the pattern up to the last `/` before its first special
  /// character. Empty, or ends in `/`.
  let prefix: String
  /// The glob pattern; nil for a folder.
  private let pattern: String?

  /// Finds out whether `path` stands for many; nil when it is a picture's path.
  ///
  /// A folder stands for the pictures directly in it. A path with `*`, `?` or `[` is a pattern, unless
  /// there is a file of just that name. Nothing is asked of the disk for a plain path that ends as
  /// pictures do.
  init?(_ path: String, folder: URL) {
    let special = path.firstIndex { "*?[".contains($0) }
    if special == nil, Self.isPictureName(path) { return nil }
    var status = stat()
    let isThere = stat(Self.resolved(path, folder), &status) == 0
    if isThere, status.st_mode & S_IFMT == S_IFDIR {
      prefix = path.hasSuffix("/") ? path : path + "/"
      pattern = nil
    } else if let special, !isThere {
      prefix = path[..<special].lastIndex(of: "/").map { String(path[...$0]) } ?? ""
      pattern = path
    } else {
      return nil
    }
  }

  /// The pictures' paths behind `prefix`, in the order of their bytes.
  ///
  /// - Parameters:
  ///   - folder: where relative paths start.
  ///   - count: at most so many.
  /// - Returns: at least one.
  /// - Throws: `image_not_found` when there is none, `too_many_pictures`, `unreadable_image`.
  func names(folder: URL, atMost count: Int) throws(Failure) -> [String] {
    let names: [String]
    if let pattern {
      names = PathPattern.matches(Self.resolved(pattern, folder))
        .map { String($0.dropFirst(Self.resolved(prefix, folder).count)) }
    } else {
      do {
        names = try FileManager.default.contentsOfDirectory(atPath: Self.resolved(prefix, folder))
      } catch {
        throw Failure(
          code: "unreadable_image",
          message: "\(prefix): \(error.localizedDescription); check its permissions")
      }
    }
    let pictures = names.filter { Self.isPictureName($0) }
      .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    guard !pictures.isEmpty else {
      throw Failure(
        code: "image_not_found",
        message: "no JPEG, PNG or WebP file matches \(pattern ?? prefix); check the path")
    }
    guard pictures.count <= count else {
      throw Failure(
        code: "too_many_pictures",
        message: "\(pictures.count) pictures match \(pattern ?? prefix), at most \(count) may; "
          + "split it")
    }
    return pictures
  }

  private static func isPictureName(_ path: String) -> Bool {
    let ending = path.suffix(5).lowercased()
    return [".jpg", ".jpeg", ".png", ".webp"].contains { ending.hasSuffix($0) }
  }

  private static func resolved(_ path: String, _ folder: URL) -> String {
    if path.hasPrefix("/") { return path }
    let base = folder.path(percentEncoded: false)
    return (base.hasSuffix("/") ? base : base + "/") + path
  }
}
