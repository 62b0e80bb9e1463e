import ArgumentParser
import Foundation
import Jobs
import Messaging
import Pipelining
import VideoFrames

/// One source of `palisade video`, with where its records go.
struct VideoWork: Sendable {
  let session: VideoSession
  let file: VideoRecordFile
  let sinks: VideoSinks
  /// What an earlier run has left to be made once more.
  let replay: VideoReplay?

  /// Answers to the end of the source, or until the task is cancelled.
  ///
  /// - Throws: when a record can't be written.
  func run() async throws -> FeedState {
    let end: FeedState
    do {
      try await replay?.run(into: sinks)
      end = try await session.run { record, frame in
        try await file.append(record)
        try await sinks.take(record, frame)
      }
    } catch {
      await session.cancel()
      // What is whole stays readable; the first failure is the one to tell.
      try? await sinks.finish()
      throw error
    }
    try await sinks.finish()
    return end
  }
}

/// Runs all sources of a command side by side, shows how it goes, and says in the end what became of the frames.
struct VideoReport {
  let runs: [VideoWork]
  let output: String
  let watch: ClusterWatch?

  func runAll() async throws {
    let start = ContinuousClock.now
    let progress = Task { await showProgress() }
    var failure: (any Error)?
    await withTaskGroup(of: (any Error)?.self) { group in
      for run in runs {
        group.addTask {
          do { _ = try await run.run(); return nil } catch { return error }
        }
      }
      // A full disk for one is a full disk for all.
      for await error in group {
        guard let error, failure == nil else { continue }
        failure = error
        group.cancelAll()
      }
    }
    progress.cancel()
    await progress.value
    try await runs.first?.file.finish()
    let isInterrupted = Task.isCancelled
    show(elapsed: start.duration(to: .now), isInterrupted: isInterrupted)
    if let failure, !(failure is CancellationError) { throw failure }
    if isInterrupted { throw ExitCode(130) }
    if statuses.contains(where: { Self.hasFailed($0) }) { throw ExitCode(2) }
  }

  private var statuses: [VideoSessionStatus] { runs.map(\.session.status) }

  private static func hasFailed(_ status: VideoSessionStatus) -> Bool {
    if case .failed = status.state { return true }
    return !status.failed.isEmpty
  }

  /// One line, redrawn on a terminal; elsewhere a line every ten seconds.
  private func showProgress() async {
    let isInteractive = Terminal.isInteractive
    var isDrawn = false
    while !Task.isCancelled {
      try? await Task.sleep(for: isInteractive ? .milliseconds(200) : .seconds(10))
      if Task.isCancelled { break }
      let line = statuses.map { Self.line($0, isAlone: runs.count == 1) }.joined(separator: " | ")
      let slowest = watch?.bottleneck.map { ", \($0)" } ?? ""
      guard isInteractive else {
        Terminal.note("video: \(line)\(slowest)")
        continue
      }
      isDrawn = true
      let text = String((line + slowest).prefix(max(20, Terminal.width - 1)))
      Terminal.write("\r\u{1B}[K\(text)", to: .standardError)
    }
    if isDrawn { Terminal.write("\r\u{1B}[K", to: .standardError) }
  }

  private static func line(_ status: VideoSessionStatus, isAlone: Bool) -> String {
    let name = isAlone ? "" : String(status.source.suffix(24)) + ": "
    let dropped = status.dropped.values.reduce(0, +)
    return name + status.state.name + (status.pts.map { " at \($0) s" } ?? "")
      + ", \(status.records) frames, \(Readable.fixed(status.framesPerSecond, places: 1))/s"
      + (dropped > 0 ? ", \(dropped) dropped" : "")
  }

  private func show(elapsed: Duration, isInterrupted: Bool) {
    for session in runs.map(\.session) {
      let status = session.status
      let again = session.feedStatus.reconnectionCount
      let reconnections = again > 0 ? ", connected again \(again) times" : ""
      Terminal.note("video: \(status.source): \(Self.summary(status))\(reconnections)")
      if case .failed(let error) = status.state {
        Terminal.note("video:   failed: \(error)")
      }
      for notice in status.notices { Terminal.note("video:   \(notice)") }
    }
    let count = statuses.map(\.records).reduce(0, +)
    Terminal.note(
      "video: \(count) records in \(Readable.fixed(elapsed / .seconds(1), places: 1)) s -> \(output)"
    )
    if isInterrupted {
      Terminal.note("video: interrupted; the same command with --resume goes on with files")
    }
  }

  /// What became of a source's frames.
  static func summary(_ status: VideoSessionStatus) -> String {
    var parts = ["\(status.answered) frames answered"]
    if status.collected > 0 { parts.append("\(status.collected) more in clips") }
    if status.repeated > 0 {
      let share = Readable.fixed(status.savedShare * 100, places: 1)
      parts.append("\(status.repeated) repeated (\(share) % saved)")
    }
    parts += status.dropped.sorted { $0.key < $1.key }.map { "\($0.value) dropped (\($0.key))" }
    parts += status.failed.sorted { $0.key < $1.key }.map { "\($0.value) failed (\($0.key))" }
    parts.append("\(Readable.fixed(status.framesPerSecond, places: 1)) frames/s")
    let latency = status.latency.latency
    if latency.count > 0 {
      let (p50, p99) = (latency.p50Milliseconds, latency.p99Milliseconds)
      parts.append(
        "capture to answer p50 \(Readable.fixed(p50, places: 0)) ms, "
          + "p99 \(Readable.fixed(p99, places: 0)) ms")
    }
    return parts.joined(separator: ", ")
  }
}
