import Messaging
import Pipelining
import VideoFrames

/// How a session is doing, counted record by record.
public struct VideoSessionStatus: Sendable {
  /// The source's name, without secrets.
  public internal(set) var source: String
  /// Where the source stands.
  public internal(set) var state: FeedState = .connecting
  /// Where it stood, in order, each as often as it was entered: the last `JobLimits.videoStateCount`.
  public internal(set) var states: [FeedState] = []
  /// Frames with an answer of their own.
  public internal(set) var answered = 0
  /// Frames that repeat an earlier one's answer.
  public internal(set) var repeated = 0
  /// Frames in clips that later frames end.
  public internal(set) var collected = 0
  /// Dropped frames by cause.
  public internal(set) var dropped: [String: Int] = [:]
  /// Frames that nobody could answer, by code.
  public internal(set) var failed: [String: Int] = [:]
  /// Frames under way now.
  public internal(set) var underWay = 0
  /// From a frame's coming out of the decoder to its answer.
  public internal(set) var latency = LatencyHistogram()
  /// The exact sum and the longest of the same, in seconds.
  public internal(set) var longestLatency = 0.0
  /// The time of the last record.
  public internal(set) var pts: MediaTime?
  /// When the first frame came, and the last record.
  public internal(set) var firstFrame: ContinuousClock.Instant?
  /// When the last record was made.
  public internal(set) var lastRecord: ContinuousClock.Instant?
  /// What its reader should know, the newest last.
  public internal(set) var notices: [String] = []

  /// Nothing yet.
  public init(source: String) { self.source = source }

  /// Records so far: one for each sampled frame.
  public var records: Int {
    answered + repeated + collected + dropped.values.reduce(0, +) + failed.values.reduce(0, +)
  }
  /// The share of frames handed out that the near-duplicate rule saved.
  public var savedShare: Double {
    Double(repeated) / Double(max(1, answered + repeated + failed.values.reduce(0, +)))
  }
  /// Frames with an answer in each second, since the first one came.
  public var framesPerSecond: Double {
    guard let firstFrame, let lastRecord, lastRecord > firstFrame else { return 0 }
    return Double(answered + repeated + collected) / ((lastRecord - firstFrame) / .seconds(1))
  }

  mutating func count(_ record: VideoRecord) {
    pts = record.pts
    lastRecord = .now
    switch record.outcome {
    case .answered: answered += 1
    case .repeated: repeated += 1
    case .collected: collected += 1
    case .dropped(let cause): dropped[cause, default: 0] += 1
    case .failed(let failure):
      let isNew = failed[failure.code] == nil
      let isFull = failed.count >= JobLimits.failureKindCount
      failed[isNew && isFull ? "other" : failure.code, default: 0] += 1
    }
    if let latency = record.latency, case .answered = record.outcome {
      self.latency.add(seconds: latency / .seconds(1))
      longestLatency = max(longestLatency, latency / .seconds(1))
    }
  }

  mutating func enter(_ new: FeedState) {
    states.append(new)
    if states.count > JobLimits.videoStateCount { states.removeFirst() }
    state = new
  }

  mutating func note(_ notice: String) {
    notices.append(notice)
    if notices.count > JobLimits.videoNoticeCount { notices.removeFirst() }
  }
}
