/// What an engine did in one second.
public struct HistoryPoint: Sendable, Equatable {
  /// Whole seconds since the engine started.
  public let second: Int
  /// Requests answered.
  public internal(set) var succeeded = 0
  /// Requests that ended in an error.
  public internal(set) var failed = 0
  /// Pictures of the requests answered.
  public internal(set) var images = 0
  /// Tokens generated.
  public internal(set) var tokens = 0
  /// Most requests that waited to be let in.
  public internal(set) var waiting = 0
  /// Most requests in the pipeline.
  public internal(set) var inFlight = 0
  /// From submission to the first token.
  public internal(set) var firstToken = LatencyHistogram()
  /// From submission to the answer.
  public internal(set) var answer = LatencyHistogram()

  init(second: Int) { self.second = second }
}

/// The last minutes, second by second.
struct History {
  /// Ten minutes: what fits a screen. About 700 bytes each, so 0.4 MB.
  static let secondsMaximum = 600
  private var points: [HistoryPoint] = []

  /// Changes the point of `second`; seconds without a point in between did nothing.
  mutating func change(_ second: Int, _ body: (inout HistoryPoint) -> Void) {
    if points.isEmpty || second > points[points.count - 1].second {
      points.append(HistoryPoint(second: second))
      points.removeFirst(max(0, points.count - Self.secondsMaximum))
    }
    body(&points[points.count - 1])
  }

  /// The points of the last `seconds`, the present one last; empty seconds included.
  func last(_ seconds: Int, until now: Int) -> [HistoryPoint] {
    let count = max(0, min(seconds, Self.secondsMaximum, now + 1))
    var known: [Int: HistoryPoint] = [:]
    for point in points where point.second > now - count { known[point.second] = point }
    return ((now - count + 1)..<(now + 1)).map { known[$0] ?? HistoryPoint(second: $0) }
  }

  /// The points there are of the last `seconds`.
  func known(_ seconds: Int, until now: Int) -> ArraySlice<HistoryPoint> {
    points[(points.firstIndex { $0.second > now - seconds } ?? points.endIndex)...]
  }
}
