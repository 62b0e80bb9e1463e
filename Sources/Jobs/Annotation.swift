import Foundation
import Imaging
import Messaging

/// Writes pictures with their answers drawn on them: boxes, labels and masks, or the text in a strip
/// below.
public struct AnnotationFolder: Sendable {
  /// Larger pictures are written as JPEG.
  private static let pixelCountOfPNG = 2_000_000

  private let folder: URL

  /// Makes the folder if it is not there.
  ///
  /// - Throws: `unwritable_annotation`.
  public init(path: String) throws(Failure) {
    folder = URL(filePath: path, directoryHint: .isDirectory)
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch { throw Self.failure(path, error) }
  }

  /// Draws `answer` on the first picture and writes it.
  ///
  /// - Parameters:
  ///   - answer: what to draw.
  ///   - image: what to draw it on.
  ///   - prompt: stands in front of the text.
  ///   - name: of the file, without extension; characters other than letters, digits, `.`, `_` and `-`
  ///     become `_`.
  /// - Returns: the file's path.
  /// - Throws: `unwritable_annotation`, or what is wrong with the picture.
  @discardableResult
  public func write(
    _ answer: Answer, on image: EncodedImage, prompt: String, name: String
  ) throws(Failure) -> String {
    let bytes: [UInt8]
    let isSmall: Bool
    do throws(ImagingError) {
      let picture = try answer.drawn(on: try image.decoded(), prompt: prompt)
      isSmall = picture.width * picture.height <= Self.pixelCountOfPNG
      bytes = try isSmall ? picture.encodedPNG() : picture.encodedJPEG()
    } catch { throw Failure(error, image: image.name) }
    let url = folder.appending(path: Self.fileName(name) + (isSmall ? ".png" : ".jpg"))
    do { try Data(bytes).write(to: url) } catch {
      throw Self.failure(url.path(percentEncoded: false), error)
    }
    return url.path(percentEncoded: false)
  }

  static func fileName(_ name: String) -> String {
    let letters = name.unicodeScalars.map { scalar -> Character in
      let isPlain =
        scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
      return isPlain || "._-".unicodeScalars.contains(scalar) ? Character(scalar) : "_"
    }
    let text = String(letters.prefix(100))
    return text.isEmpty || text.hasPrefix(".") ? "_" + text : text
  }

  private static func failure(_ path: String, _ error: any Error) -> Failure {
    Failure(
      code: "unwritable_annotation",
      message: "cannot write \(path): \(error.localizedDescription); check space and permissions")
  }
}

extension Answer {
  /// Sides below this are scaled up by a whole number first, or labels could not be read.
  private static let shortSideMinimum = 336

  /// The picture with the answer on it: boxes, labels and masks, or the text in a strip below.
  ///
  /// - Parameters:
  ///   - picture: what was asked about.
  ///   - prompt: stands in front of the text; nil leaves the text out.
  /// - Returns: a picture of the same shape, or with a strip; small ones are enlarged.
  /// - Throws: `out_of_memory`.
  public func drawn(on picture: Picture, prompt: String?) throws(ImagingError) -> Picture {
    let shortSide = min(picture.width, picture.height)
    let scale = max(1, (Self.shortSideMinimum + shortSide - 1) / shortSide)
    // A long thin picture stays as it is rather than grow beyond all bounds.
    let isThin = max(picture.width, picture.height) > 8 * shortSide
    let factor = isThin ? 1 : scale
    let enlarged = try picture.resized(
      toWidth: picture.width * factor, height: picture.height * factor)
    guard boxes.isEmpty else {
      let boxes = boxes.map { box in
        LabelledBox(
          label: box.label, left: box.x1 * Double(factor), top: box.y1 * Double(factor),
          right: box.x2 * Double(factor), bottom: box.y2 * Double(factor), mask: mask(of: box))
      }
      return enlarged.drawing(boxes)
    }
    return prompt.map { enlarged.captioned("\($0): \(text)") } ?? enlarged
  }
}
