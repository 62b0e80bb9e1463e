import Foundation
import Imaging
import Messaging
import Synchronization
import VideoFrames

/// One video, being answered: events of its feed in, one record for each sampled frame out, in order of time.
///
/// Bounded everywhere: so many frames are under way, so many records wait for an earlier one, and meanwhile the feed
/// waits or drops, as its policy says. Sessions share a pipeline fairly because each is a job of its own to the scheduler,
/// and jobs of one priority take turns: a slow source holds nobody up, and a fast one takes no more than its turn.
public final class VideoSession: Sendable {
  /// What is read.
  public let source: VideoSource
  /// How.
  public let options: VideoSessionOptions
  private let service: any AnswerService
  private let feed: VideoFeed
  private let state: Mutex<VideoSessionStatus>

  /// Starts to read; nothing is asked before `run`.
  ///
  /// - Throws: what is wrong with source or options.
  public init(
    _ source: VideoSource, options: VideoSessionOptions, service: any AnswerService
  ) throws(VideoError) {
    (self.source, self.options, self.service) = (source, options, service)
    if case .clip(let count, let stride) = options.mode {
      let maximum = VideoSessionOptions.Mode.frameCountMaximum
      guard (1...maximum).contains(count), stride >= 1 else {
        throw VideoError(
          .invalidOption, cause: "a clip of \(count) frames every \(stride) cannot be asked about",
          remedy: "give 1 to \(maximum) frames, and a stride of 1 or more")
      }
      guard options.feed.duplicates == nil else {
        throw VideoError(
          .invalidOption, cause: "clips have all their frames, repeats too",
          remedy: "leave the near-duplicate rule out, or ask about single frames")
      }
    }
    feed = try VideoFeed(source, options: options.feed)
    state = Mutex(VideoSessionStatus(source: source.name))
  }

  /// How it is doing, from any thread.
  public var status: VideoSessionStatus {
    var status = state.withLock { $0 }
    // The feed knows first; its final word counts when all before it is written.
    let now = feed.status.state
    if !now.isFinal, !status.state.isFinal { status.state = now }
    return status
  }

  /// What the feed counts: frames of the source, those sampled, reconnections.
  public var feedStatus: FeedStatus { feed.status }

  /// Ends the reading; what is under way is still answered, and `run` returns.
  public func cancel() async { await feed.cancel() }

  /// Answers until the source ends. Cancelling the task gives up what is under way: of a file those frames have no
  /// record, so that a resumed run answers them; of a live source they are dropped with the cause `cancelled`.
  ///
  /// - Parameters:
  ///   - onState: hears where the source stands, in order, the last word after the last record.
  ///   - take: receives every record in order, with its frame where the options keep pictures; while it
  ///     works, nothing further is taken from the feed. When it throws, all is given up.
  /// - Returns: how the source ended.
  /// - Throws: what `take` threw.
  @discardableResult
  public func run(
    onState: (FeedState) -> Void = { _ in }, _ take: (VideoRecord, VideoFrame?) async throws -> Void
  ) async throws -> FeedState {
    let asker = VideoAsker(
      service: service, options: options,
      availability: BatchAvailability(patience: options.patience),
      job: "video-\(UUID().uuidString)")
    let reader = VideoFeedReader(feed)
    var run = VideoRun(source: source, options: options)
    do {
      try await withThrowingTaskGroup(of: VideoRun.Step.self) { group in
        while true {
          if run.wantsEvent {
            run.isPulling = true
            let options = options
            group.addTask { await Self.pull(reader, options) }
          }
          guard let step = try await group.next() else { break }
          run.receive(step)
          note(run.takeNews(), onState)
          while let preparation = run.takePreparation() {
            group.addTask { .prepared(preparation.question) }
          }
          while let question = run.takeQuestion() {
            group.addTask {
              let outcome = await asker.ask(question.images, arrival: question.arrival)
              return .outcome(question.ticket, outcome, .now)
            }
          }
          while let (record, frame) = run.takeRecord() {
            state.withLock { $0.count(record) }
            try await take(record, frame)
          }
          state.withLock { $0.underWay = run.running }
        }
      }
    } catch {
      await feed.cancel()
      throw error
    }
    let end = run.end ?? .ended(.cancelled)
    state.withLock { state in
      state.enter(end)
    }
    onState(end)
    return end
  }

  private static func pull(
    _ reader: VideoFeedReader, _ options: VideoSessionOptions
  ) async -> VideoRun.Step {
    let event = await reader.next()
    guard case .clip = options.mode, case .frame(let frame) = event else {
      return .event(event, nil)
    }
    let image = EncodedImage(
      name: "frame \(frame.number)", picture: frame.picture, side: options.pictureSide)
    return .event(event, image)
  }

  private func note(_ news: [VideoRun.News], _ onState: (FeedState) -> Void) {
    guard !news.isEmpty else { return }
    state.withLock { state in
      for item in news {
        switch item {
        // The last word comes when all before it is written.
        case .state(let new): if !new.isFinal { state.enter(new) }
        case .notice(let notice): state.note(notice.description)
        case .firstFrame(let instant): state.firstFrame = state.firstFrame ?? instant
        }
      }
    }
    for case .state(let new) in news where !new.isFinal { onState(new) }
  }
}
