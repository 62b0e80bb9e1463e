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

  @Test("The bytes of a line do not depend on time or window, nor do those of an ordered file")
  func order() async throws {
    var outputs: Set<String> = []
    for window in [1, 3, 16] {
      let folder = try TemporaryFolder()
      let service = FakeService(delay: { _ in .milliseconds(Int.random(in: 0...15)) })
      var configuration = try configuration(folder, lines(60), window: window)
      configuration.isOrdered = window == 16
      let summary = try await BatchRunner(configuration, service: service).run()
      #expect(summary.exitCode == 0)
      #expect(summary.progress.succeeded == 60 && summary.progress.imageCount == 60)
      #expect(summary.progress.tokenCount == 180)
      #expect(service.counts.withLock { $0.most } <= window)
      if window > 1 { #expect(service.counts.withLock { $0.most } > 1) }
      let ids = try folder.objects("out.jsonl").compactMap { $0["custom_id"] as? String }
      if window != 3 { #expect(ids == (0..<60).map { "c\($0)" }) }
      outputs.insert(folder.text("out.jsonl").split(separator: "\n").sorted().joined())
      #expect(!FileManager.default.fileExists(atPath: folder.path("out.errors.jsonl")))
      #expect(!FileManager.default.fileExists(atPath: folder.path("out.jsonl.ordered")))
    }
    #expect(outputs.count == 1)
  }

  @Test("The window follows the cluster's plan, and what a user says goes before it")
  func windowOfTheCluster() async throws {
    for (window, room, most) in [(nil, 50, 50), (5, 50, 5), (nil, nil, 32), (nil, 3, 32)] {
      let folder = try TemporaryFolder()
      // Long enough that all that may be under way are, however busy the machine is.
      let service = FakeService(delay: { _ in .milliseconds(400) })
      var configuration = try configuration(folder, lines(most + 20))
      configuration.window = window
      configuration.roomInCluster = { room }
      let summary = try await BatchRunner(configuration, service: service).run()
      #expect(summary.exitCode == 0)
      #expect(service.counts.withLock { $0.most } == most, "\(String(describing: room))")
    }
  }

  @Test("A window beyond the usual holds no more bytes of pictures than the usual one may")
  func windowOfLargePictures() {
    func window(_ largest: Int, room: Int? = 400, fixed: Int? = nil) -> Int {
      BatchRun.inFlight(window: fixed, room: room, largestByteCount: largest)
    }
    #expect(window(0) == 400 && window(3_000_000) == 400)
    #expect(window(10 << 20) == 204)
    #expect(window(JobLimits.requestImageByteCount) == JobLimits.defaultWindow)
    #expect(window(0, room: nil) == JobLimits.defaultWindow && window(0, room: 9999) == 512)
    #expect(window(10 << 20, fixed: 500) == 500 && window(0, fixed: 0) == 1)
  }

  @Test("Results appear as they finish, whatever waits in front of them")
  func asTheyFinish() async throws {
    let folder = try TemporaryFolder()
    let service = FakeService(delay: { request in
      request.prompt == "p0" ? .milliseconds(300) : .zero
    })
    var ids: [String?] = []
    _ = try await BatchRunner(try configuration(folder, lines(40), window: 4), service: service)
      .run { result, _ in ids.append(result.customID) }
    #expect(ids.first != "c0")
    #expect(Set(ids).count == 40)
    #expect(try folder.objects("out.jsonl").map { $0["custom_id"] as? String } == ids)
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
      {"custom_id":"folder","image":"/dev/null","prompt":"x"}
      {"custom_id":"data","image":"data:image/png;base64,\(data)","prompt":"x"}
      {"custom_id":"data2","image":"data:image/png;base64,!!","prompt":"x"}
      """
    let service = FakeService()
    var configuration = try configuration(folder, text)
    configuration.isOrdered = true
    let summary = try await BatchRunner(configuration, service: service).run()
    #expect(summary.exitCode == 2)
    #expect(
      summary.failures == [
        "image_not_found": 1, "duplicate_custom_id": 1, "invalid_json": 1, "unreadable_image": 1,
        "invalid_image": 1,
      ])
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

  @Test("Several prompts are one line with several choices, asked with the same pictures")
  func prompts() async throws {
    let folder = try TemporaryFolder()
    let configuration = try configuration(
      folder,
      #"{"custom_id":"a","image":"a.png","prompts":["x","y"]}"# + "\n"
        + #"{"custom_id":"b","image":"a.png","prompts":["x","bad"]}"#)
    let service = FakeService(failure: { request, _ in
      request.prompt == "bad" ? Failure(code: "invalid_prompt", message: "no") : nil
    })
    let summary = try await BatchRunner(configuration, service: service).run()
    #expect(summary.progress.succeeded == 1 && summary.progress.failed == 1)
    let line = try #require(try folder.objects("out.jsonl").first)
    let response = try #require(line["response"] as? [String: Any])
    let body = try #require(response["body"] as? [String: Any])
    let choices = try #require(body["choices"] as? [[String: Any]])
    #expect(choices.map { $0["index"] as? Int } == [0, 1])
    #expect(choices.map { $0["prompt"] as? String } == ["x", "y"])
    #expect(choices.allSatisfy { ($0["boxes"] as? [[String: Any]])?.count == 1 })
    #expect(body["boxes"] == nil)
    #expect((body["usage"] as? [String: Int])?["completion_tokens"] == 6)
    let error = try #require(try folder.objects("out.errors.jsonl").first)
    #expect((error["error"] as? [String: String])?["message"] == "prompt 2: no")
  }

  @Test("Requests say that they are a batch's, and of one job")
  func handling() async throws {
    let folder = try TemporaryFolder()
    let seen = Mutex<[Handling]>([])
    let service = FakeService(failure: { request, _ in
      seen.withLock { $0.append(request.handling) }
      return nil
    })
    _ = try await BatchRunner(try configuration(folder, lines(3)), service: service).run()
    let handlings = seen.withLock { $0 }
    #expect(handlings.count == 3 && Set(handlings.map(\.job)).count == 1)
    #expect(handlings.allSatisfy { $0.priority == .batch && !$0.job.isEmpty })
  }

  @Test("A picture by http is fetched if the run has a source, else refused with the remedy")
  func remotePictures() async throws {
    struct Source: RemoteImageSource {
      func image(at url: String) async throws(Failure) -> EncodedImage {
        EncodedImage(name: url, bytes: [1, 2, 3])
      }
    }
    let line = #"{"custom_id":"a","image":"https://host/a.png","prompt":"x"}"#
    for hasSource in [false, true] {
      let folder = try TemporaryFolder()
      var configuration = try configuration(folder, line)
      if hasSource { configuration.remoteImages = Source() }
      let summary = try await BatchRunner(configuration, service: FakeService()).run()
      #expect(summary.progress.succeeded == (hasSource ? 1 : 0))
      if !hasSource { #expect(folder.text("out.errors.jsonl").contains("--allow-image-host")) }
    }
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

  @Test("Files of nobody's stay, unless told; the input is never overwritten")
  func overwriting() async throws {
    let folder = try TemporaryFolder()
    var configuration = try configuration(folder, lines(2))
    _ = try folder.write("mine\n", "out.jsonl")
    await #expect(throws: BatchError.exists(path: configuration.output)) {
      try await BatchRunner(configuration, service: FakeService()).run()
    }
    #expect(folder.text("out.jsonl") == "mine\n")
    configuration.mode = .restart
    _ = try await BatchRunner(configuration, service: FakeService()).run()
    #expect(try folder.objects("out.jsonl").count == 2)
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
