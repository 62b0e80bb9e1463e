import Foundation
import Messaging

/// One run of an opened batch. Owned by the task that runs it.
final class BatchRun {
  private let configuration: BatchRunner.Configuration
  private let journal: Journal
  private let work: BatchWork
  private let availability: BatchAvailability
  private var session: BatchSession
  private var feeder: BatchFeeder?
  private var progress: BatchProgress
  /// Results whose lines are written and not yet committed, and since when the first of them.
  private var finished: [FinishedRequest] = []
  private var oldest = ContinuousClock.now
  /// What the cluster's plan takes at once, when it was asked last.
  private var room: Int?
  private let start = ContinuousClock.now

  init(
    session: BatchSession, configuration: BatchRunner.Configuration, service: any AnswerService,
    progress: BatchProgress
  ) {
    self.configuration = configuration
    self.session = session
    self.progress = progress
    journal = session.journal
    availability = BatchAvailability(patience: configuration.patience)
    let folder = URL(filePath: configuration.input).deletingLastPathComponent()
    work = BatchWork(
      service: service, availability: availability, folder: folder,
      remote: configuration.remoteImages,
      handling: Handling(
        priority: .batch, job: configuration.job ?? Self.job(configuration.output),
        model: configuration.model),
      annotations: configuration.annotations)
  }

  /// A name that two outputs don't share, short enough for every message.
  private static func job(_ output: String) -> String {
    let path = URL(filePath: output).standardizedFileURL.path(percentEncoded: false)
    let digest = Array(path.utf8).withUnsafeBytes { Checksum.of($0) }
    return "batch-" + String(digest, radix: 16)
  }

  /// Runs to the end, whichever it is.
  func finish(
    onTick: (BatchProgress) -> Void, onResult: (BatchResult, BatchProgress) -> Void
  ) async throws -> BatchSummary {
    feeder = BatchFeeder(
      reader: session.reader, journal: journal, state: session.state,
      folder: work.folder, maximumTokens: configuration.maximumTokens,
      readsLocalFiles: configuration.readsLocalFiles, readsOn: configuration.mode != .retry)
    room = await configuration.roomInCluster?()
    let window = CompletionWindow(inFlight: { self.inFlight }, tick: JobLimits.commitInterval)
    let work = work
    do {
      try await window.run(
        next: { try await self.next() },
        work: { item in (item, await work.outcome(of: item)) },
        take: { taken in
          self.progress.elapsed = self.start.duration(to: .now)
          self.progress.outage = self.availability.outage
          if case (let item, .result(let result, let request))? = taken {
            try self.write(result, request, item)
            onResult(result, self.progress)
          } else if taken == nil {
            // Plans change while a batch runs.
            self.room = await self.configuration.roomInCluster?()
            onTick(self.progress)
          }
          try await self.commitIfDue()
        })
    } catch {
      // What is written may still be noted; if that fails too, the first reason is the one to tell.
      try? await commit()
      throw error
    }
    try await commit()
    if let failure = availability.end {
      guard failure.code != "model_changed" else {
        throw BatchError.changed(journal: journal.path, what: "the model has changed")
      }
      throw BatchError.unavailable(failure, seconds: Int(configuration.patience / .seconds(1)))
    }
    return try await summary()
  }

  /// Requests that may be under way now: what the user says, else what the cluster takes, as far as the
  /// largest request so far leaves memory for it.
  private var inFlight: Int {
    Self.inFlight(window: configuration.window, room: room, largestByteCount: work.largest.value)
  }

  static func inFlight(window: Int?, room: Int?, largestByteCount: Int) -> Int {
    if let window { return min(max(window, 1), JobLimits.maximumWindow) }
    let most = JobLimits.windowByteCount / max(1, largestByteCount)
    let usual = JobLimits.defaultWindow
    return min(max(room ?? usual, usual), max(most, usual), JobLimits.maximumWindow)
  }

  private func next() async throws -> BatchItem? {
    if Task.isCancelled || availability.end != nil { return nil }
    return try await feeder?.next()
  }

  private func write(
    _ result: BatchResult, _ request: FinishedRequest, _ item: BatchItem
  ) throws(BatchError) {
    var request = request
    (request.place, request.length) = try session.output.write(result)
    if finished.isEmpty { oldest = .now }
    finished.append(request)
    progress.add(result, byteCount: item.byteCount)
  }

  private func commitIfDue() async throws(BatchError) {
    guard finished.count >= JobLimits.commitCount || oldest + JobLimits.commitInterval <= .now
    else { return }
    try await commit()
  }

  private func commit() async throws(BatchError) {
    if finished.isEmpty { return }
    // Taken before: a group that could not be committed must not be tried again, since a second fsync
    // may succeed although the first lost something.
    let group = finished
    finished = []
    try await journal.commit(group, in: session.output.takeFiles())
  }

  private func summary() async throws(BatchError) -> BatchSummary {
    let (pendingCount, _) = try await journal.pending()
    let isRead = try await journal.state()?.isRead ?? false
    let isWhole = isRead && pendingCount == 0
    if isWhole, configuration.isOrdered { try await session.output.order(by: journal) }
    progress.elapsed = start.duration(to: .now)
    progress.outage = nil
    return BatchSummary(
      progress: progress, failures: try await journal.failures(),
      annotationFailure: work.annotationFailure.value,
      isInterrupted: Task.isCancelled && !isWhole, isWhole: isWhole)
  }
}
