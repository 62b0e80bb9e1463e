import Foundation
import Imaging
import Messaging

/// Writes the masks of answers as PNG files: white inside, black outside, in the extent of the picture.
public struct MaskFolder: Sendable {
  private let folder: URL

  /// Makes the folder if it is not there.
  ///
  /// - Throws: `unwritable_mask`.
  public init(path: String) throws(Failure) {
    folder = URL(filePath: path, directoryHint: .isDirectory)
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch { throw Self.failure(path, error) }
  }

  /// Writes one file for each box that has a mask.
  ///
  /// - Parameters:
  ///   - answer: whose masks.
  ///   - name: the files' names begin with it (see `AnnotationFolder`); the box's number follows.
  /// - Returns: for each box the file's path, or nil when it has no mask.
  /// - Throws: `unwritable_mask`.
  public func write(_ answer: Answer, name: String) throws(Failure) -> [String?] {
    var paths: [String?] = []
    for (index, box) in answer.boxes.enumerated() {
      guard let mask = answer.mask(of: box) else {
        paths.append(nil)
        continue
      }
      let url = folder.appending(path: AnnotationFolder.fileName(name) + "-\(index + 1).png")
      let path = url.path(percentEncoded: false)
      do { try Data(try mask.encodedPNG()).write(to: url) } catch {
        throw Self.failure(path, error)
      }
      paths.append(path)
    }
    return paths
  }

  private static func failure(_ path: String, _ error: any Error) -> Failure {
    let reason = (error as? ImagingError)?.description ?? error.localizedDescription
    return Failure(
      code: "unwritable_mask",
      message: "cannot write \(path): \(reason); check space and permissions")
  }
}
