import Foundation
import Messaging
import Synchronization
import Testing

@testable import Jobs

@Suite struct BatchRunnerTests {
  private func lines(_ count: Int) -> String {
    (0..<count).map { #"{"custom_id":"c\#($0)","image":"a.png","prompt":"p\#($0)"}"# + "\n" }
      .joined()
  }

  private func configuration(
    _ folder: TemporaryFolder, _ text: String, window: Int = 8
  ) throws -> BatchRunner.Configuration {
    _ = try folder.write(try png(), "a.png")
    var configuration = BatchRunner.Configuration(
      input: try folder.write(text, "in.jsonl"), output: folder.path("out.jsonl"))
    configuration.window = window
    return configuration
  }

  @Test("Results are in the file's order and the bytes do not depend on time or window")
  func order() async throws {
    var outputs: Set<String> = []
    for window in [1, 3, 16] {
      let folder = try TemporaryFolder()
      let service = FakeService(delay: { _ in .milliseconds(Int.random(in: 0...15)) })
      let summary = try await BatchRunner(
        try configuration(folder, lines(60), window: window), service: service
      ).run()
      #expect(summary.exitCode == 0)
      #expect(summary.progress.succeeded == 60 && summary.progress.imageCount == 60)
      #expect(service.counts.withLock { $0.most } <= window)
      if window > 1 { #expect(service.counts.withLock { $0.most } > 1) }
      let ids = try folder.objects("out.jsonl").map { $0["custom_id"] as? String }
      #expect(ids == (0..<60).map { "c\($0)" })
      outputs.insert(folder.text("out.jsonl"))
      #expect(!FileManager.default.fileExists(atPath: folder.path("out.errors.jsonl")))
    }
    #expect(outputs.count == 1)
  }

  @Test("One slow line does not let the results behind it pile up")
  func boundedBuffer() async throws {
    let folder = try TemporaryFolder()
    let service = FakeService(delay: { request in
      request.prompt == "p0" ? .milliseconds(400) : .zero
    })
    let most = Mutex(0)
    _ = try await BatchRunner(try configuration(folder, lines(100), window: 4), service: service)
      .run { result, _ in
        if result.customID == "c0" { most.withLock { $0 = service.counts.withLock { $0.total } } }
      }
    #expect(most.withLock { $0 } <= 4 * JobLimits.resultsPerWindow)
    #expect(service.counts.withLock { $0.total } == 100)
  }

  @Test("Every line has exactly one result; bad ones are in the errors' file")
  func errors() async throws {
    let folder = try TemporaryFolder()
    _ = try folder.write(Array(try png().dropLast(30)), "cut.png")
    _ = try folder.write("no picture", "text.png")
    let data = Data(try png()).base64EncodedString()
    let text = """
      {"custom_id":"ok","image":"a.png","prompt":"x"}
      {"custom_id":"gone","image":"gone.png","prompt":"x"}

      {"custom_id":"ok","image":"a.png","prompt":"x"}
      not json
      {"custom_id":"folder","image":"/tmp","prompt":"x"}
      {"custom_id":"data","image":"data:image/png;base64,\(data)","prompt":"x"}
      {"custom_id":"data2","image":"data:image/png;base64,!!","prompt":"x"}
      """
    let service = FakeService()
    let configuration = try configuration(folder, text)
    let summary = try await BatchRunner(configuration, service: service).run()
    #expect(summary.exitCode == 2)
    #expect(summary.progress.succeeded == 2 && summary.progress.failed == 5)
    #expect(
      try folder.objects("out.jsonl").compactMap { $0["custom_id"] as? String } == ["ok", "data"])
    let errors = try folder.objects("out.errors.jsonl")
    let codes = errors.map { ($0["error"] as? [String: Any])?["code"] as? String }
    #expect(
      codes == [
        "image_not_found", "duplicate_custom_id", "invalid_json", "unreadable_image",
        "invalid_image",
      ])
    #expect(errors.map { $0["line"] as? Int } == [2, 4, 5, 6, 8])
    #expect(errors.allSatisfy { $0["response"] is NSNull })
  }

  @Test("The result line is OpenAI's batch output form, with our boxes")
  func form() async throws {
    let folder = try TemporaryFolder()
    let configuration = try configuration(folder, lines(1))
    _ = try await BatchRunner(configuration, service: FakeService()).run()
    #expect(
      folder.text("out.jsonl")
        == #"{"custom_id":"c0","error":null,"id":"batch_req_d87661f0da34a889","response":"#
        + #"{"body":{"boxes":[{"label":"cat","xyxy":[1.0,2.0,3.14,4.0]}],"choices":[{"#
        + #""finish_reason":"stop","index":0,"logprobs":null,"message":{"content":"p0","#
        + #""role":"assistant"},"token_ids":[7,8]}],"created":0,"id":"chatcmpl-d87661f0da34a889","#
        + #""model":"paligemma","object":"chat.completion","usage":{"completion_tokens":3,"#
        + #""prompt_tokens":5,"total_tokens":8}},"request_id":"req_d87661f0da34a889","#
        + #""status_code":200}}"# + "\n")
  }

  @Test("A lost cluster: every remaining line has its one error")
  func lost() async throws {
    let folder = try TemporaryFolder()
    let service = FakeService { _ in
      .milliseconds(1)
    } failure: { _, call in
      call > 10 ? Failure(code: "coordinator_lost", message: "gone") : nil
    }
    let summary = try await BatchRunner(
      try configuration(folder, lines(50)), service: service
    ).run()
    #expect(summary.progress.succeeded == 10 && summary.progress.failed == 40)
    let all = try folder.objects("out.jsonl") + folder.objects("out.errors.jsonl")
    #expect(Set(all.compactMap { $0["custom_id"] as? String }).count == 50)
    #expect(all.count == 50)
  }

  @Test("An overloaded service is asked again")
  func overloaded() async throws {
    let folder = try TemporaryFolder()
    let service = FakeService(failure: { _, call in
      call % 3 == 0 ? Failure(code: "overloaded", message: "later") : nil
    })
    let summary = try await BatchRunner(
      try configuration(folder, lines(20)), service: service
    ).run()
    #expect(summary.progress.succeeded == 20)
  }

  @Test("Files of an earlier run stay, unless told; the input is never overwritten")
  func overwriting() async throws {
    let folder = try TemporaryFolder()
    var configuration = try configuration(folder, lines(2) + "bad\n")
    _ = try await BatchRunner(configuration, service: FakeService()).run()
    let first = folder.text("out.jsonl")
    await #expect(throws: BatchError.exists(path: configuration.output)) {
      try await BatchRunner(configuration, service: FakeService()).run()
    }
    #expect(folder.text("out.jsonl") == first)
    configuration.isOverwriting = true
    _ = try folder.write(lines(2), "in.jsonl")
    _ = try await BatchRunner(configuration, service: FakeService()).run()
    #expect(folder.text("out.jsonl") == first)
    #expect(!FileManager.default.fileExists(atPath: folder.path("out.errors.jsonl")))
    configuration.output = configuration.input
    await #expect(throws: BatchError.sameFile(path: configuration.input)) {
      try await BatchRunner(configuration, service: FakeService()).run()
    }
    #expect(folder.text("in.jsonl") == lines(2))
  }

  @Test("Cancelling ends the run soon, with whole lines")
  func cancelled() async throws {
    let folder = try TemporaryFolder()
    let configuration = try configuration(folder, lines(1000), window: 4)
    let task = Task {
      try await BatchRunner(
        configuration, service: FakeService(delay: { _ in .milliseconds(20) })
      ).run()
    }
    try await Task.sleep(for: .milliseconds(100))
    task.cancel()
    let summary = try await task.value
    #expect(summary.isInterrupted && summary.exitCode == 2)
    #expect(try folder.objects("out.jsonl").count == summary.progress.succeeded)
    #expect(summary.progress.succeeded < 1000)
  }

  @Test("Annotated pictures are written under safe names")
  func annotations() async throws {
    let folder = try TemporaryFolder()
    var configuration = try configuration(
      folder,
      #"{"custom_id":"a","image":"a.png","prompt":"x"}"# + "\n"
        + #"{"custom_id":"../b","image":"a.png","prompt":"x"}"#)
    configuration.annotations = try AnnotationFolder(path: folder.path("drawn"))
    let summary = try await BatchRunner(configuration, service: FakeService()).run()
    #expect(summary.isComplete)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path("drawn")).sorted()
    #expect(names == ["_.._b-line2.png", "a.png"])
  }

  @Test("Error files are named after the output")
  func names() {
    #expect(BatchOutput.errorsPath(for: "/x/out.jsonl") == "/x/out.errors.jsonl")
    #expect(BatchOutput.errorsPath(for: "/x.y/out") == "/x.y/out.errors.jsonl")
    #expect(BatchOutput.errorsPath(for: "/x/a b.c.txt") == "/x/a b.c.errors.txt")
  }
}
