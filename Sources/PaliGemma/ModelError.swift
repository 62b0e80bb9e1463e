/// Why a model can't be built or asked, and what to do about it.
public enum ModelError: Error, Equatable, Sendable, CustomStringConvertible {
  /// `config.json` is missing, no JSON, or breaks a rule.
  case configuration(path: String, reason: String)
  /// The model is of a kind that is not supported.
  case unsupported(String)
  /// The rows given don't fit the model: a token outside the vocabulary, too many positions.
  case input(String)

  /// The cause, then the remedy.
  public var description: String {
    switch self {
    case .configuration(let path, let reason):
      "\(path): \(reason); take config.json from the same source as the weights"
    case .unsupported(let what):
      "\(what) is not supported; Palisade serves PaliGemma 1 checkpoints (text model 'gemma')"
    case .input(let reason): reason
    }
  }
}
