/// Why a checkpoint can't be used, and what to do about it.
public enum CheckpointError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A file is missing or can't be read.
  case unreadable(path: String, reason: String)
  /// A file's content breaks its format.
  case malformed(path: String, reason: String)
  /// The checkpoint lacks a tensor that the model needs.
  case missingTensor(name: String, directory: String)
  /// A tensor has another shape or element type than the configuration says.
  case mismatch(name: String, reason: String)
  /// The checkpoint's weights are quantised otherwise than was asked for.
  case precision(directory: String, stored: String, asked: String)
  /// A file can't be written.
  case unwritable(path: String, reason: String)

  /// The cause, then the remedy.
  public var description: String {
    switch self {
    case .unreadable(let path, let reason):
      "cannot read \(path): \(reason); check the path given with --model and its permissions"
    case .malformed(let path, let reason):
      "\(path) is damaged or not what its name says: \(reason); copy or download it again"
    case .missingTensor(let name, let directory):
      "\(directory) has no tensor '\(name)'; is this a PaliGemma checkpoint, and are all its "
        + "safetensors files there? `palisade checkpoint inspect` lists what it holds"
    case .mismatch(let name, let reason):
      "tensor '\(name)' does not fit config.json: \(reason); config and weights must be of one model"
    case .precision(let directory, let stored, let asked):
      "the weights in \(directory) are \(stored), not \(asked); leave --precision out, or give the "
        + "checkpoint that they were quantised from"
    case .unwritable(let path, let reason):
      "cannot write \(path): \(reason); check free space (df) and permissions"
    }
  }
}
