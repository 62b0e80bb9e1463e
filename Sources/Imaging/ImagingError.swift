/// Why a picture could not be read, resized or written, and what its sender can do about it.
public struct ImagingError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The closed set of causes; raw values are stable and may be shown to clients.
  public enum Code: String, Sendable, CaseIterable {
    /// No bytes at all.
    case empty
    /// More encoded bytes than the limit.
    case tooLarge = "too_large"
    /// Not JPEG, PNG or WebP, or a variant of them that is not read.
    case unsupportedFormat = "unsupported_format"
    /// The bytes end before the picture does.
    case truncated
    /// The bytes contradict their format.
    case corrupt
    /// More pixels than the limit, or a side longer than the limit.
    case tooManyPixels = "too_many_pixels"
    /// A size without pixels, or one that does not match its bytes.
    case invalidSize = "invalid_size"
    /// Run lengths that are no mask of the size they come with.
    case invalidMask = "invalid_mask"
    /// The machine has no memory left for this picture.
    case outOfMemory = "out_of_memory"
  }

  /// The cause, for programs.
  public let code: Code
  /// The cause, for people: one sentence without a full stop.
  public let message: String

  /// What the sender can do about it.
  public var remedy: String {
    switch code {
    case .empty: "send the bytes of the picture"
    case .tooLarge: "send a smaller file; the model sees at most 896 x 896 pixels"
    case .unsupportedFormat: "convert the picture to 8-bit JPEG, PNG or WebP"
    case .truncated: "send the file again, whole"
    case .corrupt: "save the picture anew from its source and send that"
    case .tooManyPixels: "scale the picture down; the model sees at most 896 x 896 pixels"
    case .invalidSize: "give a size of at least 1 x 1 pixels that matches the bytes"
    case .invalidMask: "give COCO's run lengths of all pixels, column by column, and their size"
    case .outOfMemory: "send fewer or smaller pictures at once, or add memory"
    }
  }

  /// Code, message and remedy on one line.
  public var description: String { "\(code.rawValue): \(message) (\(remedy))" }

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }
}
