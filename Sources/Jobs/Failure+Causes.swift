import Imaging
import Messaging
import Tokenization

extension Failure: CustomStringConvertible {
  /// Code, cause and remedy on one line.
  public var description: String { "\(code): \(message)" }
}

extension Failure {
  /// A broken picture: `unsupported_image`, `image_too_large`, `out_of_memory` or `invalid_image`.
  init(_ error: ImagingError, image name: String) {
    let code =
      switch error.code {
      case .unsupportedFormat: "unsupported_image"
      case .tooLarge, .tooManyPixels: "image_too_large"
      case .outOfMemory: "out_of_memory"
      case .empty, .truncated, .corrupt, .invalidSize, .invalidMask: "invalid_image"
      }
    self.init(code: code, message: "\(name): \(error.message); \(error.remedy)")
  }

  /// A prompt that the tokenizer refuses: `prompt_too_long`, or `invalid_prompt`.
  init(_ error: TokenizerError) {
    self.init(
      code: error.code == .promptTooLong ? "prompt_too_long" : "invalid_prompt",
      message: "\(error.cause); \(error.remedy)")
  }

  /// Trouble with the sockets: `messaging`, or `version_mismatch`, `insecure_endpoint`,
  /// `invalid_endpoint`.
  init(_ error: MessagingError) {
    let code =
      switch error.code {
      case .versionMismatch: "version_mismatch"
      case .insecure: "insecure_endpoint"
      case .invalidEndpoint: "invalid_endpoint"
      case .tooLarge: "request_too_large"
      default: "messaging"
      }
    self.init(code: code, message: error.description)
  }
}
