import Messaging

/// Why a batch as a whole cannot run; what is wrong with one line is a `Failure` of that line.
public enum BatchError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The batch file cannot be read.
  case unreadable(path: String, reason: String)
  /// An output file is there already, and no journal says that it is ours.
  case exists(path: String)
  /// The output would overwrite the input.
  case sameFile(path: String)
  /// A result cannot be written.
  case unwritable(path: String, reason: String)
  /// Another process works on the same journal.
  case locked(journal: String)
  /// The journal cannot be used: it is damaged, or something else.
  case journal(path: String, reason: String)
  /// The journal belongs to another input, model or option.
  case changed(journal: String, what: String)
  /// A file of results is not what the journal says that was written to it.
  case damaged(path: String, reason: String)
  /// There is nothing to try again: no journal.
  case noJournal(path: String)
  /// Nobody answered for so long that the run was ended; nothing is lost.
  case unavailable(Failure, seconds: Int)

  /// The cause, then the remedy.
  public var description: String {
    switch self {
    case .unreadable(let path, let reason):
      "cannot read \(path): \(reason); check the path and its permissions"
    case .exists(let path):
      "\(path) is there already and has no journal beside it; choose another --output, or give "
        + "--restart to replace it"
    case .sameFile(let path):
      "\(path) is input and output at once; choose another --output"
    case .unwritable(let path, let reason):
      "cannot write \(path): \(reason); check free space (df) and permissions, then start again "
        + "with the same words: what is written is whole, and isn't done twice"
    case .locked(let journal):
      "another process works on \(journal) now; wait for it, end it, or choose another --output"
    case .journal(let path, let reason):
      "the journal \(path) cannot be used: \(reason); begin anew with --restart, or choose another "
        + "--output"
    case .changed(let journal, let what):
      "\(what) since \(journal) was begun, so its results would not belong together; undo that to "
        + "go on, choose another --output, or give --restart to throw the results away and begin anew"
    case .damaged(let path, let reason):
      "\(path) was changed by somebody else: \(reason); put it back to go on, or give --restart to "
        + "begin anew"
    case .noJournal(let path):
      "there is no journal \(path), so no failed requests are known; run the batch first (without "
        + "`retry`), with the same --output"
    case .unavailable(let failure, let seconds):
      "nobody answered for \(seconds) s (\(failure.code): \(failure.message)). Nothing is lost: "
        + "start the same command again to go on, or wait longer with --patience SECONDS"
    }
  }
}
