import Foundation
import Jobs
import Messaging
import Synchronization

/// Asks a cluster every two seconds how busy its stages are, for as long as a batch runs.
final class ClusterWatch: Sendable {
  private let latest: Mutex<Status?>
  private let task: Mutex<Task<Void, Never>?>

  /// Begins to ask.
  init(_ service: RemoteAnswerService) {
    latest = Mutex(nil)
    task = Mutex(nil)
    let work = Task { [weak self] in
      while !Task.isCancelled {
        // No answer is no news: the batch itself says when the coordinator is lost.
        let status = try? await service.status()
        guard let self else { return }
        if let status { self.latest.withLock { $0 = status } }
        try? await Task.sleep(for: .seconds(2))
      }
    }
    task.withLock { $0 = work }
  }

  /// The last answer.
  var status: Status? { latest.withLock { $0 } }
  /// The stage that sets the pace, with its busy share; nil when that isn't known.
  var bottleneck: String? {
    guard let status, !status.bottleneck.isEmpty else { return nil }
    let busy = status.stages.filter { $0.name == status.bottleneck }.map(\.recentBusyShare).max()
    return "slowest: \(status.bottleneck)"
      + (busy.map { ", \(Int(($0 * 100).rounded())) % busy" } ?? "")
  }

  func stop() { task.withLock { $0?.cancel() } }
}

/// A bar on a terminal, redrawn at most ten times a second; elsewhere a line every ten seconds.
struct ProgressDisplay {
  private let isInteractive = Terminal.isInteractive
  private let watch: ClusterWatch?
  private let name: String
  private var next = ContinuousClock.now
  private var isDrawn = false

  init(watch: ClusterWatch?, name: String = "batch") {
    self.watch = watch
    self.name = name
    if !isInteractive { next += .seconds(10) }
  }

  mutating func show(_ progress: BatchProgress) {
    let now = ContinuousClock.now
    guard now >= next || (isInteractive && progress.share == 1) else { return }
    next = now + (isInteractive ? .milliseconds(100) : .seconds(10))
    let slowest = watch?.bottleneck.map { ", \($0)" } ?? ""
    guard isInteractive else { return Terminal.note("\(name): \(progress.text)\(slowest)") }
    isDrawn = true
    Terminal.write("\r\u{1B}[K\(progress.bar(width: 24))\(slowest)", to: .standardError)
  }

  /// Leaves the cursor on a line of its own.
  func end() { if isDrawn { Terminal.write("\n", to: .standardError) } }
}

/// What a batch says in the end.
struct BatchReport {
  let summary: BatchSummary
  let output: String
  let watch: ClusterWatch?

  func show() {
    let progress = summary.progress
    if progress.earlierCount == progress.lineCount, progress.lineCount > 0, summary.isWhole {
      Terminal.note("batch: nothing left to do: all \(progress.lineCount) requests have results")
    } else {
      Terminal.note("batch: \(text(progress)) -> \(output)")
    }
    for line in stages { Terminal.note("batch:   \(line)") }
    if !summary.failures.isEmpty {
      let kinds = summary.failures.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        .map { "\($0.value) \($0.key)" }.joined(separator: ", ")
      Terminal.note(
        "batch: failed: \(kinds); see \(BatchRunner.errorsPath(for: output)); "
          + "`palisade batch retry` with the same words runs those again")
    }
    if let failure = summary.annotationFailure {
      Terminal.note("batch: not all pictures were drawn: \(failure.message)")
    }
    if summary.isInterrupted {
      Terminal.note("batch: interrupted; the same command goes on where it was")
    } else if !summary.isWhole {
      Terminal.note(
        "batch: not all lines were read yet; without `retry` the command goes on with them")
    }
  }

  private func text(_ progress: BatchProgress) -> String {
    var parts = ["\(progress.succeeded) answered"]
    if progress.failed > 0 { parts.append("\(progress.failed) failed") }
    if progress.earlierCount > 0 { parts.append("\(progress.earlierCount) of them earlier") }
    parts.append("\(Readable.fixed(progress.imagesPerSecond, places: 1)) images/s")
    parts.append("\(Readable.fixed(progress.tokensPerSecond, places: 1)) tokens/s")
    return parts.joined(separator: ", ")
      + " in \(Readable.fixed(progress.elapsed / .seconds(1), places: 1)) s"
  }

  /// How busy each stage was.
  private var stages: [String] {
    guard let status = watch?.status else { return [] }
    return status.stages.map { stage in
      "\(stage.name) (\(stage.worker)): \(Int((stage.busyShare * 100).rounded())) % busy"
    }
  }
}

extension Terminal {
  /// Columns of standard output's terminal; 100 elsewhere.
  static var width: Int {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
    return Int(size.ws_col)
  }
}
