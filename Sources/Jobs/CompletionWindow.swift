/// Work on a stream of items, several at once, with results as they come.
///
/// At most `inFlight` items are worked on; their results are taken one at a time, and the time is told
/// in between, so that whoever takes them can do what is due although nothing comes.
struct CompletionWindow {
  /// Items that may be worked on at once now, looked at before each; at least 1.
  let inFlight: () -> Int
  /// How often the time is told.
  let tick: Duration

  private enum Event<Outcome: Sendable>: Sendable {
    case outcome(Outcome)
    case tick
  }

  /// Runs until `next` gives nothing more and every result was taken.
  ///
  /// - Parameters:
  ///   - next: the next item; called by the calling task only, as is `take`.
  ///   - work: what is done with an item; called by many tasks.
  ///   - take: receives every result, and nil for the time. When it throws, work under way is cancelled
  ///     and awaited.
  /// - Throws: what `next` or `take` threw.
  func run<Item: Sendable, Outcome: Sendable>(
    next: () async throws -> Item?,
    work: @escaping @Sendable (Item) async -> Outcome,
    take: (Outcome?) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Event<Outcome>.self) { group in
      var running = 0
      var hasMore = true
      let tick = tick
      @Sendable func wait() async -> Event<Outcome> {
        try? await Task.sleep(for: tick)
        return .tick
      }
      group.addTask(operation: wait)
      while true {
        while hasMore, running < max(1, inFlight()) {
          guard let item = try await next() else {
            hasMore = false
            break
          }
          running += 1
          group.addTask { .outcome(await work(item)) }
        }
        if running == 0 { break }
        switch try await group.next() {
        case .outcome(let outcome)?:
          running -= 1
          try await take(outcome)
        case .tick?:
          try await take(nil)
          // A cancelled task doesn't sleep; it would only be told the time without end.
          if !Task.isCancelled { group.addTask(operation: wait) }
        case nil: break
        }
      }
      group.cancelAll()
    }
  }
}
