import Foundation

/// Writes answers as subtitles: each is shown until the next one.
///
/// The file is valid after every call: cues are written whole, with the empty line that ends them, by one `write`. The last
/// answer is written by `finish()`. Not for several threads.
public final class SubtitleWriter {
  /// Where it writes.
  public let path: String
  private let format: SubtitleFormat
  private let longest: MediaTime
  private let origin: MediaTime
  private let handle: FileHandle
  private var pending: SubtitleCue?
  private var cueCount = 0
  private var lastEnd: MediaTime?

  /// Opens the file; what is in it is thrown away.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - format: nil takes the form from the file's ending.
  ///   - origin: the time that is 0:00:00 in the file; a live source's first timestamp, say.
  ///   - longest: no cue is shown for longer.
  /// - Throws: `invalid_option` for an unknown ending, `unwritable`.
  public init(
    path: String, format: SubtitleFormat? = nil, origin: MediaTime = .zero,
    longest: MediaTime = MediaTime(seconds: 10)
  ) throws(VideoError) {
    guard let format = format ?? SubtitleFormat(path: path) else {
      throw VideoError(
        .invalidOption, cause: "'\(path)' is no name for subtitles",
        remedy: "end it in .vtt or .srt")
    }
    self.path = path
    self.format = format
    self.longest = max(longest, MediaTime(nanoseconds: 1_000_000))
    self.origin = origin
    handle = try SubtitleFile.open(path: path)
    try write(format.header)
  }

  /// The answer at a time; shown until the next, or for `longest`. An empty text shows nothing.
  ///
  /// The same text as before goes on. A time that is not after the one before is moved behind it: cues never overlap.
  ///
  /// - Throws: `unwritable`.
  public func append(at time: MediaTime, text: String) throws(VideoError) {
    let start = max(time - origin, pending?.start ?? .zero, lastEnd ?? .zero)
    if var pending {
      let isGoingOn = pending.text == text && start <= pending.end
      if isGoingOn {
        pending.end = start + longest
        self.pending = pending
        return
      }
      pending.end = min(pending.end, start)
      self.pending = nil
      try write(pending)
    }
    guard text.contains(where: { !$0.isWhitespace }) else { return }
    let clear = max(start, lastEnd ?? start)
    pending = SubtitleCue(start: clear, end: clear + longest, text: text)
  }

  /// Writes the last cue and closes the file.
  ///
  /// - Parameter end: when the video ends, where it is known.
  /// - Throws: `unwritable`.
  public func finish(at end: MediaTime? = nil) throws(VideoError) {
    if var pending {
      if let end { pending.end = min(pending.end, max(end - origin, pending.start)) }
      self.pending = nil
      try write(pending)
    }
    do { try handle.close() } catch { throw SubtitleFile.unwritable(path, "\(error)") }
  }

  private func write(_ cue: SubtitleCue) throws(VideoError) {
    // A player drops a cue that ends where it begins; times are whole milliseconds in both forms.
    var cue = cue
    cue.end = max(cue.end, cue.start + MediaTime(nanoseconds: 1_000_000))
    cueCount += 1
    lastEnd = cue.end
    try write(format.cue(cue, number: cueCount))
  }

  private func write(_ text: String) throws(VideoError) {
    do { try handle.write(contentsOf: Data(text.utf8)) } catch {
      throw SubtitleFile.unwritable(path, "\(error)")
    }
  }
}
