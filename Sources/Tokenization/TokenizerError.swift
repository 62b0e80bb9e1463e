/// Why a tokenizer could not be loaded, or a text not be encoded.
public struct TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The kinds of failure; the raw value is what a machine reads.
  public enum Code: String, Sendable {
    /// A file that must be there is not, or cannot be read.
    case unreadableFile = "unreadable_file"
    /// A file is broken: not JSON, not a sentencepiece model, or cut short.
    case invalidFile = "invalid_file"
    /// A sound file that asks for something Palisade does not do.
    case unsupported = "unsupported_tokenizer"
    /// Two sources say different things about one token.
    case conflict = "conflicting_tokens"
    /// A token that must exist does not.
    case missingToken = "missing_token"
    /// A prompt has more bytes or tokens than allowed.
    case promptTooLong = "prompt_too_long"
    /// The numbers given to a prompt's layout make no sense.
    case invalidLayout = "invalid_layout"
    /// A text would have become a control token.
    case controlToken = "control_token_in_text"
    /// libsentencepiece refused, or memory is out.
    case failed = "tokenizer_failed"
  }

  /// The kind of failure.
  public let code: Code
  /// What is wrong, with figures and names.
  public let cause: String
  /// What its reader can do about it.
  public let remedy: String

  /// One sentence of cause, one of remedy.
  public var description: String { "\(code.rawValue): \(cause). \(remedy)." }

  init(_ code: Code, _ cause: String, remedy: String) {
    self.code = code
    self.cause = cause
    self.remedy = remedy
  }
}
