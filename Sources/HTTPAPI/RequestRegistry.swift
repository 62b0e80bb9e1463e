import Synchronization

/// The answers under way by their names, so that `DELETE /v1/requests/{id}` can end one.
///
/// A name is the response's id (`chatcmpl-…`), or what the client gave as `X-Client-Request-Id`: who
/// waits for a whole answer doesn't know its id yet.
final class RequestRegistry: Sendable {
  private struct State {
    var next = 0
    var actions: [String: [Int: @Sendable () -> Void]] = [:]
  }
  private let state = Mutex(State())

  /// Remembers how to end the answer called `names`, until the returned value goes away.
  func register(_ names: [String], cancel: @escaping @Sendable () -> Void) -> Entry {
    let number = state.withLock { state in
      state.next += 1
      for name in names { state.actions[name, default: [:]][state.next] = cancel }
      return state.next
    }
    return Entry(registry: self, names: names, number: number)
  }

  /// Ends the answers called `name`.
  ///
  /// - Returns: how many there were.
  func cancel(_ name: String) -> Int {
    let actions = state.withLock { $0.actions[name] ?? [:] }
    for action in actions.values { action() }
    return actions.count
  }

  /// A remembered answer.
  final class Entry: Sendable {
    private let registry: RequestRegistry
    private let names: [String]
    private let number: Int

    fileprivate init(registry: RequestRegistry, names: [String], number: Int) {
      self.registry = registry
      self.names = names
      self.number = number
    }

    deinit {
      registry.state.withLock { state in
        for name in names {
          state.actions[name]?[number] = nil
          if state.actions[name]?.isEmpty == true { state.actions[name] = nil }
        }
      }
    }
  }
}
