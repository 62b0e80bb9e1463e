import CProcess
import Foundation

/// Pipes whose ends no child inherits by accident, above the standard streams.
enum Pipes {
  /// Two ends, or nil with `errno`.
  static func make() -> (read: Int32, write: Int32)? {
    var ends: [Int32] = [0, 0]
    guard pipe2(&ends, O_CLOEXEC) == 0 else { return nil }
    for index in 0..<2 where ends[index] < 3 {
      let raised = fcntl(ends[index], F_DUPFD_CLOEXEC, 3)
      close(ends[index])
      ends[index] = raised
    }
    return (ends[0], ends[1])
  }

  /// Fewer and larger reads; smaller where the system says no.
  static func enlarge(_ end: Int32) {
    _ = fcntl(end, Int32(shim_set_pipe_size), VideoLimits.pipeByteCount)
  }

  static func unblock(_ end: Int32) { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
}
