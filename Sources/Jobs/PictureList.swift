import Foundation
import Messaging

/// A batch file made from pictures that match patterns: one request a picture.
public struct PictureList: Sendable {
  private let patterns: [String]
  private let prompts: [String]

  /// A list of the pictures that match any of `patterns` (paths, folders or globs), each with all of
  /// `prompts` in one request.
  public init(patterns: [String], prompts: [String]) {
    self.patterns = patterns
    self.prompts = prompts
  }

  /// `out.jsonl` → `out.requests.jsonl`, beside the results.
  public static func path(for output: String) -> String {
    let url = URL(filePath: output)
    let fileExtension = url.pathExtension.isEmpty ? "jsonl" : url.pathExtension
    return url.deletingPathExtension().appendingPathExtension("requests")
      .appendingPathExtension(fileExtension).path(percentEncoded: false)
  }

  /// Writes the list, sorted by path, unless the same one is there already.
  ///
  /// - Parameters:
  ///   - path: of the batch file.
  ///   - isKept: whether another list that is there has results, and must stay.
  /// - Throws: `Failure` when nothing matches; `BatchError.changed` when another list has to stay.
  public func write(to path: String, isKept: Bool) throws {
    let folder = URL(
      filePath: FileManager.default.currentDirectoryPath, directoryHint: .isDirectory)
    var pictures: [String] = []
    for text in patterns {
      if let pattern = PicturePattern(text, folder: folder) {
        let left = JobLimits.listedPictureCount - pictures.count
        pictures += try pattern.names(folder: folder, atMost: left).map { pattern.prefix + $0 }
      } else {
        pictures.append(text)
      }
    }
    pictures.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    let new = path + ".new"
    try OutputFile.remove(new)
    var file = try OutputFile(path: new)
    var last: String?
    var portion = Data()
    for picture in pictures where picture != last {
      last = picture
      portion += Data((line(picture, folder).line + "\n").utf8)
      if portion.count > JobLimits.chunkByteCount {
        _ = try file.append(portion)
        portion = Data()
      }
    }
    _ = try file.append(portion)
    if FileManager.default.contentsEqual(atPath: new, andPath: path) {
      return try OutputFile.remove(new)
    }
    if isKept, OutputFile.exists(path) {
      try OutputFile.remove(new)
      throw BatchError.changed(
        journal: path, what: "the pictures that match --images, or the prompts, have changed")
    }
    guard rename(new, path) == 0 else {
      throw BatchError.unwritable(path: path, reason: String(cString: strerror(errno)))
    }
  }

  private func line(_ picture: String, _ folder: URL) -> JSONText {
    let path = URL(filePath: picture, relativeTo: folder).absoluteURL.path(percentEncoded: false)
    return .object([
      "custom_id": .string(picture), "image": .string(path),
      prompts.count == 1 ? "prompt" : "prompts": prompts.count == 1
        ? .string(prompts[0]) : .array(prompts.map(JSONText.string)),
    ])
  }
}
