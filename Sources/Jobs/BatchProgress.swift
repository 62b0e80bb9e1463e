import Messaging

/// How far a batch is; a value for whoever shows it.
public struct BatchProgress: Sendable, Equatable {
  /// Requests answered, in this run and earlier ones.
  public internal(set) var succeeded = 0
  /// Requests that ended in an error, in this run and earlier ones.
  public internal(set) var failed = 0
  /// Requests that had their result when this run began.
  public internal(set) var earlierCount = 0
  /// Pictures of the requests that this run answered.
  public internal(set) var imageCount = 0
  /// Tokens that this run generated.
  public internal(set) var tokenCount = 0
  /// Failures of this run by code; codes beyond `JobLimits.failureKindCount` count as `other`.
  public internal(set) var failures: [String: Int] = [:]
  /// Bytes of the batch file whose requests have their results.
  public internal(set) var bytesDone = 0
  /// The same when this run began.
  public internal(set) var bytesBefore = 0
  /// Bytes of the batch file; 0 when it is a pipe and has no size.
  public internal(set) var bytesTotal = 0
  /// Time since this run began.
  public internal(set) var elapsed: Duration = .zero
  /// What the service fails with for now, while the run waits for it.
  public internal(set) var outage: Failure?

  /// Nothing done yet.
  public init() {}

  /// Requests that have their result.
  public var lineCount: Int { succeeded + failed }

  private var seconds: Double { elapsed / .seconds(1) }

  /// Pictures that this run answers a second.
  public var imagesPerSecond: Double { seconds > 0 ? Double(imageCount) / seconds : 0 }

  /// Tokens that this run generates a second.
  public var tokensPerSecond: Double { seconds > 0 ? Double(tokenCount) / seconds : 0 }

  /// The part done, 0 to 1, by bytes of the batch file; nil when the file has no size.
  public var share: Double? {
    bytesTotal > 0 ? min(Double(bytesDone) / Double(bytesTotal), 1) : nil
  }

  /// The time left if the rest goes as fast as this run did; nil at its start, or when the file has no
  /// size.
  public var secondsLeft: Double? {
    guard bytesTotal > 0, bytesDone > bytesBefore else { return nil }
    let left = max(0, bytesTotal - bytesDone)
    return seconds * Double(left) / Double(bytesDone - bytesBefore)
  }

  /// About how many requests are left, if the rest of the file has lines as long as those that are done.
  public var countLeft: Int? {
    guard bytesTotal > 0, bytesDone > 0, lineCount > 0 else { return nil }
    let left = Double(max(0, bytesTotal - bytesDone)) * Double(lineCount) / Double(bytesDone)
    return Int(min(left, 1e15).rounded(.up))
  }

  /// One line for people, such as `128 answered, 2 failed, about 400 left, 6.4 images/s, 1:05 left`.
  public var text: String {
    var parts = ["\(succeeded) answered"]
    if failed > 0 { parts.append("\(failed) failed") }
    if let countLeft, countLeft > 0 { parts.append("about \(countLeft) left") }
    parts.append("\(JSONText.number(imagesPerSecond, 1)) images/s")
    if let left = secondsLeft, share != 1 { parts.append("\(Self.clock(left)) to go") }
    if let outage { parts.append("waiting (\(outage.code))") }
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

  /// Counts one result of a line with so many bytes.
  mutating func add(_ result: BatchResult, byteCount: Int) {
    bytesDone += byteCount
    switch result.outcome {
    case .success(let answer):
      succeeded += 1
      imageCount += answer.imageSizes.count
      tokenCount += result.answers.reduce(0) { $0 + $1.completionTokens }
    case .failure(let failure):
      failed += 1
      let isKnown = failures[failure.code] != nil || failures.count < JobLimits.failureKindCount
      failures[isKnown ? failure.code : "other", default: 0] += 1
    }
  }
}

/// How a batch ended.
public struct BatchSummary: Sendable, Equatable {
  /// The last state.
  public let progress: BatchProgress
  /// Requests without an answer by code, those of earlier runs included.
  public let failures: [String: Int]
  /// Why an annotated picture could not be written, if one could not; the results are whole.
  public let annotationFailure: Failure?
  /// The task was cancelled before every request had its result; the rest is for a next run.
  public let isInterrupted: Bool
  /// Whether every line of the input has its results; a retry leaves lines that were never read.
  public let isWhole: Bool

  /// Whether every request of the file was answered.
  public var isComplete: Bool {
    progress.failed == 0 && annotationFailure == nil && !isInterrupted && isWhole
  }
  /// 0 when every request was answered, 2 when some were not.
  public var exitCode: Int32 { isComplete ? 0 : 2 }
}
