import Checkpoints

/// Why a checkpoint could not be synthesized, and what to do about it.
public enum SynthesisError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The element type is none that weights are stored in.
  case elementType(String)
  /// The folder holds a checkpoint already, which is never overwritten.
  case occupied(directory: String, file: String)
  /// The disk has too little room.
  case space(directory: String, neededByteCount: Int, freeByteCount: Int)
  /// A folder can't be made or a file copied.
  case unwritable(path: String, reason: String)
  /// The folder given for the tokenizer has none.
  case noTokenizer(directory: String)
  /// The shape or the tokenizer's configuration is no model's.
  case model(ModelError)
  /// A weight file can't be written.
  case checkpoint(CheckpointError)

  /// The cause, then the remedy.
  public var description: String {
    switch self {
    case .elementType(let name):
      "weights can't be stored as \(name); choose f32, bf16 or f16"
    case .occupied(let directory, let file):
      "\(directory) already holds \(file); give another --output or remove it first"
    case .space(let directory, let needed, let free):
      "\(directory) has \(Self.gigabytes(free)) GB free and the checkpoint takes "
        + "\(Self.gigabytes(needed)) GB; free space there or give another --output"
    case .unwritable(let path, let reason):
      "cannot write \(path): \(reason); check that the folder may be written"
    case .noTokenizer(let directory):
      "\(directory) has no tokenizer.model; give --tokenizer a folder of a PaliGemma checkpoint"
    case .model(let error): error.description
    case .checkpoint(let error): error.description
    }
  }

  private static func gigabytes(_ byteCount: Int) -> String {
    let hundredths = (byteCount + 4_999_999) / 10_000_000
    let rest = hundredths % 100
    return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
  }
}
