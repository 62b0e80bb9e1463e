import Foundation
import Messaging
import Testing

@testable import Jobs

@Suite struct JournalTests {
  private static let text = #"{"custom_id":"c0","image":"a.png","prompt":"p"}"# + "\n"

  private func finished(_ folder: TemporaryFolder) async throws -> BatchRunner.Configuration {
    _ = try folder.write(try png(), "a.png")
    var configuration = BatchRunner.Configuration(
      input: try folder.write(Self.text, "in.jsonl"), output: folder.path("out.jsonl"))
    configuration.model = ModelIdentity(fingerprint: "m", precision: "f32")
    _ = try await BatchRunner(configuration, service: FakeService()).run()
    return configuration
  }

  private func refusal(_ configuration: BatchRunner.Configuration) async -> BatchError? {
    do {
      _ = try await BatchRunner(configuration, service: FakeService()).run()
      return nil
    } catch { return error as? BatchError }
  }

  @Test("Another input, model, precision or option is refused by name; --restart begins anew")
  func changes() async throws {
    let folder = try TemporaryFolder()
    let configuration = try await finished(folder)
    let first = folder.text("out.jsonl")
    func expectRefusal(_ word: String, _ change: (inout BatchRunner.Configuration) -> Void) async {
      var changed = configuration
      change(&changed)
      let error = await refusal(changed)
      guard case .changed(_, let what)? = error else {
        Issue.record("\(word): \(String(describing: error))")
        return
      }
      #expect(what.contains(word), "\(what)")
      #expect(error?.description.contains("--restart") == true)
    }
    await expectRefusal("model") { $0.model?.fingerprint = "other" }
    await expectRefusal("precision") { $0.model?.precision = "int8" }
    await expectRefusal("mask decoder") { $0.model?.maskDecoder = "v" }
    await expectRefusal("--max-tokens") { $0.maximumTokens = 9 }
    await expectRefusal("--constrain") { $0.options["--constrain"] = "yes" }
    // Who can't tell the model may go on; the journal keeps what it knew.
    var unknown = configuration
    unknown.model = nil
    #expect(await refusal(unknown) == nil)
    await expectRefusal("model") { $0.model?.fingerprint = "other" }
    _ = try folder.write(Self.text + Self.text, "in.jsonl")
    await expectRefusal("input") { _ in }
    _ = try folder.write(Self.text.replacing("c0", with: "c1"), "in.jsonl")
    await expectRefusal("input") { _ in }
    // Also where nothing was read yet.
    let begun = try TemporaryFolder()
    let path = try begun.write(Self.text, "in.jsonl")
    let earlier = BatchIdentity(try BatchReader(path: path), model: nil, options: [:])
    _ = try begun.write(Self.text.replacing("c0", with: "c1"), "in.jsonl")
    let later = BatchIdentity(try BatchReader(path: path), model: nil, options: [:])
    #expect(try later.difference(from: earlier) { () throws(BatchError) in true } != nil)
    #expect(folder.text("out.jsonl") == first)
    // Written anew with the same bytes: only the time is another.
    _ = try folder.write(Self.text, "in.jsonl")
    #expect(await refusal(configuration) == nil)
    #expect(folder.text("out.jsonl") == first)
    var anew = configuration
    anew.mode = .restart
    anew.maximumTokens = 9
    #expect(await refusal(anew) == nil)
  }

  @Test("Two at once: the second is refused, until the first has ended")
  func locked() async throws {
    let folder = try TemporaryFolder()
    let configuration = try await finished(folder)
    let path = folder.path("out.jsonl.journal")
    let holder = try Journal(path: path)
    #expect(await refusal(configuration) == .locked(journal: path))
    var anew = configuration
    anew.mode = .restart
    #expect(await refusal(anew) == .locked(journal: path))
    try holder.close()
    #expect(await refusal(configuration) == nil)
  }

  @Test("What is no journal, and files that somebody changed, are refused and kept")
  func damaged() async throws {
    let folder = try TemporaryFolder()
    let configuration = try await finished(folder)
    let first = folder.text("out.jsonl")
    _ = try folder.write(String(first.dropLast(5)), "out.jsonl")
    guard case .damaged? = await refusal(configuration) else {
      Issue.record("a shorter file was taken")
      return
    }
    _ = try folder.write(first, "out.jsonl")
    _ = try folder.write(String(repeating: "no database, but long enough. ", count: 9), "x")
    for text in ["x", "out.jsonl"] {
      var other = configuration
      other.journal = folder.path(text)
      let before = folder.text(text)
      guard case .journal? = await refusal(other) else {
        Issue.record("\(text) was taken for a journal")
        continue
      }
      #expect(folder.text(text) == before)
    }
    var retry = configuration
    retry.mode = .retry
    retry.journal = folder.path("nowhere")
    #expect(await refusal(retry) == .noJournal(path: folder.path("nowhere")))
  }

  @Test("Duplicates are found across portions and runs, and the first keeps its name")
  func duplicates() async throws {
    let folder = try TemporaryFolder()
    let journal = try Journal(path: folder.path("j"))
    let reader = try BatchReader(path: try folder.write("x", "in"))
    try await journal.begin(BatchIdentity(reader, model: nil, options: [:]))
    func request(_ id: String?, _ line: Int) -> NewRequest {
      NewRequest(customID: id, line: line, lineOffset: 0, lineLength: 1)
    }
    let first = try await journal.note(
      [request("a", 1), request(nil, 2), request("a", 3), request(nil, 4)],
      place: ReadingPlace(offset: 4, line: 4, digest: .max), isRead: false)
    #expect(first.map(\.sequence) == [1, 2, 3, 4])
    #expect(first.map(\.isDuplicate) == [false, false, true, false])
    try journal.close()
    let again = try Journal(path: folder.path("j"))
    let second = try await again.note(
      [request("b", 5), request("a", 6)], place: ReadingPlace(offset: 6, line: 6), isRead: true)
    #expect(second.map(\.isDuplicate) == [false, true])
    let pending = try await again.takePending(after: 1, count: 10)
    #expect(pending.map(\.sequence) == [2, 3, 4, 5, 6])
    #expect(pending.map(\.request.customID) == [nil, nil, nil, "b", nil])
    #expect(try await again.pending(named: "a")?.sequence == 1)
    let state = try await again.state()
    #expect(state?.place == ReadingPlace(offset: 6, line: 6) && state?.isRead == true)
  }

  @Test("Models are told apart by any of their files")
  func models() throws {
    let folder = try TemporaryFolder()
    _ = try folder.write([UInt8](repeating: 7, count: 3 << 20), "model.safetensors")
    _ = try folder.write("{}", "config.json")
    func identity() throws -> ModelIdentity {
      try ModelIdentity(directory: folder.url.path(), precision: "f32")
    }
    let first = try identity()
    #expect(try identity() == first)
    _ = try folder.write("readme", "README.md")
    #expect(try identity() == first)
    var weights = [UInt8](repeating: 7, count: 3 << 20)
    weights[weights.count - 1] = 8
    _ = try folder.write(weights, "model.safetensors")
    #expect(try identity() != first)
    _ = try folder.write([UInt8](repeating: 7, count: 3 << 20), "model.safetensors")
    _ = try folder.write("{ }", "config.json")
    #expect(try identity() != first)
    #expect(throws: Failure.self) {
      try ModelIdentity(directory: folder.path("none"), precision: "f32")
    }
  }
}
