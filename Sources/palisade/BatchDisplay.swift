import Foundation
import Jobs
import Messaging
import Pipelining
import Synchronization

/// Asks a cluster every two seconds how busy its stages are, for as long as a batch runs.
final class ClusterWatch: Sendable {
  private let service: RemoteAnswerService
  /// From before the batch: an answer to the first question may come when a short one is over.
  private let first: Status
  private let latest: Mutex<Status>
  private let task: Mutex<Task<Void, Never>?>

  /// Begins to ask; `status` is what was heard last.
  init(_ service: RemoteAnswerService, knowing status: Status) {
    self.service = service
    first = status
    latest = Mutex(status)
    task = Mutex(nil)
    let work = Task { [weak self] in
      while !Task.isCancelled {
        await self?.ask()
        guard self != nil else { return }
        try? await Task.sleep(for: .seconds(2))
      }
    }
    task.withLock { $0 = work }
  }

  /// No answer is no news: the batch itself says when the coordinator is lost.
  private func ask() async {
    guard let status = try? await service.status() else { return }
    latest.withLock { $0 = status }
  }

  /// The stage that sets the pace, with its busy share; nil when that isn't known.
  var bottleneck: String? {
    let status = latest.withLock { $0 }
    guard !status.bottleneck.isEmpty else { return nil }
    let busy = status.stages.filter { $0.name == status.bottleneck }.map(\.recentBusyShare).max()
    return "slowest: \(status.bottleneck)"
      + (busy.map { ", \(Int(($0 * 100).rounded())) % busy" } ?? "")
  }

  /// Requests that a batch keeps under way, by the plan; nil when that isn't known.
  var batchWindow: Int? {
    let window = latest.withLock { $0.batchWindow }
    return window > 0 ? window : nil
  }

  /// What each stage did of `elapsed`, the time of the whole batch. Waits for a word of each worker
  /// from after the batch, or a short batch would seem to have cost nothing; two seconds at most.
  func shares(of elapsed: Duration) async -> [StageShare] {
    let end = ContinuousClock.now
    while end.duration(to: .now) < .seconds(2) {
      await ask()
      // What is shown may have been put together one turn ago.
      let lag = 2 * Limits().publishMilliseconds
      let age = Int(end.duration(to: .now) / .milliseconds(1)) - lag
      if latest.withLock({ $0.stages.allSatisfy { $0.silenceMilliseconds < age } }) { break }
      try? await Task.sleep(for: .milliseconds(100))
    }
    return StageShare.between(first, latest.withLock { $0 }, elapsed: elapsed)
  }

  func stop() { task.withLock { $0?.cancel() } }
}

/// The part of some time that one stage spent computing.
struct StageShare: Equatable {
  let stage: String
  let worker: String
  /// 0 to 1.
  let share: Double

  /// What each stage of `last` did since `first`. A stage that counts less than it did began anew, with
  /// a new plan: then what it did since is all that is known.
  static func between(_ first: Status?, _ last: Status, elapsed: Duration) -> [StageShare] {
    let seconds = elapsed / .seconds(1)
    guard seconds > 0 else { return [] }
    return last.stages.map { row in
      let before = first?.stages.first { $0.name == row.name && $0.workerIndex == row.workerIndex }
      let earlier = before?.counters.busyNanoseconds ?? 0
      let now = row.counters.busyNanoseconds
      let busy = Double(now >= earlier ? now - earlier : now) / 1e9
      return StageShare(stage: row.name, worker: row.worker, share: min(1, busy / seconds))
    }
  }
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
  /// How busy each stage was; empty when that isn't known.
  var shares: [StageShare] = []

  func show() {
    let progress = summary.progress
    if progress.earlierCount == progress.lineCount, progress.lineCount > 0, summary.isWhole {
      Terminal.note("batch: nothing left to do: all \(progress.lineCount) requests have results")
    } else {
      Terminal.note("batch: \(text(progress)) -> \(output)")
    }
    for share in shares {
      let percent = Int((share.share * 100).rounded())
      Terminal.note("batch:   \(share.stage) (\(share.worker)): \(percent) % busy")
    }
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
}

extension Terminal {
  /// Columns of standard output's terminal; 100 elsewhere.
  static var width: Int {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
    return Int(size.ws_col)
  }
}
