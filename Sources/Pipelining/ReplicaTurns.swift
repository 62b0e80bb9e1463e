/// Which replica of a stage gets the next prefill: the one with the least of them under way; of equals the one
/// whose turn is longest ago, since what it got then has probably left it, though not the pipeline. The
/// scheduler and the simulation of it ask here.
struct ReplicaTurns {
  private var last: [Int: Int] = [:]
  private var count = 0

  /// The replica, whose turn it was then.
  ///
  /// - Parameters:
  ///   - replicas: their numbers; at least one.
  ///   - load: prefills under way through a replica.
  /// - Returns: one of them.
  mutating func next(of replicas: some Collection<Int>, load: (Int) -> Int) -> Int {
    let keys = replicas.map { (load($0), last[$0] ?? 0, $0) }
    let chosen = keys.min(by: <)?.2 ?? 0
    count += 1
    last[chosen] = count
    return chosen
  }
}
