import Imaging
import Messaging
import VideoFrames

/// The state of a session that runs, as a value: events and outcomes in, questions and records out.
struct VideoRun {
  /// What happens.
  enum Step: Sendable {
    /// The feed's next event, and the frame made ready for clips: it stands in several.
    case event(FeedEvent?, EncodedImage?)
    /// The picture of the question with this ticket is as small as the model wants it.
    case prepared(Question)
    /// What became of the question with this ticket, and when.
    case outcome(Int, VideoAsker.Outcome, ContinuousClock.Instant)
  }
  /// Something for the session's status.
  enum News { case state(FeedState), notice(FeedNotice), firstFrame(ContinuousClock.Instant) }
  /// Something to ask.
  struct Question: Sendable {
    let ticket: Int
    let arrival: ContinuousClock.Instant
    let images: [EncodedImage]
  }
  /// A frame to make a question of; its own task does it, so that several are shrunk at once.
  struct Preparation: Sendable {
    fileprivate let ticket: Int
    fileprivate let frame: VideoFrame
    fileprivate let side: Int?

    /// Shrinks the picture.
    var question: Question {
      let image = EncodedImage(name: "frame \(frame.number)", picture: frame.picture, side: side)
      return Question(ticket: ticket, arrival: frame.arrival, images: [image])
    }
  }
  private struct Entry {
    var record: VideoRecord
    var frame: VideoFrame?
    let arrival: ContinuousClock.Instant?
    /// The earlier frame whose answer stands for this one.
    var repeats: Int?
    var isReady = false
    /// The session ended before its answer.
    var isAbandoned = false
  }
  private struct ClipFrame {
    let number: Int
    let pts: MediaTime
    let image: EncodedImage
  }

  private let source: VideoSource
  private let options: VideoSessionOptions
  /// A task waits for the feed's next event.
  var isPulling = false
  /// Questions under way.
  private(set) var running = 0
  /// How the feed ended.
  private(set) var end: FeedState?
  private var entries: [Entry] = []
  /// The ticket of the first entry.
  private var firstTicket = 0
  private var questions: [Question] = []
  private var preparations: [Preparation] = []
  /// Preparations under way.
  private var preparing = 0
  private var news: [News] = []
  /// Drops that were told before an older frame.
  private var held: [FrameDrop] = []
  /// What became of the last frames, for those that repeat them.
  private var known: [Int: VideoRecord.Outcome] = [:]
  private var knownOrder: [Int] = []
  /// Frames that were asked about in place of one that had no answer.
  private var stand: [Int: Int] = [:]
  private var clip: [ClipFrame] = []
  private var framesSinceClip = 0
  private var hasAskedClip = false
  private var isGivingUp = false

  init(source: VideoSource, options: VideoSessionOptions) {
    (self.source, self.options) = (source, options)
  }

  /// Whether there is room for one frame more: few whole pictures are in memory, and more small ones, which keep the pipeline fed.
  var wantsEvent: Bool {
    let unprepared = preparing + preparations.count
    return !isPulling && end == nil && unprepared < JobLimits.videoPreparations
      && unprepared + running + questions.count < options.window
      && entries.count < options.window + JobLimits.videoUnfinishedCount
  }

  mutating func takeNews() -> [News] {
    defer { news = [] }
    return news
  }

  mutating func takeQuestion() -> Question? {
    guard !questions.isEmpty else { return nil }
    running += 1
    return questions.removeFirst()
  }

  mutating func takePreparation() -> Preparation? {
    guard !preparations.isEmpty else { return nil }
    preparing += 1
    return preparations.removeFirst()
  }

  mutating func receive(_ step: Step) {
    switch step {
    case .event(let event, let image):
      isPulling = false
      receive(event, image)
    case .prepared(let question):
      preparing -= 1
      questions.append(question)
    case .outcome(let ticket, let outcome, let instant):
      running -= 1
      finish(ticket - firstTicket, outcome, instant)
    }
  }

  private mutating func receive(_ event: FeedEvent?, _ image: EncodedImage?) {
    switch event {
    case .state(let state):
      news.append(.state(state))
      if state.isFinal { close(state) }
    case .notice(let notice): news.append(.notice(notice))
    case .drop(let drop): held.append(drop)
    case .frame(let frame):
      news.append(.firstFrame(frame.arrival))
      release(before: frame.number)
      add(frame, image)
    case nil: if end == nil { close(.ended(.cancelled)) }
    }
  }

  private mutating func close(_ state: FeedState) {
    end = state
    if case .clip = options.mode, state != .ended(.cancelled) { askAboutRest() }
    decideLast()
    release(before: .max)
  }

  /// Records of dropped frames that are older than `number`.
  private mutating func release(before number: Int) {
    let older = held.filter { $0.number < number }.sorted { $0.number < $1.number }
    guard !older.isEmpty else { return }
    held.removeAll { $0.number < number }
    decideLast()
    for drop in older {
      var record = record(drop.number, drop.pts)
      record.outcome = .dropped(drop.cause.name)
      entries.append(Entry(record: record, frame: nil, arrival: nil, isReady: true))
    }
  }

  private func record(_ number: Int, _ pts: MediaTime) -> VideoRecord {
    VideoRecord(source: source.name, frame: number, pts: pts, outcome: .collected)
  }

  private mutating func add(_ frame: VideoFrame, _ image: EncodedImage?) {
    var entry = Entry(
      record: record(frame.number, frame.pts), frame: options.keepsPictures ? frame : nil,
      arrival: frame.arrival)
    switch options.mode {
    case .frame:
      if let earlier = frame.repeatedFrame {
        let reference = stand[earlier] ?? earlier
        switch known[reference] {
        // Under way, or answered: its answer stands.
        case nil, .answered, .repeated, .collected:
          entry.repeats = reference
          entry.isReady = true
          return entries.append(entry)
        // It has none: this frame is asked about in its place, and for those to come.
        case .dropped, .failed:
          if stand.count >= JobLimits.videoAnswerCount { stand = [:] }
          stand[earlier] = frame.number
        }
      }
      entries.append(entry)
      preparations.append(
        Preparation(ticket: lastTicket, frame: frame, side: options.pictureSide))
    case .clip(let count, let stride):
      decideLast()
      clip.append(
        ClipFrame(
          number: frame.number, pts: frame.pts,
          image: image ?? EncodedImage(name: "frame \(frame.number)", picture: frame.picture)))
      if clip.count > count { clip.removeFirst() }
      framesSinceClip += 1
      entries.append(entry)
      if clip.count == count, !hasAskedClip || framesSinceClip >= stride { askAboutClip() }
    }
  }

  private var lastTicket: Int { firstTicket + entries.count - 1 }

  /// Asks about the clip that the last entry ends.
  private mutating func askAboutClip() {
    guard let first = clip.first, let last = clip.last, let arrival = entries.last?.arrival else {
      return
    }
    (framesSinceClip, hasAskedClip) = (0, true)
    entries[entries.count - 1].record.clip = VideoRecord.Clip(
      frames: clip.map(\.number), from: first.pts, to: last.pts)
    var images = clip.map(\.image)
    // Boxes are for the frame that bears the answer, which may have another size than the first.
    images[0].originalSize = images[images.count - 1].originalSize
    questions.append(Question(ticket: lastTicket, arrival: arrival, images: images))
  }

  /// The frames at the end that no clip has asked about yet.
  private mutating func askAboutRest() {
    guard framesSinceClip > 0, let last = entries.last, last.record.frame == clip.last?.number,
      last.record.clip == nil
    else { return }
    askAboutClip()
  }

  /// In clips, the last frame may still end one when nothing comes behind it; now something has.
  private mutating func decideLast() {
    guard case .clip = options.mode, let last = entries.last, !last.isReady,
      last.record.clip == nil
    else { return }
    entries[entries.count - 1].isReady = true
  }

  private mutating func finish(
    _ index: Int, _ outcome: VideoAsker.Outcome, _ instant: ContinuousClock.Instant
  ) {
    guard entries.indices.contains(index) else { return }
    let arrival = entries[index].arrival ?? instant
    entries[index].isReady = true
    switch outcome {
    // The deadline bounds the work, not the way back from it.
    case .answered where instant - arrival > options.budget ?? .seconds(86_400 * 365):
      entries[index].record.outcome = .dropped("stale")
    case .answered(let answer):
      entries[index].record.latency = instant - arrival
      entries[index].record.outcome = .answered(answer)
    case .stale: entries[index].record.outcome = .dropped("stale")
    case .failed(let failure): entries[index].record.outcome = .failed(failure)
    case .cancelled:
      entries[index].record.outcome = .dropped("cancelled")
      entries[index].isAbandoned = source.isRepeatable
    }
  }

  /// The next record whose turn it is.
  mutating func takeRecord() -> (VideoRecord, VideoFrame?)? {
    guard !isGivingUp, var entry = entries.first, entry.isReady else { return nil }
    guard !entry.isAbandoned else { isGivingUp = true; return nil }
    if let reference = entry.repeats {
      switch known[reference] {
      case .answered(let answer), .repeated(_, let answer):
        entry.record.outcome = .repeated(frame: reference, answer)
      case .dropped(let cause): entry.record.outcome = .dropped(cause)
      case .failed(let failure): entry.record.outcome = .failed(failure)
      case .collected, nil:
        entry.record.outcome = .failed(
          Failure(
            code: "internal", message: "frame \(reference), which this one repeats, is not known"))
      }
      if let arrival = entry.arrival { entry.record.latency = .now - arrival }
    } else {
      remember(entry.record)
    }
    entries.removeFirst()
    firstTicket += 1
    return (entry.record, entry.frame)
  }

  private mutating func remember(_ record: VideoRecord) {
    guard options.feed.duplicates != nil else { return }
    // A reference may be old when a scene stands still: what was asked about is what counts, not what was seen.
    if case .dropped(let cause) = record.outcome, cause != "stale" { return }
    known[record.frame] = record.outcome
    knownOrder.append(record.frame)
    if knownOrder.count > JobLimits.videoAnswerCount {
      known[knownOrder.removeFirst()] = nil
    }
  }
}
