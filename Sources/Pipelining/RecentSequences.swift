/// The numbers of the micro-batches that came last, so that a second copy of one is recognised.
struct RecentSequences {
  /// More than can be under way (`Limits.messagesInFlight`), and so than can come late.
  private static let countMaximum = 2048
  private var known: Set<UInt64> = []
  private var order: [UInt64] = []
  private var next = 0

  /// Takes note of a number.
  ///
  /// - Returns: false when it is known already.
  mutating func insert(_ sequence: UInt64) -> Bool {
    guard known.insert(sequence).inserted else { return false }
    if order.count < Self.countMaximum {
      order.append(sequence)
    } else {
      known.remove(order[next])
      order[next] = sequence
      next = (next + 1) % Self.countMaximum
    }
    return true
  }
}
