import Foundation
import GRDB
import Messaging
import Synchronization
import Testing

@testable import Jobs

/// A batch that ended at any moment goes on: the states that a kill leaves are made one by one.
@Suite struct BatchResumeTests {
  private static let count = 24

  /// Some lines with answers, some with errors of every kind, one that stands for three pictures.
  private static func input(_ folder: TemporaryFolder) throws -> String {
    _ = try folder.write(try png(), "a.png")
    try FileManager.default.createDirectory(
      atPath: folder.path("many"), withIntermediateDirectories: true)
    for name in ["x.png", "y.png", "z.png"] { _ = try folder.write(try png(), "many/" + name) }
    var lines = (0..<count).map { #"{"custom_id":"c\#($0)","image":"a.png","prompt":"p\#($0)"}"# }
    lines.insert("no json", at: 3)
    lines.insert(#"{"custom_id":"c1","image":"a.png","prompt":"again"}"#, at: 7)
    lines.insert(#"{"custom_id":"m","image":"many","prompt":"of many"}"#, at: 11)
    lines.insert(#"{"custom_id":"gone","image":"gone.png","prompt":"x"}"#, at: 15)
    return try folder.write(lines.joined(separator: "\n"), "in.jsonl")
  }

  private static func configuration(_ folder: TemporaryFolder) throws -> BatchRunner.Configuration {
    var configuration = BatchRunner.Configuration(
      input: try input(folder), output: folder.path("out.jsonl"))
    configuration.window = 4
    configuration.isOrdered = true
    return configuration
  }

  /// The files as a SIGKILL would leave them now: nothing else writes while a result is told of.
  private static func snapshot(_ folder: TemporaryFolder) throws -> TemporaryFolder {
    let copy = try TemporaryFolder()
    try FileManager.default.removeItem(at: copy.url)
    try FileManager.default.copyItem(at: folder.url, to: copy.url)
    return copy
  }

  /// The errors, without the names of folders that some of them have.
  private static func errors(_ folder: TemporaryFolder) -> String {
    folder.text("out.errors.jsonl").replacing(/palisade-jobs-[0-9A-F-]+/, with: "")
  }

  private static func sql(_ folder: TemporaryFolder, _ statement: String) throws {
    let queue = try DatabaseQueue(path: folder.path("out.jsonl.journal"))
    try queue.write { try $0.execute(sql: statement) }
    try queue.close()
  }

  private static func number(_ folder: TemporaryFolder, _ query: String) throws -> Int {
    let queue = try DatabaseQueue(path: folder.path("out.jsonl.journal"))
    defer { try? queue.close() }
    return try queue.read { try Int.fetchOne($0, sql: query) } ?? -1
  }

  /// An undisturbed run: its files, and what they were after each result.
  private static func undisturbed() async throws -> (
    results: String, errors: String, snapshots: [TemporaryFolder]
  ) {
    let folder = try TemporaryFolder()
    let configuration = try configuration(folder)
    var snapshots: [TemporaryFolder] = []
    var failure: (any Error)?
    _ = try await BatchRunner(configuration, service: FakeService()).run { _, _ in
      do { snapshots.append(try snapshot(folder)) } catch let error { failure = error }
    }
    if let failure { throw failure }
    return (folder.text("out.jsonl"), errors(folder), snapshots)
  }

  /// Goes on in `folder`; checks files and counts.
  private static func goOn(
    _ folder: TemporaryFolder, _ results: String, _ errors: String, asked: Int?,
    _ label: Comment
  ) async throws {
    var configuration = BatchRunner.Configuration(
      input: folder.path("in.jsonl"), output: folder.path("out.jsonl"))
    configuration.window = 4
    configuration.isOrdered = true
    let service = FakeService()
    let summary = try await BatchRunner(configuration, service: service).run()
    #expect(folder.text("out.jsonl") == results, label)
    #expect(Self.errors(folder) == errors, label)
    #expect(summary.progress.succeeded == count + 3 && summary.progress.failed == 3, label)
    #expect(summary.isWhole, label)
    if let asked { #expect(service.counts.withLock { $0.total } == asked, label) }
  }

  @Test("Killed after any result: the same files in the end, and no answer is asked for twice")
  func anyMoment() async throws {
    let (results, errors, snapshots) = try await Self.undisturbed()
    #expect(snapshots.count == Self.count + 6)
    for (index, folder) in snapshots.enumerated() {
      let written = try folder.objects("out.jsonl").count
      try await Self.goOn(
        folder, results, errors, asked: Self.count + 3 - written, "after \(index + 1) results")
    }
  }

  @Test("A torn line and strangers' lines are cut off")
  func torn() async throws {
    let (results, errors, snapshots) = try await Self.undisturbed()
    let tails = [
      #"{"custom_id":"c20","error":nu"#, #"{"custom_id":"c23"}"#, "\n\n", "\0\0\0\0\n",
      #"{"custom_id":"c22","id":"batch_req_0000000000000000"}"# + "\n",
    ]
    for (index, tail) in tails.enumerated() {
      let folder = snapshots[10 + index]
      let text = folder.text("out.jsonl")
      let written = text.split(separator: "\n").count
      _ = try folder.write(text + tail, "out.jsonl")
      try await Self.goOn(
        folder, results, errors, asked: Self.count + 3 - written, "tail \(index)")
    }
  }

  @Test("After a power loss nothing beyond the journal's word is believed")
  func powerLoss() async throws {
    let (results, errors, snapshots) = try await Self.undisturbed()
    for index in [5, 17, 29] {
      let folder = snapshots[index]
      try Self.sql(folder, "UPDATE run SET boot = 'an earlier one'")
      let known = try Self.number(folder, "SELECT results_length FROM run")
      let bytes = Array(folder.text("out.jsonl").utf8)
      // Whole lines that look right, and garbage where blocks never reached the disk.
      let kept = Array(bytes.prefix(known + (bytes.count - known) / 2))
      _ = try folder.write(kept + [UInt8](repeating: 0, count: 300) + [0x0A], "out.jsonl")
      let done = try Self.number(folder, "SELECT done FROM run")
      try await Self.goOn(
        folder, results, errors, asked: Self.count + 3 - done, "power loss \(index)")
    }
  }

  @Test("Killed while the files are put in order: before, between and after the renaming")
  func replacing() async throws {
    for step in 0...3 {
      let folder = try TemporaryFolder()
      var configuration = try Self.configuration(folder)
      configuration.isOrdered = false
      let slow = FakeService(delay: { $0.prompt == "p0" ? .milliseconds(200) : .zero })
      _ = try await BatchRunner(configuration, service: slow).run()
      let unordered = folder.text("out.jsonl")
      var ordered = configuration
      ordered.isOrdered = true
      let other = try Self.snapshot(folder)
      ordered.output = other.path("out.jsonl")
      ordered.input = other.path("in.jsonl")
      _ = try await BatchRunner(ordered, service: FakeService()).run()
      let expected = other.text("out.jsonl")
      #expect(expected != unordered)
      if step == 0 { _ = try folder.write(String(expected.prefix(500)), "out.jsonl.ordered") }
      if step == 1 { _ = try folder.write(expected, "out.jsonl.ordered") }
      if step == 2 { _ = try folder.write(expected, "out.jsonl") }
      if step == 1 || step == 2 { try Self.sql(folder, "UPDATE run SET replacing = 'results'") }
      if step == 3 { _ = try folder.write("junk", "out.errors.jsonl.ordered") }
      try await Self.goOn(
        folder, expected, Self.errors(other), asked: 0, "step \(step)")
      // The places are right: a second ordering has nothing to move.
      #expect(
        try Self.number(folder, "SELECT MAX(place + length) FROM requests WHERE state = 1")
          == expected.utf8.count)
    }
  }

  @Test("A run that is whole does nothing again, and its errors can be tried again")
  func retry() async throws {
    let folder = try TemporaryFolder()
    let configuration = try Self.configuration(folder)
    let broken = FakeService(failure: { request, _ in
      ["p5", "p6"].contains(request.prompt) ? Failure(code: "internal", message: "later") : nil
    })
    let first = try await BatchRunner(configuration, service: broken).run()
    #expect(first.progress.failed == 5 && first.failures["internal"] == 2)
    let again = FakeService()
    let second = try await BatchRunner(configuration, service: again).run()
    #expect(again.counts.withLock { $0.total } == 0)
    #expect(second.progress == BatchRunner.progressWithoutWork(first.progress, second.progress))
    _ = try folder.write(try png(), "gone.png")
    var retrying = configuration
    retrying.mode = .retry
    let third = try await BatchRunner(retrying, service: again).run()
    #expect(again.counts.withLock { $0.total } == 3)
    #expect(third.failures == ["duplicate_custom_id": 1, "invalid_json": 1])
    let ids = try folder.objects("out.jsonl").compactMap { $0["custom_id"] as? String }
    #expect(ids.count == Self.count + 4 && Set(ids).count == ids.count)
    #expect(ids.contains("gone") && ids.contains("m/y.png"))
    #expect(try folder.objects("out.errors.jsonl").count == 2)
    #expect(try Self.number(folder, "SELECT MAX(attempts) FROM requests") == 2)
    #expect(try Self.number(folder, "SELECT COUNT(*) FROM requests WHERE attempts = 2") == 5)
  }

  @Test("A retry killed at any of its results goes on, with or without the word")
  func killedRetry() async throws {
    let folder = try TemporaryFolder()
    var configuration = try Self.configuration(folder)
    let broken = FakeService(failure: { request, _ in
      request.prompt.hasPrefix("p1") ? Failure(code: "internal", message: "later") : nil
    })
    _ = try await BatchRunner(configuration, service: broken).run()
    let undisturbed = try Self.snapshot(folder)
    configuration.mode = .retry
    var snapshots: [TemporaryFolder] = []
    _ = try await BatchRunner(configuration, service: FakeService()).run { _, _ in
      if let copy = try? Self.snapshot(folder) { snapshots.append(copy) }
    }
    #expect(snapshots.count == 14)
    let (results, errors) = (folder.text("out.jsonl"), Self.errors(folder))
    for (index, folder) in (snapshots + [undisturbed]).enumerated() {
      var configuration = BatchRunner.Configuration(
        input: folder.path("in.jsonl"), output: folder.path("out.jsonl"))
      configuration.isOrdered = true
      let isRetry = index % 2 == 0 || index == snapshots.count
      configuration.mode = isRetry ? .retry : .goOn
      _ = try await BatchRunner(configuration, service: FakeService()).run()
      #expect(folder.text("out.jsonl") == results)
      #expect(Self.errors(folder) == errors)
    }
  }
}

extension BatchRunner {
  /// What a run says that had nothing to do: the counts of `first`, and its own times.
  static func progressWithoutWork(
    _ first: BatchProgress, _ own: BatchProgress
  ) -> BatchProgress {
    var progress = own
    (progress.succeeded, progress.failed) = (first.succeeded, first.failed)
    progress.earlierCount = first.lineCount
    (progress.imageCount, progress.tokenCount, progress.failures) = (0, 0, [:])
    return progress
  }
}
