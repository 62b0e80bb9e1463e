import Foundation
import Messaging
import Synchronization
import Testing

@testable import Jobs

/// A batch and a cluster that is away for a while.
@Suite struct BatchPatienceTests {
  private func configuration(
    _ folder: TemporaryFolder, count: Int, patience: Duration
  ) throws -> BatchRunner.Configuration {
    _ = try folder.write(try png(), "a.png")
    let lines = (0..<count).map { #"{"custom_id":"c\#($0)","image":"a.png","prompt":"p\#($0)"}"# }
    var configuration = BatchRunner.Configuration(
      input: try folder.write(lines.joined(separator: "\n"), "in.jsonl"),
      output: folder.path("out.jsonl"))
    configuration.window = 8
    configuration.patience = patience
    return configuration
  }

  @Test(
    "Failures that say nothing about the request are waited out",
    arguments: ["worker_lost", "cluster_not_ready", "coordinator_lost", "no_coordinator"])
  func outage(_ code: String) async throws {
    let folder = try TemporaryFolder()
    let calls = Mutex(0)
    // Ten answers, then failures; of losses fewer than one request may have.
    let end = code == "worker_lost" ? 14 : 22
    let service = FakeService(failure: { _, call in
      calls.withLock { $0 = max($0, call) }
      return (11...end).contains(call) ? Failure(code: code, message: "away") : nil
    })
    let outages = Mutex<Set<String>>([])
    let summary = try await BatchRunner(
      try configuration(folder, count: 40, patience: .seconds(60)), service: service
    ).run { _, progress in
      if let outage = progress.outage { outages.withLock { _ = $0.insert(outage.code) } }
    }
    #expect(summary.isComplete && summary.progress.succeeded == 40)
    #expect(calls.withLock { $0 } == 40 + end - 10)
    #expect(try folder.objects("out.jsonl").count == 40)
  }

  @Test("A cluster that stays away ends the run without burning a line; the next run goes on")
  func gone() async throws {
    let folder = try TemporaryFolder()
    let service = FakeService(failure: { _, call in
      call > 10 ? Failure(code: "coordinator_lost", message: "gone") : nil
    })
    let configuration = try configuration(folder, count: 50, patience: .milliseconds(300))
    do {
      _ = try await BatchRunner(configuration, service: service).run()
      Issue.record("the run ended well")
    } catch BatchError.unavailable(let failure, _) {
      #expect(failure.code == "coordinator_lost")
    }
    #expect(try folder.objects("out.jsonl").count == 10)
    #expect(!FileManager.default.fileExists(atPath: folder.path("out.errors.jsonl")))
    let back = FakeService()
    let summary = try await BatchRunner(configuration, service: back).run()
    #expect(summary.isComplete && summary.progress.earlierCount == 10)
    #expect(back.counts.withLock { $0.total } == 40)
    let ids = try folder.objects("out.jsonl").compactMap { $0["custom_id"] as? String }
    #expect(Set(ids).count == 50 && ids.count == 50)
  }

  @Test("Another model in the middle of it ends the run without burning a line")
  func foreign() async throws {
    let folder = try TemporaryFolder()
    var configuration = try configuration(folder, count: 50, patience: .seconds(60))
    configuration.model = ModelIdentity(fingerprint: "one", precision: "f32")
    let service = FakeService(failure: { request, call in
      let handler = ModelIdentity(fingerprint: call > 10 ? "two" : "one", precision: "f32")
      do throws(Failure) { try handler.check(request.handling.model) } catch { return error }
      return nil
    })
    await #expect(
      throws: BatchError.changed(
        journal: folder.path("out.jsonl.journal"), what: "the model has changed")
    ) { _ = try await BatchRunner(configuration, service: service).run() }
    #expect(try folder.objects("out.jsonl").count == 10)
    #expect(!FileManager.default.fileExists(atPath: folder.path("out.errors.jsonl")))
  }

  @Test("A request that kills its worker each time fails in the end, and takes no other with it")
  func poison() async throws {
    let folder = try TemporaryFolder()
    // Whoever is under way together with the poison is lost too.
    let service = PoisonedService(poison: "p5")
    let summary = try await BatchRunner(
      try configuration(folder, count: 40, patience: .seconds(60)), service: service
    ).run()
    #expect(summary.progress.succeeded == 39)
    #expect(summary.failures == ["worker_lost": 1])
    #expect(try folder.objects("out.errors.jsonl").first?["custom_id"] as? String == "c5")
    #expect(service.deaths.withLock { $0 } == JobLimits.lossCount)
  }

  @Test("What is the request's own failure is final at once")
  func final() {
    for code in ["invalid_image", "too_many_tokens", "deadline_exceeded", "internal"] {
      #expect(BatchAvailability.kind(code) == nil)
    }
    #expect(BatchAvailability.kind("overloaded") == .busy)
  }
}

/// Loses everything that is under way when one prompt is asked.
private final class PoisonedService: AnswerService {
  let deaths = Mutex(0)
  private let poison: String

  init(poison: String) { self.poison = poison }

  func answer(
    _ request: AnswerRequest, onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer {
    let before = deaths.withLock { $0 }
    let isPoison = request.prompt == poison
    try? await Task.sleep(for: .milliseconds(isPoison ? 20 : 30))
    if isPoison { deaths.withLock { $0 += 1 } }
    if deaths.withLock({ $0 }) != before { throw Failure(code: "worker_lost", message: "gone") }
    return Answer(
      text: request.prompt, tokenIDs: [], finish: .stop, promptTokens: 0, completionTokens: 1,
      imageSizes: [])
  }
}
