import Foundation
import Synchronization

/// What the feed, its iterator and its thread share.
final class FeedCore: Sendable {
  let source: VideoSource
  let options: FeedOptions
  let queue: FrameQueue
  /// The decoder's file; empty for pictures.
  private let decoderPath: String
  private let pictures: [String]
  private let progress = Mutex(Progress())

  private struct Progress {
    var isCancelled = false
    var isStopped = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  init(_ source: VideoSource, _ options: FeedOptions) throws(VideoError) {
    self.source = source
    self.options = options
    try options.check(for: source)
    let isFreshest = options.sampling == .freshest
    let policy = isFreshest ? .dropOldest : options.policy ?? (source.isLive ? .dropOldest : .wait)
    let capacity = options.bufferedFrameCount ?? (isFreshest ? 1 : VideoLimits.bufferedFrameCount)
    queue = try FrameQueue(policy: policy, frameCapacity: capacity)
    pictures = source.kind == .pictures ? try PictureFiles.list(source) : []
    decoderPath = source.kind == .pictures ? "" : try ChildProcess.find(options.decoder)
    guard source.kind == .file || source.kind == .device else { return }
    var status = stat()
    guard stat(source.address, &status) == 0, access(source.address, R_OK) == 0 else {
      throw VideoError(
        .notFound, cause: "'\(source.name)' can't be read: \(String(cString: strerror(errno)))",
        remedy: source.kind == .device
          ? "connect the camera (v4l2-ctl --list-devices shows those there are), and be in the group 'video'"
          : "name a file that is there and may be read")
    }
    guard source.kind == .device || status.st_size > 0 || status.st_mode & S_IFMT != S_IFREG else {
      throw VideoError(
        .empty, cause: "'\(source.name)' has no bytes", remedy: "send the file again, whole")
    }
  }

  var isCancelled: Bool { progress.withLock(\.isCancelled) }

  /// Starts the thread. It owns the child: the kernel ties the child's life to this very thread.
  func start() {
    let thread = Thread { [self] in
      if source.kind == .pictures {
        PictureRunner(core: self, files: pictures).run()
      } else {
        var runner = FeedRunner(core: self, decoderPath: decoderPath)
        runner.run()
      }
      let waiters = progress.withLock { progress in
        progress.isStopped = true
        defer { progress.waiters = [] }
        return progress.waiters
      }
      for waiter in waiters { waiter.resume() }
    }
    thread.name = "video"
    thread.start()
  }

  /// Asks the thread to stop; returns at once.
  func requestCancel() {
    progress.withLock { $0.isCancelled = true }
    queue.wake()
  }

  /// Returns when the thread has reaped its child and ended.
  func waitUntilStopped() async {
    await withCheckedContinuation { continuation in
      let isStopped = progress.withLock { progress in
        if !progress.isStopped { progress.waiters.append(continuation) }
        return progress.isStopped
      }
      if isStopped { continuation.resume() }
    }
  }

  /// The end after a cancellation: what waits is thrown away.
  func finishCancelled() {
    queue.discard()
    queue.post(.state(.ended(.cancelled)))
  }

  /// Waits on the thread until the queue may have changed or a time is over.
  func pause(_ duration: Duration?) {
    var watched = [pollfd(fd: queue.wakeup, events: Int16(POLLIN), revents: 0)]
    poll(&watched, 1, duration?.pollMilliseconds ?? -1)
    queue.clearWakeup()
  }
}

extension Duration {
  /// For `poll`: rounded up, at most a minute, so that a clock that goes wrong can't hang a thread.
  var pollMilliseconds: Int32 {
    let (seconds, attoseconds) = components
    guard seconds < 60 else { return 60_000 }
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return Int32(seconds * 1000)
      + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}

extension FeedOptions {
  /// Refuses options that make no sense.
  func check(for source: VideoSource) throws(VideoError) {
    func refuse(_ cause: String, _ remedy: String) -> VideoError {
      VideoError(.invalidOption, cause: cause, remedy: remedy)
    }
    if sampling == .freshest && !source.isLive {
      throw refuse("'freshest' is for live sources", "sample a file with all, 10, 0.5s or scene")
    }
    if resumeAfter != nil && source.isLive {
      throw refuse("a live source can't be resumed", "leave the resume point out")
    }
    if let count = bufferedFrameCount, !(1...VideoLimits.bufferedFrameCountMaximum).contains(count)
    {
      throw refuse(
        "\(count) buffered frames", "ask for 1 to \(VideoLimits.bufferedFrameCountMaximum)")
    }
    guard picturesPerSecond.isFinite, (1e-5...1000).contains(picturesPerSecond) else {
      throw refuse("\(picturesPerSecond) pictures per second", "ask for 0.00001 to 1000")
    }
    let times = [stallLimit, stallTimeout, connectTimeout, backoffFirst, backoffMaximum]
    guard times.allSatisfy({ $0 > .zero }), attemptLimit >= 0, restartLimit >= 0 else {
      throw refuse("a limit below zero", "ask for times above 0, and counts of at least 0")
    }
    guard (0...64).contains(decoderThreadCount) else {
      throw refuse("\(decoderThreadCount) decoder threads", "ask for 0 (all cores) to 64")
    }
    switch sampling {
    case .everyFrames(let count) where !(1...VideoLimits.samplingFrameCount).contains(count):
      throw refuse("every \(count)th frame", "ask for 1 to \(VideoLimits.samplingFrameCount)")
    case .every(let period) where !VideoLimits.samplingPeriods.contains(period):
      throw refuse("a frame every \(period) s", "ask for a millisecond to a day")
    case .sceneChange(let difference) where !(0...1).contains(difference):
      throw refuse("a scene change of \(difference)", "ask for 0 to 1")
    default: break
    }
  }
}
