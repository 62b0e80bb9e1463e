/// Why a batch as a whole cannot run; what is wrong with one line is a `Failure` of that line.
public enum BatchError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The batch file cannot be read.
  case unreadable(path: String, reason: String)
  /// An output file is there already.
  case exists(path: String)
  /// The output would overwrite the input.
  case sameFile(path: String)
  /// A result cannot be written.
  case unwritable(path: String, reason: String)

  /// The cause, then the remedy.
  public var description: String {
    switch self {
    case .unreadable(let path, let reason):
      "cannot read \(path): \(reason); check the path and its permissions"
    case .exists(let path):
      "\(path) is there already; choose another --output, or give --overwrite to replace it"
    case .sameFile(let path):
      "\(path) is input and output at once; choose another --output"
    case .unwritable(let path, let reason):
      "cannot write \(path): \(reason); check free space (df) and permissions. "
        + "The lines written so far are whole"
    }
  }
}
