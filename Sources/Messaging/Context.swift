import CZeroMQ
import Foundation
import Synchronization

/// A ZeroMQ context: the I/O threads, and the name space of `inproc://` endpoints.
///
/// Sockets keep their context alive; the last one to go ends it. One per process is enough, and tests
/// make one each.
///
/// `@unchecked Sendable`: beside an atomic flag the only member is a handle that never changes, and
/// libzmq documents contexts (unlike sockets) as safe to use from any thread without further locking.
public final class Context: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer
  private let watched = Atomic(false)
  /// Whether a gatekeeper watches the doors.
  var isWatched: Bool { watched.load(ordering: .acquiring) }

  /// Starts a context.
  ///
  /// - Parameter ioThreadCount: threads that move bytes; one carries about 1 GB/s.
  /// - Throws: `.system` when there is no memory or file descriptor left.
  public init(ioThreadCount: Int = 1) throws(MessagingError) {
    guard let handle = zmq_ctx_new() else { throw .zeroMQ("zmq_ctx_new") }
    self.handle = handle
    guard zmq_ctx_set(handle, ZMQ_IO_THREADS, Int32(clamping: max(1, ioThreadCount))) == 0 else {
      throw .zeroMQ("set I/O threads")
    }
  }

  /// Wakes every blocked call on this context's sockets with the error `.terminated`.
  ///
  /// From any thread.
  public func shutdown() {
    zmq_ctx_shutdown(handle)
  }

  func setWatched() { watched.store(true, ordering: .releasing) }

  deinit {
    // Every socket holds its context, so all are closed by now; this waits for their linger times.
    while zmq_ctx_term(handle) != 0 && zmq_errno() == EINTR {}
  }
}
