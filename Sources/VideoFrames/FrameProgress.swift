/// What is known of a feed's frames from one run of the decoder to the next: numbers, times, choices.
struct FrameProgress: Sendable {
  /// A frame of the source whose bytes may come.
  struct Arriving: Sendable {
    var announcement: DecoderLog.Announcement
    var number: Int
    var pts: MediaTime
    var timeBase: TimeBase
    var isEstimated: Bool
    /// It was seen by an earlier run.
    var isOld: Bool
  }

  var sampler: Sampler
  private(set) var clock = FeedClock()
  /// Where this run's frames begin to be new.
  private(set) var after: ResumePoint?
  private var nextNumber = 0
  private var isSought = false
  private var isFirst = true
  private var timeBase = TimeBase.microsecond
  private var frameDuration: MediaTime?
  /// The last frame whose bytes have been taken care of.
  private(set) var done: ResumePoint?

  init(_ options: FeedOptions) {
    sampler = Sampler(options.sampling, resumingAfter: options.resumeAfter)
    after = options.resumeAfter
    done = options.resumeAfter
  }

  /// A run of the decoder begins, at the beginning or by a seek; it goes on behind the last frame that is done.
  mutating func begin(isSought: Bool) {
    self.isSought = isSought
    isFirst = true
    after = done
    nextNumber = isSought ? (done?.frame ?? -1) + 1 : 0
    clock.rewind(to: isSought ? done?.pts : nil)
  }

  /// A run of a live source begins, so long after its last frame: numbers and times go on.
  mutating func reconnect(after pause: Duration) {
    (isSought, isFirst, after) = (false, true, nil)
    clock.reconnected(after: pause)
  }

  /// The decoder says in which ticks it counts from now on.
  mutating func setClock(_ timeBase: TimeBase, frameDuration: MediaTime?) {
    (self.timeBase, self.frameDuration) = (timeBase, frameDuration)
  }

  /// A frame was decoded: its number and time; nil when the seek went too far.
  mutating func arrive(_ announcement: DecoderLog.Announcement) -> (Arriving, FeedNotice?)? {
    let raw = announcement.ticks.flatMap { MediaTime(ticks: $0, timeBase: timeBase) }
    defer { isFirst = false }
    if isSought, let after {
      guard let raw else { return isFirst ? nil : next(raw, announcement) }
      if raw + clock.shift <= after.pts {
        return (arriving(announcement, number: after.frame, raw, isOld: true), nil)
      }
      // The frame that is done, or one before it, must have been seen: else some between are missing.
      if isFirst { return nil }
    }
    return next(raw, announcement)
  }

  private mutating func next(
    _ raw: MediaTime?, _ announcement: DecoderLog.Announcement
  ) -> (Arriving, FeedNotice?) {
    let number = nextNumber
    nextNumber += 1
    let reading = clock.read(raw, frame: number, duration: frameDuration)
    var frame = arriving(announcement, number: number, reading.pts, isOld: false)
    frame.isEstimated = reading.isEstimated
    if let after { frame.isOld = reading.pts <= after.pts }
    return (frame, frame.isOld ? nil : reading.notice)
  }

  private func arriving(
    _ announcement: DecoderLog.Announcement, number: Int, _ pts: MediaTime, isOld: Bool
  ) -> Arriving {
    Arriving(
      announcement: announcement, number: number, pts: pts, timeBase: timeBase, isEstimated: false,
      isOld: isOld)
  }

  /// All bytes of a frame have been read, or skipped.
  mutating func finish(_ frame: Arriving) {
    guard !frame.isOld else { return }
    done = ResumePoint(frame: frame.number, pts: frame.pts)
  }
}
