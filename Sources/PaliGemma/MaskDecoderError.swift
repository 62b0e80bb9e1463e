import Checkpoints

/// Why a file can't be used as a mask decoder, and what to do about it.
public struct MaskDecoderError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file.
  public let path: String
  /// What is wrong with it.
  public let cause: String

  /// The cause, then the remedy.
  public var description: String {
    "\(path) is no mask decoder: \(cause); take big_vision's vae-oid.npz"
  }

  init(path: String, cause: String) {
    self.path = path
    self.cause = cause
  }

  init(_ error: CheckpointError, path: String) {
    let cause =
      switch error {
      case .unreadable(_, let reason), .malformed(_, let reason): reason
      default: error.description
      }
    self.init(path: path, cause: cause)
  }
}
