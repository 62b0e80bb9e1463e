/// Work on a stream of items, several at once, with results in the items' order.
///
/// Bounded both ways: at most `inFlight` items are worked on, and at most `unfinished` have been taken
/// and not handed on, so that one slow item cannot pile up the results behind it.
public struct OrderedWindow: Sendable {
  private let inFlight: Int
  private let unfinished: Int

  /// Sets the bounds.
  ///
  /// - Parameters:
  ///   - inFlight: items worked on at once; at least 1.
  ///   - unfinished: items taken and not yet handed on; at least `inFlight`.
  public init(inFlight: Int, unfinished: Int) {
    self.inFlight = max(1, inFlight)
    self.unfinished = max(self.inFlight, unfinished)
  }

  /// Runs until `next` gives nothing more and every result was handed on.
  ///
  /// - Parameters:
  ///   - next: the next item; called by one task.
  ///   - work: what is done with an item; called by many tasks.
  ///   - take: receives every result, in the order of the items, in the calling task. When it throws,
  ///     work under way is cancelled and awaited.
  /// - Throws: what `next` or `take` threw.
  public func run<Item: Sendable, Outcome: Sendable>(
    next: () throws -> Item?,
    work: @escaping @Sendable (Item) async -> Outcome,
    take: (Outcome) throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: (Int, Outcome).self) { group in
      var waiting: [Int: Outcome] = [:]
      var (started, running, taken) = (0, 0, 0)
      var hasMore = true
      while true {
        while hasMore, running < inFlight, started - taken < unfinished {
          guard let item = try next() else {
            hasMore = false
            break
          }
          let index = started
          started += 1
          running += 1
          group.addTask { (index, await work(item)) }
        }
        guard let (index, outcome) = try await group.next() else { return }
        running -= 1
        waiting[index] = outcome
        while let first = waiting.removeValue(forKey: taken) {
          try take(first)
          taken += 1
        }
      }
    }
  }

  /// The same for items that are all there, and a `take` that cannot fail.
  public func run<Item: Sendable, Outcome: Sendable>(
    _ items: [Item], work: @escaping @Sendable (Item) async -> Outcome,
    take: (Outcome) -> Void
  ) async {
    var rest = items.makeIterator()
    // Neither closure throws, and the group throws nothing of its own.
    try? await run(next: { rest.next() }, work: work, take: take)
  }
}
