extension BufferPolicy {
  /// Reads `wait`, `oldest`, `newest`, `stale:0.5s`, as `description` writes them.
  ///
  /// - Throws: `invalid_option`.
  public init(_ text: String) throws(VideoError) {
    switch text.lowercased() {
    case "wait": self = .wait
    case "oldest": self = .dropOldest
    case "newest": self = .dropNewest
    case let text where text.hasPrefix("stale:") && text.hasSuffix("s"):
      guard let seconds = Double(text.dropFirst(6).dropLast()), seconds > 0, seconds <= 86_400
      else {
        fallthrough
      }
      self = .staleness(budget: .seconds(seconds))
    default:
      throw VideoError(
        .invalidOption, cause: "'\(text.prefix(40))' is no rule for a full buffer",
        remedy: "write wait, oldest, newest or stale:0.5s")
    }
  }
}

extension MediaTime {
  /// The nearest nanosecond to a duration.
  public init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let (scaled, isOver) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let edge: Int64 = seconds < 0 ? .min : .max
    let (sum, isAbove) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
    self.init(nanoseconds: isOver || isAbove ? edge : sum)
  }
}
