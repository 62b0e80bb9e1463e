import Imaging

/// One sampled frame of a source.
public struct VideoFrame: Sendable {
  /// Counts the source's frames from 0 as they are shown, sampled or not.
  public let number: Int
  /// When it is shown, on the feed's clock: strictly later than the frame before.
  ///
  /// This is the timestamp in the container, exactly (what ffprobe prints), unless `isTimestampEstimated` says otherwise
  /// or the source's clock began anew after a reconnection: then the feed's clock goes on (a `clockShifted` notice says by how much).
  public let pts: MediaTime
  /// The container's ticks, for those who write video; the clock of folders of pictures ticks in microseconds.
  public let timeBase: TimeBase
  /// True where the source gave no timestamp, or not a later one than the frame before.
  public let isTimestampEstimated: Bool
  /// True for a frame that is coded without reference to others.
  public let isKeyFrame: Bool
  /// The whole frame, upright, in its own size.
  ///
  /// It is not scaled by the decoder: the model's resize must have Pillow's bits, and only ours does.
  public let picture: Picture
  /// When its last byte came out of the decoder; capture-to-answer latency starts here.
  public let arrival: ContinuousClock.Instant
  /// The frame number of the frame that this one repeats as far as the near-duplicate rule can see, or nil.
  ///
  /// That one was handed out before it, and is no repeat itself.
  public internal(set) var repeatedFrame: Int?
}

/// A frame that was sampled but isn't handed out.
public struct FrameDrop: Sendable, Equatable {
  /// Why.
  public enum Cause: Sendable, Equatable {
    /// The buffer was full, and the rule is to drop the oldest.
    case oldest
    /// The buffer was full, and the rule is to drop the newest.
    case newest
    /// It had waited for longer than the budget; how long it had.
    case stale(age: Duration)
    /// Its bytes are no picture, or one above the limits: why.
    case unreadable(String)

    /// A word for records: `oldest`, `newest`, `stale`, `unreadable`.
    public var name: String {
      switch self {
      case .oldest: "oldest"
      case .newest: "newest"
      case .stale: "stale"
      case .unreadable: "unreadable"
      }
    }
  }

  /// The frame's number in its source.
  public let number: Int
  /// When it would have been shown.
  public let pts: MediaTime
  /// Why it was dropped.
  public let cause: Cause

  /// A dropped frame.
  public init(number: Int, pts: MediaTime, cause: Cause) {
    (self.number, self.pts, self.cause) = (number, pts, cause)
  }
}
