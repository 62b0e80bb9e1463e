import Foundation
import Imaging

/// One decoder from its start to its end, on the feed's thread: it waits for bytes, for announcements, and to be woken.
struct DecoderRun: ~Copyable {
  /// How it ended. The child is reaped.
  enum End: Sendable {
    case cancelled
    case exited(ChildProcess.Exit)
    /// Nothing came for so long.
    case stalled(Duration)
    /// What it said contradicts what it wrote.
    case broken(VideoError)
    /// The seek went past frames that are needed.
    case overshot
  }

  private let core: FeedCore
  private var child: ChildProcess
  private var log: DecoderLog
  private var assembly: FrameAssembly
  private var recent: [FrameProgress.Arriving] = []
  private var hasErrors = true
  private var lastSign = ContinuousClock.now
  private var isStalled = false
  private var isOvershot = false
  /// True when the container has an end.
  private(set) var isFinite = false
  /// True after the first frame.
  private(set) var isLive = false

  init(core: FeedCore, path: String, command: DecoderCommand, log: DecoderLog) throws(VideoError) {
    self.core = core
    self.log = log
    assembly = FrameAssembly(core: core)
    child = try ChildProcess(
      path, command.arguments, input: command.source.kind == .pipe ? .inherited(0) : .null)
  }

  /// When the last sign of life came.
  var lastSignOfLife: ContinuousClock.Instant { lastSign }

  /// Reads until the end.
  mutating func run(_ progress: inout FrameProgress, _ complaints: inout Complaints) -> End {
    core.queue.update { [process = child.processID] in $0.decoderProcessID = process }
    let end = pump(&progress, &complaints)
    if case .exited = end {} else { child.kill() }
    assembly.abandon(&progress)
    let exit = finish(&progress, &complaints)
    core.queue.update { $0.decoderProcessID = nil }
    if case .exited = end { return .exited(exit) }
    return end
  }

  private mutating func pump(
    _ progress: inout FrameProgress, _ complaints: inout Complaints
  ) -> End {
    while true {
      guard !core.isCancelled else { return .cancelled }
      let isReading = assembly.isBusy || core.queue.reception != .wait
      if !isReading { lastSign = .now }
      var watched = [
        pollfd(fd: core.queue.wakeup, events: Int16(POLLIN), revents: 0),
        pollfd(
          fd: hasErrors && !assembly.isFull ? child.errors : -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: isReading ? child.output : -1, events: Int16(POLLIN), revents: 0),
      ]
      poll(&watched, 3, (isReading ? remaining : .seconds(60)).pollMilliseconds)
      if watched[0].revents != 0 { core.queue.clearWakeup() }
      // Always first: a frame is announced before its bytes are written.
      if !assembly.isFull { readErrors(&progress, &complaints) }
      if isOvershot { return .overshot }
      if watched[2].revents != 0 {
        switch readOutput(&progress) {
        case .open: break
        case .closed: return .exited(.code(0))
        case .broken(let error): return .broken(error)
        }
      }
      if isReading, let silence = silence() { return .stalled(silence) }
    }
  }

  /// How long to wait for the next sign of life before something must be said or done.
  private var remaining: Duration {
    let options = core.options
    let limit =
      !isLive
      ? options.connectTimeout
      : isStalled ? options.stallTimeout : min(options.stallLimit, options.stallTimeout)
    return max(.milliseconds(1), limit - (ContinuousClock.now - lastSign))
  }

  /// Tells of a stall; how long it has been quiet when that is too long.
  private mutating func silence() -> Duration? {
    let options = core.options
    let quiet = ContinuousClock.now - lastSign
    if quiet >= (isLive ? options.stallTimeout : options.connectTimeout) { return quiet }
    if isLive, !isStalled, quiet >= options.stallLimit {
      isStalled = true
      core.queue.post(.state(.stalled(for: quiet)))
    }
    return nil
  }

  private mutating func sign() {
    lastSign = .now
    if !isLive || isStalled { core.queue.post(.state(.live)) }
    (isLive, isStalled) = (true, false)
  }

  /// Takes whatever the decoder has said.
  private mutating func readErrors(
    _ progress: inout FrameProgress, _ complaints: inout Complaints
  ) {
    var items: [DecoderLog.Item] = []
    withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
      while hasErrors, let base = buffer.baseAddress {
        let count = read(child.errors, base, buffer.count)
        if count == 0 { hasErrors = false }
        guard count > 0 else { break }
        log.read(UnsafeRawBufferPointer(start: base, count: count)) { items.append($0) }
      }
    }
    for item in items {
      switch item {
      case .clock(let timeBase, let duration): progress.setClock(timeBase, frameDuration: duration)
      case .finite: isFinite = true
      case .complaint(let text, let isError): complaints.add(text, isError: isError, core)
      case .frame(let place, let announcement): take(place, announcement, &progress)
      case .colours(.selected, let isFullRange, let red, let blue):
        assembly.amend(isFullRange: isFullRange, redWeight: red, blueWeight: blue)
      case .colours(.decoded, _, _, _): break
      }
    }
  }

  private mutating func take(
    _ place: DecoderLog.Place, _ announcement: DecoderLog.Announcement,
    _ progress: inout FrameProgress
  ) {
    switch place {
    case .decoded:
      guard let (frame, notice) = progress.arrive(announcement) else {
        isOvershot = true
        return
      }
      sign()
      if let notice { core.queue.post(.notice(notice)) }
      core.queue.update {
        $0.sourceFrameCount = max($0.sourceFrameCount, frame.number + 1)
        if !frame.isOld { $0.newestPTS = frame.pts }
      }
      if recent.count >= VideoLimits.recentFrameCount { recent.removeFirst() }
      recent.append(frame)
    case .selected:
      // Frames pass the filters one by one, so it is the newest; an older one with its time if ever not.
      let index =
        recent.lastIndex { $0.announcement.isSameFrame(as: announcement) } ?? recent.indices.last
      guard let index else { return }
      var frame = recent[index]
      frame.announcement = announcement
      recent.removeSubrange(...index)
      assembly.expect(frame)
    }
  }

  private mutating func readOutput(_ progress: inout FrameProgress) -> FrameAssembly.Reading {
    let reading = assembly.read(from: child.output, &progress)
    lastSign = .now
    return reading
  }

  /// Hears the last words and waits for the end.
  private mutating func finish(
    _ progress: inout FrameProgress, _ complaints: inout Complaints
  ) -> ChildProcess.Exit {
    let exit = child.wait()
    var nothing = progress
    readErrors(&nothing, &complaints)
    return exit
  }
}
