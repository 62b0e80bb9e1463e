/// What the decoder complains of: told as notices, not too many, and kept as its last words.
struct Complaints: Sendable {
  private let source: VideoSource
  private var lastWords: [String] = []
  private var lastErrors: [String] = []
  private var windowStart = ContinuousClock.now
  private var toldCount = 0
  private var leftOutCount = 0

  init(_ source: VideoSource) { self.source = source }

  /// The end of what it said: errors if there were any, else warnings.
  var summary: String {
    let words = lastErrors.isEmpty ? lastWords : lastErrors
    return words.isEmpty ? "it said nothing" : words.joined(separator: "; ")
  }

  /// Forgets the last words, for a new run.
  mutating func beginRun() { (lastWords, lastErrors) = ([], []) }

  mutating func add(_ raw: String, isError: Bool, _ core: FeedCore) {
    let text = String(Redaction.text(raw, source: source).prefix(VideoLimits.complaintByteCount))
    if isError { Self.keep(text, in: &lastErrors) } else { Self.keep(text, in: &lastWords) }
    guard isError else { return }
    if ContinuousClock.now - windowStart > .seconds(60) {
      tellLeftOut(core)
      (windowStart, toldCount) = (.now, 0)
    }
    if toldCount < VideoLimits.complaintsPerMinute {
      toldCount += 1
      core.queue.post(.notice(.decoderMessage(text)))
    } else {
      leftOutCount += 1
    }
  }

  /// Says how many were not told, if any.
  mutating func tellLeftOut(_ core: FeedCore) {
    if leftOutCount > 0 { core.queue.post(.notice(.decoderMessagesLeftOut(leftOutCount))) }
    leftOutCount = 0
  }

  private static func keep(_ text: String, in list: inout [String]) {
    guard list.last != text else { return }
    if list.count >= VideoLimits.lastWordCount { list.removeFirst() }
    list.append(text)
  }
}
