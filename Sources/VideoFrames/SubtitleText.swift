import Foundation

/// A text shown for a while.
public struct SubtitleCue: Sendable, Equatable {
  /// When it appears.
  public var start: MediaTime
  /// When it is gone.
  public var end: MediaTime
  /// What it says; several lines are fine.
  public var text: String

  /// A cue.
  public init(start: MediaTime, end: MediaTime, text: String) {
    (self.start, self.end, self.text) = (start, end, text)
  }
}

/// A form of subtitle file.
public enum SubtitleFormat: String, Sendable, CaseIterable {
  /// WebVTT, for browsers and most players.
  case webVTT = "vtt"
  /// SubRip.
  case subRip = "srt"

  /// The form that a file's name asks for by its ending; nil for another ending.
  public init?(path: String) {
    self.init(rawValue: (path as NSString).pathExtension.lowercased())
  }

  /// What a file begins with.
  var header: String { self == .webVTT ? "WEBVTT\n\n" : "" }

  /// One cue, ending in an empty line. Numbers count from 1.
  func cue(_ cue: SubtitleCue, number: Int) -> String {
    let lines = cue.text.split(whereSeparator: \.isNewline).map(String.init)
      // An empty line would end the cue.
      .filter { $0.contains { !$0.isWhitespace } }
    let text = lines.map(escaped).joined(separator: "\n")
    return "\(number)\n\(time(cue.start)) --> \(time(cue.end))\n\(text)\n\n"
  }

  private func escaped(_ line: String) -> String {
    let printable = String(String.UnicodeScalarView(line.unicodeScalars.filter { $0.value >= 32 }))
    switch self {
    case .webVTT:
      // `-->` inside a cue would be a time line; the escaped `>` can't be one.
      return printable.replacingOccurrences(of: "&", with: "&amp;")
        .replacingOccurrences(of: "<", with: "&lt;").replacingOccurrences(of: ">", with: "&gt;")
    case .subRip:
      // SubRip has no escapes, and players take `<b>` and `{\an8}` for markup: look-alikes.
      return printable.replacingOccurrences(of: "-->", with: "→")
        .replacingOccurrences(of: "<", with: "‹").replacingOccurrences(of: ">", with: "›")
        .replacingOccurrences(of: "{\\", with: "{ \\")
    }
  }

  /// Hours, minutes, seconds and milliseconds, rounded down; hours have as many digits as they need.
  func time(_ time: MediaTime) -> String {
    let milliseconds = max(0, time.nanoseconds) / 1_000_000
    func padded(_ value: Int64, _ count: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, count - digits.count)) + digits
    }
    let seconds = milliseconds / 1000
    let clock = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { padded($0, 2) }
    return clock.joined(separator: ":") + (self == .webVTT ? "." : ",")
      + padded(milliseconds % 1000, 3)
  }
}
