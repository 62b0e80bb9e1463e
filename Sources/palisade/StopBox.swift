import Pipelining
import Synchronization

/// Holds what a signal has to stop, which may come after the signal.
final class StopBox: Sendable {
  private struct State {
    var handle: Worker.StopHandle?
    var isStopped = false
  }
  private let state = Mutex(State())

  /// Stops the worker now, or as soon as there is one.
  func stop() {
    state.withLock {
      $0.isStopped = true
      $0.handle?.stop()
    }
  }

  /// Says what is to be stopped.
  func set(_ handle: Worker.StopHandle) {
    state.withLock {
      $0.handle = handle
      if $0.isStopped { handle.stop() }
    }
  }
}
