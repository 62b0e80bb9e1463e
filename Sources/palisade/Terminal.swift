import Foundation
import Glibc
import Synchronization

/// What the program says to people: results on standard output, the rest on standard error.
enum Terminal {
  /// Writes a line to standard error.
  static func note(_ line: String) { write(line + "\n", to: .standardError) }

  /// Writes a line to standard output.
  ///
  /// - Throws: when it can't be written. (A closed pipe, `palisade … | head`, is the reader's
  ///   decision and no error.)
  static func result(_ line: String) throws {
    do { try FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8)) } catch {
      if errno != EPIPE {
        throw CommandFailure("cannot write to standard output: it is full or closed")
      }
    }
  }

  /// Writes text as it is, at once.
  static func write(_ text: String, to handle: FileHandle) {
    // Nowhere to say that there is nowhere to say anything.
    try? handle.write(contentsOf: Data(text.utf8))
  }

  /// Whether standard error is a person's terminal.
  static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }
}

/// Ctrl-C and `kill`: a handler that only writes to a pipe, and a thread that reads it and can then
/// do anything a thread can.
enum Interruption {
  /// The pipe's writing end; initialised before the handler can run.
  private static let pipe = Atomic<Int32>(-1)

  /// Calls `handler` at the first SIGINT or SIGTERM; a second one ends the process at once.
  static func install(_ handler: @escaping @Sendable (_ signal: Int32) -> Void) {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { return }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    pipe.store(ends[1], ordering: .releasing)
    for number in [SIGINT, SIGTERM] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { number in
        var byte = UInt8(truncatingIfNeeded: number)
        write(Interruption.pipe.load(ordering: .relaxed), &byte, 1)
      }
      // Calls that a signal would break off go on. A shell's background jobs inherit SIGINT
      // ignored; here it is always heard.
      action.sa_flags = Int32(SA_RESTART)
      sigaction(number, &action, nil)
    }
    signal(SIGPIPE, SIG_IGN)
    let reading = ends[0]
    let thread = Thread {
      var number: UInt8 = 0
      guard read(reading, &number, 1) == 1 else { return }
      handler(Int32(number))
      if read(reading, &number, 1) == 1 { _exit(128 + Int32(number)) }
    }
    thread.name = "signals"
    thread.start()
  }
}
