import Messaging

/// How far a batch is; a value for whoever shows it.
public struct BatchProgress: Sendable, Equatable {
  /// Lines answered.
  public internal(set) var succeeded = 0
  /// Lines that ended in an error.
  public internal(set) var failed = 0
  /// Pictures of the lines answered.
  public internal(set) var imageCount = 0
  /// Bytes of the batch file whose lines have their result.
  public internal(set) var bytesDone = 0
  /// Bytes of the batch file; 0 when it is a pipe and has no size.
  public internal(set) var bytesTotal = 0
  /// Time since the first line was read.
  public internal(set) var elapsed: Duration = .zero

  /// Nothing done yet.
  public init() {}

  /// Lines that have their result.
  public var lineCount: Int { succeeded + failed }

  private var seconds: Double {
    let (seconds, attoseconds) = elapsed.components
    return Double(seconds) + Double(attoseconds) / 1e18
  }

  /// Pictures answered a second.
  public var imagesPerSecond: Double { seconds > 0 ? Double(imageCount) / seconds : 0 }

  /// The part done, 0 to 1, by bytes of the batch file; nil when the file has no size.
  public var share: Double? {
    bytesTotal > 0 ? min(Double(bytesDone) / Double(bytesTotal), 1) : nil
  }

  /// The time left if the rest goes as fast; nil at the start, or when the file has no size.
  public var secondsLeft: Double? {
    guard let share, share > 0 else { return nil }
    return seconds * (1 - share) / share
  }

  /// One line for people, such as `128 answered, 2 failed, 6.4 images/s, 1:05 left`.
  public var text: String {
    var parts = ["\(succeeded) answered"]
    if failed > 0 { parts.append("\(failed) failed") }
    parts.append("\(JSONText.number(imagesPerSecond, 1)) images/s")
    if let left = secondsLeft, lineCount > 0, share != 1 {
      parts.append("\(Self.clock(left)) left")
    }
    return parts.joined(separator: ", ")
  }

  /// The same behind a bar of `width` characters.
  public func bar(width: Int) -> String {
    guard let share else { return text }
    let filled = Int(Double(max(0, width)) * share)
    let bar =
      String(repeating: "█", count: filled)
      + String(repeating: "░", count: max(0, width - filled))
    let percent = String(Int(share * 100))
    return "\(bar) \(String(repeating: " ", count: 3 - percent.count))\(percent) %  \(text)"
  }

  /// `1:05`, or `2:03:09` from an hour on.
  static func clock(_ seconds: Double) -> String {
    let total = Int(min(max(seconds, 0), 360_000).rounded(.up))
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let (hours, minutes) = (total / 3600, total / 60 % 60)
    return hours > 0
      ? "\(hours):\(two(minutes)):\(two(total % 60))" : "\(minutes):\(two(total % 60))"
  }
}

/// How a batch ended.
public struct BatchSummary: Sendable, Equatable {
  /// The last state.
  public let progress: BatchProgress
  /// Why an annotated picture could not be written, if one could not; the results are whole.
  public let annotationFailure: Failure?
  /// The task was cancelled before all lines had been read.
  public let isInterrupted: Bool

  /// Whether every line of the file was answered.
  public var isComplete: Bool {
    progress.failed == 0 && annotationFailure == nil && !isInterrupted
  }
  /// 0 when every line was answered, 2 when some were not.
  public var exitCode: Int32 { isComplete ? 0 : 2 }
}
