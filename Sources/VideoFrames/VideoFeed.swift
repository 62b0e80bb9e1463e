/// Frames of one source, with everything that happens to it, as they come.
///
/// A thread of its own reads the decoder, a child process; frames wait in a buffer of bounded size for the one consumer.
/// The sequence ends after `.state(.ended)` or `.state(.failed)`: errors are events, not thrown. Letting go of the
/// feed, or cancelling the consuming task, kills the decoder.
public final class VideoFeed: AsyncSequence, Sendable {
  /// What a feed hands out.
  public typealias Element = FeedEvent
  /// Errors are events.
  public typealias Failure = Never

  /// What is read.
  public let source: VideoSource
  let core: FeedCore

  /// Starts to read.
  ///
  /// - Throws: `invalid_option` for options that contradict themselves or the source, `not_found` and `empty` for files,
  ///   folders and devices that are not there, `decoder_missing`. Everything later is an event.
  public init(_ source: VideoSource, options: FeedOptions = FeedOptions()) throws(VideoError) {
    self.source = source
    core = try FeedCore(source, options)
    core.start()
  }

  deinit { core.requestCancel() }

  /// Kills the decoder, reaps it, and ends the sequence with `.ended(.cancelled)` after what waits in the buffer is discarded.
  ///
  /// Returns when the child is gone. May be called again.
  public func cancel() async {
    core.requestCancel()
    await core.waitUntilStopped()
  }

  /// A look at it from outside, from any thread.
  public var status: FeedStatus { core.queue.status }

  /// The one consumer's way through the events. A second iterator would share the events with the first.
  public func makeAsyncIterator() -> Iterator { Iterator(feed: self) }

  /// Hands out events as they come.
  public struct Iterator: AsyncIteratorProtocol {
    let feed: VideoFeed
    private var duplicates: DuplicateFinder?
    private var isOver = false

    init(feed: VideoFeed) {
      self.feed = feed
      duplicates = feed.core.options.duplicates.map(DuplicateFinder.init)
    }

    /// The next event; nil after the last. Cancelling the task cancels the feed, whose last event still comes.
    public mutating func next() async -> FeedEvent? { await next(isolation: nil) }

    /// The next event, without leaving the caller's actor for nothing.
    public mutating func next(isolation actor: isolated (any Actor)?) async -> FeedEvent? {
      guard !isOver else { return nil }
      let core = feed.core
      let event = await withTaskCancellationHandler {
        await core.queue.next()
      } onCancel: {
        core.requestCancel()
      }
      guard var event else { isOver = true; return nil }
      if case .state(let state) = event { isOver = state.isFinal }
      if case .frame(var frame) = event {
        frame.repeatedFrame = duplicates?.repeated(by: frame)
        core.queue.countDelivery(isRepeat: frame.repeatedFrame != nil)
        event = .frame(frame)
      }
      return event
    }
  }
}
