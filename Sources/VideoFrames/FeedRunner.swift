import Foundation

/// The life of a feed that has a decoder, on the feed's thread: starts decoders until the source has ended or there is no hope.
struct FeedRunner {
  private let core: FeedCore
  private let decoderPath: String
  private var progress: FrameProgress
  private var complaints: Complaints
  /// Attempts, or restarts, since there were frames.
  private var attempt = 0
  private var hasBeenLive = false
  /// The last decoder that gave frames came to an end of the stream.
  private var wasClosed = false
  private var isFinite = false
  private var lastSign = ContinuousClock.now

  init(core: FeedCore, decoderPath: String) {
    self.core = core
    self.decoderPath = decoderPath
    progress = FrameProgress(core.options)
    complaints = Complaints(core.source)
  }

  /// Where a file is looked into first, before the frame that is needed: its key frame must come before, and containers
  /// find places by decoding order. What is overshot is tried from further back.
  private static let margins = [MediaTime(seconds: 2), MediaTime(seconds: 20)]

  private enum Verdict {
    case again(cause: String)
    case over(FeedState)
  }

  mutating func run() {
    core.queue.post(.state(.connecting))
    while true {
      let end = decode()
      complaints.tellLeftOut(core)
      if core.isCancelled { return core.finishCancelled() }
      switch verdict(end) {
      case .over(let state): return core.queue.post(.state(state))
      case .again(let cause):
        guard wait(cause: cause) else { return core.finishCancelled() }
      }
    }
  }

  // MARK: One decoder

  private mutating func decode() -> DecoderRun.End {
    guard !core.source.isLive, core.source.kind != .pipe, let after = progress.done else {
      return decode(from: .beginning)
    }
    for margin in Self.margins {
      let target = after.pts - margin
      guard target > .zero else { break }
      let end = decode(from: .near(target))
      if case .overshot = end { continue }
      return end
    }
    return decode(from: .beginning)
  }

  private mutating func decode(from start: DecoderCommand.Start) -> DecoderRun.End {
    let log = DecoderLog()
    if core.source.isLive {
      if hasBeenLive { progress.reconnect(after: ContinuousClock.now - lastSign) }
    } else {
      progress.begin(isSought: start != .beginning)
    }
    complaints.beginRun()
    let done = progress.done
    let command = DecoderCommand(
      source: core.source, sampling: core.options.sampling, start: start,
      after: core.source.isLive ? nil : progress.after?.pts, options: core.options, tags: log.tags)
    do throws(VideoError) {
      var run = try DecoderRun(core: core, path: decoderPath, command: command, log: log)
      let end = run.run(&progress, &complaints)
      isFinite = isFinite || run.isFinite
      if run.isLive {
        if hasBeenLive, core.source.isLive { core.queue.update { $0.reconnectionCount += 1 } }
        (hasBeenLive, lastSign) = (true, run.lastSignOfLife)
        if case .exited(.code(0)) = end { wasClosed = true } else { wasClosed = false }
        // A file's decoder that got on, however little, is no hopeless one; one that always dies at the same frame is.
        if core.source.isLive || progress.done != done { attempt = 0 }
      }
      return end
    } catch {
      return .broken(error)
    }
  }

  // MARK: What follows from its end

  private func verdict(_ end: DecoderRun.End) -> Verdict {
    let cause: String
    let code: VideoError.Code
    switch end {
    case .cancelled: return .over(.ended(.cancelled))
    case .broken(let error): return .over(.failed(error))
    case .overshot:
      return .over(.failed(FrameAssembly.broken("a seek to the beginning goes past it")))
    case .stalled(let quiet):
      code = .stalled
      cause = "nothing came for \(MediaTime(quiet).seconds.rounded()) s"
    case .exited(.code(let status)) where status != 255:
      if let state = orderlyEnd(status) { return .over(state) }
      code = .disconnected
      cause =
        status == 0 ? "the source closed the stream" : "the decoder stopped: \(complaints.summary)"
    case .exited(let exit):
      code = core.source.isLive ? .disconnected : .decoderDied
      cause = "the decoder was killed (\(Self.name(exit))): \(complaints.summary)"
    }
    let limit = core.source.isLive ? core.options.attemptLimit : core.options.restartLimit
    // What never came is no stream that was cut off, and what was piped in is gone.
    let isHopeless = core.source.isLive && !hasBeenLive || core.source.kind == .pipe
    guard isHopeless || attempt >= limit else { return .again(cause: cause) }
    if wasClosed, core.source.isLive { return .over(.ended(.closed)) }
    return .over(.failed(failure(code, cause)))
  }

  /// The state after a decoder that ended by itself, unless there is more to try.
  private func orderlyEnd(_ status: Int32) -> FeedState? {
    let isStream = core.source.isLive && !isFinite
    guard hasBeenLive else { return .failed(neverBegan(status)) }
    guard !isStream else { return nil }
    guard status != 0 else { return .ended(.complete) }
    return .failed(
      VideoError(
        .unreadable, cause: "'\(core.source.name)' can be read only in part: \(complaints.summary)",
        remedy: "repair the video (ffmpeg -i it -c copy another), or use what was read"))
  }

  private func neverBegan(_ status: Int32) -> VideoError {
    let (name, words) = (core.source.name, complaints.summary)
    func error(_ code: VideoError.Code, _ cause: String, _ remedy: String) -> VideoError {
      VideoError(code, cause: "'\(name)' \(cause): \(words)", remedy: remedy)
    }
    if words.contains("matches no streams") {
      return error(.noVideo, "has no video", "name a file or stream with a video track")
    }
    // ffmpeg's own limit, and ours.
    if ["Picture size", "max pixel count", "too large"].contains(where: words.contains) {
      return error(.tooLarge, "has larger frames than are read", "scale the video down")
    }
    if words.contains("not on whitelist") || words.contains("not allowed") {
      return error(
        .protocolNotAllowed, "leads to something that isn't opened",
        "name the stream itself; playlists and redirects are not followed")
    }
    if core.source.isLive {
      return error(
        .disconnected, "gives no frames", "check the address, and that something is sent there")
    }
    if status == 0 { return error(.empty, "has no frames", "send the video again, whole") }
    return error(
      .unreadable, "is no video that can be read", "send it again, whole, or convert it with ffmpeg"
    )
  }

  private func failure(_ code: VideoError.Code, _ cause: String) -> VideoError {
    let name = core.source.name
    let tries = attempt == 0 ? "" : " (tried again \(attempt) times)"
    switch code {
    case .stalled, .disconnected:
      return VideoError(
        code, cause: "'\(name)': \(cause)\(tries)",
        remedy: "check the source and the network, or allow more attempts")
    default:
      return VideoError(
        code, cause: "'\(name)': \(cause)\(tries)",
        remedy: "see whether memory ran out (dmesg); resume after the last frame")
    }
  }

  private static func name(_ exit: ChildProcess.Exit) -> String {
    switch exit {
    case .code(let code): "exit status \(code)"
    case .signal(let signal): "signal \(signal)"
    }
  }

  // MARK: Trying again

  /// Waits before the next attempt; false when the feed was cancelled meanwhile.
  private mutating func wait(cause: String) -> Bool {
    attempt += 1
    let delay = core.source.isLive ? backoff : .zero
    core.queue.post(.state(.reconnecting(attempt: attempt, delay: delay, cause: cause)))
    let deadline = ContinuousClock.now + delay
    while !core.isCancelled {
      let rest = deadline - ContinuousClock.now
      guard rest > .zero else { break }
      core.pause(rest)
    }
    if !core.source.isLive, let done = progress.done {
      core.queue.post(.notice(.resumed(after: done.pts)))
    }
    return !core.isCancelled
  }

  /// Doubled each time, and up to a fifth shorter: cameras behind one switch shall not all come back at once.
  private var backoff: Duration {
    let options = core.options
    let doubled = options.backoffFirst * Double(1 << min(attempt - 1, 20))
    return min(doubled, options.backoffMaximum) * Double.random(in: 0.8...1)
  }
}
