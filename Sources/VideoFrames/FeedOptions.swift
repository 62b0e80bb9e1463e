import Imaging

/// What happens to a sampled frame when the buffer is full, or too old.
///
/// The rules look at the buffer and the frames in it alone, never at a frame rate that somebody announced.
public enum BufferPolicy: Sendable, Equatable, CustomStringConvertible {
  /// The decoder waits: nothing is dropped, memory is bounded. For files.
  case wait
  /// The frame that has waited longest makes room. For live sources; with room for one frame, always the newest.
  case dropOldest
  /// The new frame is dropped; what waits is handed out first.
  case dropNewest
  /// A frame that has waited for longer than this is dropped when it would be handed out; a full buffer drops its oldest.
  case staleness(budget: Duration)

  /// As users write it: `wait`, `oldest`, `newest`, `stale:0.5s`.
  public var description: String {
    switch self {
    case .wait: "wait"
    case .dropOldest: "oldest"
    case .dropNewest: "newest"
    case .staleness(let budget): "stale:\(MediaTime(budget))s"
    }
  }
}

/// Where an earlier run of the same source stopped.
public struct ResumePoint: Sendable, Equatable {
  /// The number of the last frame that has its record.
  public let frame: Int
  /// Its timestamp, exactly as the feed gave it.
  public let pts: MediaTime

  /// The last frame that has its record.
  public init(frame: Int, pts: MediaTime) { (self.frame, self.pts) = (frame, pts) }
}

/// How a feed is read. The defaults are right for nearly everything.
public struct FeedOptions: Sendable {
  /// Which frames are sampled.
  public var sampling: SamplingRule = .all
  /// The near-duplicate rule; nil marks nothing.
  public var duplicates: DuplicateRule?
  /// What happens when the buffer is full; nil waits for files, folders and pipes, and drops the oldest of live sources.
  public var policy: BufferPolicy?
  /// Sampled frames that may wait; nil is `VideoLimits.bufferedFrameCount`, and 1 for `SamplingRule.freshest`.
  public var bufferedFrameCount: Int?
  /// Goes on after this frame; for files and pictures. Frame numbers go on as well.
  public var resumeAfter: ResumePoint?
  /// The rate of a folder of pictures: picture `k` stands at `k / rate` seconds.
  public var picturesPerSecond: Double = 1
  /// Without a frame for so long, a source is `.stalled`.
  public var stallLimit: Duration = .seconds(5)
  /// Without a frame for so long, the decoder is killed, and a live source connected to again.
  public var stallTimeout: Duration = .seconds(20)
  /// How long the first frame may take.
  public var connectTimeout: Duration = .seconds(30)
  /// The first pause before a live source is tried again; doubled each time.
  public var backoffFirst: Duration = .milliseconds(500)
  /// The longest pause.
  public var backoffMaximum: Duration = .seconds(15)
  /// So many attempts in a row without a frame end the feed.
  public var attemptLimit = 10
  /// So often a decoder of a file that died is started again.
  public var restartLimit = 3
  /// What a frame may cost; checked before memory is taken for it.
  public var imageLimits: ImageLimits = .standard
  /// Threads of the decoder; 0 is one per core.
  public var decoderThreadCount = 2
  /// RTSP's media over its own TCP connection instead of UDP: passes firewalls, loses nothing.
  public var usesTCPForRTSP = true
  /// The decoder; looked up in `PATH` when it has no slash.
  public var decoder = "ffmpeg"

  /// The defaults.
  public init() {}
}
