import Messaging
import VideoFrames

/// What a video session asks about its frames, and how hard it works.
public struct VideoSessionOptions: Sendable {
  /// What one question is about.
  public enum Mode: Sendable, Equatable {
    /// Every sampled frame by itself.
    case frame
    /// The last `count` sampled frames in order of time, whenever `stride` new ones have come.
    ///
    /// PaliGemma's recipe for video: frames are encoded separately, and their image tokens stand one behind the other in
    /// front of the prompt. Where clips overlap, the vision cache has the frames of the clip before.
    case clip(count: Int, stride: Int)

    /// The largest clip.
    public static let frameCountMaximum = MessageLimits.imageCount
  }

  /// The prompt.
  public var prompt: String
  /// What one question is about.
  public var mode = Mode.frame
  /// How tokens are chosen.
  public var sampling: Sampling
  /// How the source is read.
  public var feed: FeedOptions
  /// Questions under way at once.
  public var window = JobLimits.videoWindow
  /// Whom its questions overtake; all sessions of one priority take turns, one question each.
  public var priority: Handling.Priority
  /// From the frame's coming out of the decoder: a frame whose answer would come later is dropped as `stale`.
  public var budget: Duration?
  /// How long a cluster that is away is waited for; with `.zero` every failure is a record at once.
  public var patience: Duration
  /// The side of the model's pictures where that is known: frames are shrunk to it before they are sent anywhere; else
  /// whole pictures are under way, as many as `window`.
  public var pictureSide: Int?
  /// Whether records come with their pictures.
  public var keepsPictures = false

  /// The usual options: a live source's frames are answered at once or not at all and overtake batch work; others wait.
  ///
  /// - Parameters:
  ///   - prompt: what the model sees behind each frame.
  ///   - source: whose kind decides.
  ///   - feed: how it is read; a live source without a `policy` drops what is older than `JobLimits.videoBudget`.
  public init(prompt: String, source: VideoSource, feed: FeedOptions = FeedOptions()) {
    self.prompt = prompt
    var feed = feed
    if source.isLive, feed.policy == nil {
      feed.policy = .staleness(budget: JobLimits.videoBudget)
    }
    sampling = Sampling(maximumTokens: 256)
    priority = source.isLive ? .interactive : .batch
    patience = source.isLive ? .zero : .seconds(600)
    if case .staleness(let budget) = feed.policy {
      self.budget = budget
      // What waits in the buffer has less time left for its answer: two frames keep the pipeline fed.
      feed.bufferedFrameCount = feed.bufferedFrameCount ?? JobLimits.videoLiveBuffer
      window = JobLimits.videoLiveWindow
    }
    self.feed = feed
  }
}

extension VideoSource {
  /// Whether the same frames come again when it is read again.
  public var isRepeatable: Bool { kind == .file || kind == .pictures }
}
