import Synchronization

/// Calls back after a time, unless the call is taken back before.
///
/// A task that sleeps would do, but on Linux a cancelled `Task.sleep` keeps its timer and its task until
/// the time is over: with deadlines of minutes a service grew by 1.4 kB a request (LOG.md, 2026-11-24).
/// Here one task looks every so often for as long as anything is due at all.
public final class Alarms: Sendable {
  private struct Entry {
    let due: ContinuousClock.Instant
    let action: @Sendable () -> Void
  }
  private struct State {
    var entries: [UInt64: Entry] = [:]
    var nextID: UInt64 = 1
    var isLooking = false
  }

  private let precision: Duration
  private let state = Mutex(State())

  /// No calls yet.
  ///
  /// - Parameter precision: how late a call may be.
  public init(precision: Duration = .milliseconds(100)) { self.precision = precision }

  /// Calls `action` from some thread after `duration`.
  ///
  /// - Returns: what takes it back.
  public func call(
    after duration: Duration, _ action: @escaping @Sendable () -> Void
  ) -> UInt64 {
    let (id, begins) = state.withLock { state in
      let id = state.nextID
      state.nextID += 1
      state.entries[id] = Entry(due: .now + duration, action: action)
      defer { state.isLooking = true }
      return (id, !state.isLooking)
    }
    if begins { Task { await look() } }
    return id
  }

  /// Takes a call back; one that was made stays made.
  public func cancel(_ id: UInt64) { state.withLock { _ = $0.entries.removeValue(forKey: id) } }

  private func look() async {
    while let next = callDue() {
      let wait = min(next - .now, precision)
      if wait > .zero { try? await Task.sleep(for: wait) }
    }
  }

  /// Makes the calls that are due.
  ///
  /// - Returns: when the next is; nil when none is left, and nobody looks any more.
  private func callDue() -> ContinuousClock.Instant? {
    let now = ContinuousClock.now
    let (due, next) = state.withLock { state in
      let due = state.entries.filter { $0.value.due <= now }
      for id in due.keys { state.entries[id] = nil }
      let next = state.entries.values.map(\.due).min()
      state.isLooking = next != nil
      return (due.values.sorted { $0.due < $1.due }, next)
    }
    for entry in due { entry.action() }
    return next
  }
}
