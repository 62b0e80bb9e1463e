import Messaging

extension Scheduler {
  /// What is known of a request that was let in.
  struct Record {
    let request: PreparedRequest
    var tokens: [TokenLogprob] = []
    /// Whether the stages with decoder layers have its keys and values, up to its last token at least.
    var hasCaches = false
    /// Workers lost while it was under way, and those lost while it alone was.
    var losses = 0
    var lossesAlone = 0
    /// It was the only suspect under way when one more worker died: it goes alone, with nothing else
    /// under way at all, until it is known.
    var isAccused = false
    var isProbe = false

    /// It was there when two workers died: from now on it goes alone among its like, until it is known
    /// whether it is what kills them.
    var isSuspect: Bool { losses >= 2 }
    /// Nothing but it explains the deaths: two of them while it alone was under way, or one after it
    /// stood accused. Two machines that fail by themselves don't make a request poisonous.
    var isPoison: Bool { lossesAlone >= (isAccused ? 1 : 2) }
  }
}
