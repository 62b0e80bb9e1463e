/// What a feed has to say, in order.
///
/// Frames and drops together are exactly the sampled frames, in the order of `pts`, except that a drop may be told
/// before a frame that is older (it was dropped while that one waited).
public enum FeedEvent: Sendable {
  /// The feed is in another state. `.ended` and `.failed` are the last event.
  case state(FeedState)
  /// A sampled frame.
  case frame(VideoFrame)
  /// A sampled frame that was dropped.
  case drop(FrameDrop)
  /// Something the reader of the results should know.
  case notice(FeedNotice)
}

/// Where a feed stands.
public enum FeedState: Sendable, Equatable {
  /// The decoder is started; nothing has come yet.
  case connecting
  /// Frames come.
  case live
  /// Frames came, but none for so long.
  case stalled(for: Duration)
  /// The decoder or the source is gone; it will be tried again, for the `attempt`th time, after `delay`.
  ///
  /// For a file this is a decoder that died and is started again after the last frame.
  case reconnecting(attempt: Int, delay: Duration, cause: String)
  /// The source came to its end, or the feed was cancelled.
  case ended(EndCause)
  /// The feed gave up.
  case failed(VideoError)

  /// How a feed came to its end.
  public enum EndCause: String, Sendable {
    /// All frames were handed out.
    case complete
    /// The source closed the stream in an orderly way, and did not come back.
    case closed
    /// `cancel()`, or nobody listens any more.
    case cancelled
  }

  /// A word for records: `connecting`, `live`, `stalled`, `reconnecting`, `ended`, `failed`.
  public var name: String {
    switch self {
    case .connecting: "connecting"
    case .live: "live"
    case .stalled: "stalled"
    case .reconnecting: "reconnecting"
    case .ended: "ended"
    case .failed: "failed"
    }
  }

  /// True for the last state of a feed.
  public var isFinal: Bool {
    switch self {
    case .ended, .failed: true
    case .connecting, .live, .stalled, .reconnecting: false
    }
  }
}

/// Something that happened to a feed that is neither an error nor a state.
public enum FeedNotice: Sendable, Equatable, CustomStringConvertible {
  /// The decoder complained of damage; its words, redacted. Only the first of each minute are told.
  case decoderMessage(String)
  /// So many further complaints of the decoder were left out.
  case decoderMessagesLeftOut(Int)
  /// Frames have another size from this frame on.
  case sizeChanged(frame: Int, width: Int, height: Int)
  /// From this frame on timestamps are estimated, because the source has none, or disordered ones.
  case timestampsEstimated(frame: Int)
  /// The source's clock began anew or leapt; this is added to its timestamps from this frame on.
  case clockShifted(frame: Int, by: MediaTime)
  /// The decoder was started again and goes on after this time.
  case resumed(after: MediaTime)

  /// One sentence for people.
  public var description: String {
    switch self {
    case .decoderMessage(let text): "the decoder says: \(text)"
    case .decoderMessagesLeftOut(let count):
      "\(count) further messages of the decoder were left out"
    case .sizeChanged(let frame, let width, let height):
      "frames are \(width) x \(height) from frame \(frame) on"
    case .timestampsEstimated(let frame): "timestamps are estimated from frame \(frame) on"
    case .clockShifted(let frame, let shift):
      "the source's clock began anew at frame \(frame); \(shift) s are added from there on"
    case .resumed(let time): "decoding goes on after \(time) s"
    }
  }
}

/// A look at a feed from outside, at any time.
public struct FeedStatus: Sendable {
  /// Where it stands now; the event of it may still wait in the buffer.
  public internal(set) var state: FeedState = .connecting
  /// Frames of the source seen so far, sampled or not.
  public internal(set) var sourceFrameCount = 0
  /// Frames that the sampling rule chose.
  public internal(set) var sampledCount = 0
  /// Frames handed out.
  public internal(set) var deliveredCount = 0
  /// Of those, near-duplicates: what the rule saves is `repeatCount / deliveredCount`.
  public internal(set) var repeatCount = 0
  /// Dropped frames by the name of their cause.
  public internal(set) var dropCounts: [String: Int] = [:]
  /// Frames that wait in the buffer now.
  public internal(set) var bufferedCount = 0
  /// How often the source was connected to again with success.
  public internal(set) var reconnectionCount = 0
  /// The timestamp of the newest frame seen.
  public internal(set) var newestPTS: MediaTime?
  /// The decoder's process, while there is one.
  public internal(set) var decoderProcessID: Int32?
}
