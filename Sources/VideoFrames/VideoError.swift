/// Why a video could not be read or written, and what its sender can do about it.
///
/// Neither text ever holds a password or the value of a query: sources appear by their redacted `name`.
public struct VideoError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The closed set of causes; raw values are stable and may be shown to clients.
  public enum Code: String, Sendable, CaseIterable {
    /// What was typed is no source.
    case invalidSource = "invalid_source"
    /// A protocol that is not on the list of those allowed.
    case protocolNotAllowed = "protocol_not_allowed"
    /// No such file, folder, picture or device.
    case notFound = "not_found"
    /// No bytes, no pictures, or no frame in it.
    case empty
    /// The decoder can make nothing of it, or stopped at an error.
    case unreadable
    /// There are streams, but none is video.
    case noVideo = "no_video"
    /// A frame above the limits of a picture.
    case tooLarge = "too_large"
    /// The decoder is not installed or could not be started.
    case decoderMissing = "decoder_missing"
    /// The decoder ended before the video did, more often than it is started again.
    case decoderDied = "decoder_died"
    /// What the decoder says of its frames contradicts their bytes.
    case decoderBroken = "decoder_broken"
    /// Nothing came for longer than the stall limit, more often than is tried again.
    case stalled
    /// A live source that could not be reached, or not again.
    case disconnected
    /// An option that makes no sense, alone or with this source.
    case invalidOption = "invalid_option"
    /// An output file could not be written.
    case unwritable
    /// The encoder of an output video is missing, or ended before it was told to.
    case encoderDied = "encoder_died"
  }

  /// The cause, for programs.
  public let code: Code
  /// The cause, for people: one sentence without a full stop.
  public let cause: String
  /// What can be done about it.
  public let remedy: String

  /// An error; both texts must be free of secrets.
  public init(_ code: Code, cause: String, remedy: String) {
    (self.code, self.cause, self.remedy) = (code, cause, remedy)
  }

  /// Code, cause and remedy on one line.
  public var description: String { "\(code.rawValue): \(cause) (\(remedy))" }
}
