import Foundation
import Synchronization

/// What the program says to people: results on standard output, the rest on standard error.
enum Terminal {
  /// Writes a line to standard error.
  static func note(_ line: String) { write(line + "\n", to: .standardError) }

  /// Writes a line to standard output.
  static func result(_ line: String) { write(line + "\n", to: .standardOutput) }

  /// Writes text as it is, at once.
  static func write(_ text: String, to handle: FileHandle) {
    // A closed pipe (`palisade … | head`) is the reader's decision, not an error.
    try? handle.write(contentsOf: Data(text.utf8))
  }

  /// Whether standard error is a person's terminal.
  static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }
}

/// Ctrl-C and `kill`: a thread waits for them, so that they can do anything a thread can.
enum Interruption {
  private static let isInstalled = Atomic(false)

  /// Calls `handler` once at the first SIGINT or SIGTERM; a second one ends the process at once.
  ///
  /// To be called before other threads start, because they inherit the blocked signals.
  static func install(_ handler: @escaping @Sendable (_ signal: Int32) -> Void) {
    guard !isInstalled.exchange(true, ordering: .relaxed) else { return }
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGINT)
    sigaddset(&set, SIGTERM)
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signal(SIGPIPE, SIG_IGN)
    let waited = set
    let thread = Thread {
      var (set, caught) = (waited, Int32(0))
      sigwait(&set, &caught)
      handler(caught)
      sigwait(&set, &caught)
      _exit(128 + caught)
    }
    thread.name = "signals"
    thread.start()
  }
}
