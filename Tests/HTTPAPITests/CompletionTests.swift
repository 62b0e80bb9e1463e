import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Imaging
import Jobs
import Messaging
import Testing

@testable import HTTPAPI

/// Chat and text completions, in OpenAI's shapes.
@Suite struct CompletionTests {
  @Test func aChatIsAnswered() async throws {
    let bench = try Bench()
    try await bench.test { client in
      let (status, body, headers) = try await client.post(
        "/v1/chat/completions", chat("caption en", ["model": "paligemma", "unknown": 1]))
      #expect(status == 200)
      #expect(text(body, "object") == "chat.completion")
      #expect(text(body, "choices.0.message.content") == "caption en")
      #expect(text(body, "choices.0.message.role") == "assistant")
      #expect(text(body, "choices.0.finish_reason") == "stop")
      #expect(text(body, "choices.0.boxes.0.label") == "cat")
      #expect(at(body, "choices.0.logprobs") is NSNull)
      #expect(number(body, "usage.prompt_tokens") == 70)
      #expect(text(body, "id")?.hasPrefix("chatcmpl-") == true)
      #expect(headers[.requestID] == text(body, "id"))
    }
    let request = try #require(bench.fake.requests.first)
    #expect(request.images.count == 1 && request.sampling.maximumTokens == 256)
    #expect(request.handling.priority == .interactive && request.handling.deadline != nil)
    #expect(bench.server.core.gate.current == RequestGate.Load())
  }

  @Test func aStreamHasOpenAIsEvents() async throws {
    let bench = try Bench()
    let options: [String: Any] = [
      "stream": true, "stream_options": ["include_usage": true], "logprobs": true,
      "top_logprobs": 1,
    ]
    let body = try chat("what color is the circle", options)
    try await bench.test { client in
      let response = try await client.execute(
        uri: "/v1/chat/completions", method: .post, body: body)
      #expect(response.headers[.contentType]?.hasPrefix("text/event-stream") == true)
      let (events, isDone) = try response.events()
      #expect(isDone)
      #expect(text(events.first, "choices.0.delta.role") == "assistant")
      let whole = events.compactMap { text($0, "choices.0.delta.content") }.joined()
      #expect(whole == "what color is the circle")
      let tokens = events.flatMap { at($0, "choices.0.logprobs.content") as? [Any] ?? [] }
      #expect(tokens.count > 2)
      #expect(tokens.compactMap { text($0, "token") }.joined() == "what color is the circle")
      #expect(number(tokens.first, "bytes.0") == Int(UInt8(ascii: "w")))
      let closing = events[events.count - 2]
      #expect(text(closing, "choices.0.finish_reason") == "stop")
      #expect(text(closing, "choices.0.boxes.0.label") == "cat")
      #expect(at(closing, "usage") is NSNull)
      #expect((at(events.last, "choices") as? [Any])?.isEmpty == true)
      #expect(number(events.last, "usage.completion_tokens") ?? 0 > 2)
      #expect(events.allSatisfy { text($0, "object") == "chat.completion.chunk" })
    }
    #expect(try await eventually { bench.server.core.gate.current == RequestGate.Load() })
  }

  @Test func masksComeAsPicturesUnlessNotWanted() async throws {
    let bench = try Bench()
    try await bench.test { client in
      for (wants, more) in [(true, [:]), (true, ["mask_png": true]), (false, ["mask_png": false])] {
        let (status, body, _) = try await client.post(
          "/v1/chat/completions", chat("segment cat", more))
        #expect(status == 200)
        #expect((at(body, "choices.0.masks.0.size") as? [Int]) == [10, 20])
        #expect(text(body, "choices.0.masks.0.counts")?.isEmpty == false)
        let png = text(body, "choices.0.masks.0.png").flatMap { Data(base64Encoded: $0) }
        #expect((png != nil) == wants)
        if let png { #expect(try Picture.decode(Array(png)).rgb.first == 255) }
      }
    }
  }

  @Test func choicesHaveSeedsOfTheirOwn() async throws {
    let bench = try Bench()
    let body = try chat("caption en", ["n": 3, "seed": 7, "temperature": 1])
    try await bench.test { client in
      let (status, body, _) = try await client.post("/v1/chat/completions", body)
      #expect(status == 200)
      #expect((at(body, "choices") as? [Any])?.count == 3)
      #expect(number(body, "choices.2.index") == 2)
      // OpenAI counts the prompt once.
      #expect(number(body, "usage.prompt_tokens") == 70)
    }
    let seeds = bench.fake.requests.map(\.sampling.seed)
    #expect(Set(seeds).count == 3 && seeds.contains(7))
  }

  @Test func fieldsReachTheModel() async throws {
    let bench = try Bench()
    let fields: [String: Any] = [
      "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": -1, "timeout": 5,
      "stop": ["a", "b"], "task": "detect", "constrain": true,
    ]
    let body = try chat("red circle", fields)
    try await bench.test { client in
      let status = try await client.post("/v1/chat/completions", body).status
      #expect(status == 200)
    }
    let request = try #require(bench.fake.requests.first)
    #expect(request.prompt == "detect red circle")
    #expect(request.sampling.grammar == .detect)
    #expect(request.sampling.maximumTokens == 9)
    #expect(request.sampling.temperature == 0.5)
    #expect(request.sampling.topP == 0.9)
    #expect(request.sampling.seed == .max)
    #expect(request.stopTexts == ["a", "b"])
    let deadline = try #require(request.handling.deadline)
    #expect(deadline > .zero && deadline <= .seconds(5))
  }

  @Test func textCompletionsTakeSeveralPrompts() async throws {
    let bench = try Bench()
    let body = try json([
      "prompt": ["ocr", "caption en"], "image": pictureURI(), "logprobs": 1, "n": 2,
    ])
    try await bench.test { client in
      let (status, body, _) = try await client.post("/v1/completions", body)
      #expect(status == 200)
      #expect(text(body, "object") == "text_completion")
      let texts = (0..<4).map { text(body, "choices.\($0).text") }
      #expect(texts == ["ocr", "ocr", "caption en", "caption en"])
      #expect((at(body, "choices.0.logprobs.tokens") as? [String])?.joined() == "ocr")
      #expect(number(body, "usage.prompt_tokens") == 140)
    }
  }

  @Test(arguments: [
    (#"{"messages": 1}"#, 400, "messages", "invalid_request"),
    (#"{"messages": [{"role": "user", "content": [{"type": "text"}]}]}"#, 400, nil, nil),
    (#"{"messages": []}"#, 400, nil, "missing_prompt"),
    (
      #"{"messages": [{"role": "user", "content": "x"}], "model": "gpt-4o"}"#, 404, "model",
      "model_not_found"
    ),
    (#"{"messages": [{"role": "user", "content": "x"}], "n": 17}"#, 400, "n", nil),
    (#"{"messages": [{"role": "user", "content": "x"}], "n": "2"}"#, 400, "n", nil),
    (#"{"messages": [{"role": "user", "content": "x"}], "max_tokens": 99999}"#, 400, nil, nil),
    (#"{"messages": [{"role": "user", "content": "x"}], "tools": []}"#, 400, nil, nil),
    (#"{"messages": [{"role": "user", "content": "x"}], "task": "fly"}"#, 400, nil, nil),
    (#"{"messages": [{"role": "user", "content": "x"}], "constrain": true}"#, 400, nil, nil),
    ("{", 400, nil, "invalid_json"),
    ("[]", 400, nil, "invalid_json"),
  ]) func wrongRequestsSayWhatIsWrong(
    _ body: String, _ status: Int, _ parameter: String?, _ code: String?
  ) async throws {
    let bench = try Bench()
    try await bench.test { client in
      let response = try await client.post("/v1/chat/completions", ByteBuffer(string: body))
      #expect(response.status == status)
      #expect(text(response.json, "error.message")?.isEmpty == false)
      if let parameter { #expect(text(response.json, "error.param") == parameter) }
      if let code { #expect(text(response.json, "error.code") == code) }
    }
    #expect(bench.fake.requests.isEmpty)
    #expect(bench.server.core.gate.current == RequestGate.Load())
  }

  /// Two prompts times so many choices overflow; that once ended the server.
  @Test func choicesBeyondNumbersAreRefused() async throws {
    let bench = try Bench()
    try await bench.test { client in
      let body = ByteBuffer(string: #"{"prompt": ["a", "b"], "n": 9223372036854775807}"#)
      let response = try await client.post("/v1/completions", body)
      #expect(response.status == 400)
      #expect(text(response.json, "error.message")?.contains("n must be") == true)
    }
    #expect(bench.fake.requests.isEmpty)
  }

  @Test(arguments: [
    ("file:///etc/passwd", "local_image"), ("/etc/passwd", "local_image"),
    ("https://example.com/a.png", "remote_image"), ("data:image/png;base64,*", "invalid_image"),
  ]) func picturesOfThisMachineAreNotRead(_ url: String, _ code: String) async throws {
    let bench = try Bench()
    let body = try json(["prompt": "ocr", "image": url])
    try await bench.test { client in
      let response = try await client.post("/v1/completions", body)
      #expect(response.status == 400)
      #expect(text(response.json, "error.code") == code)
    }
  }

  @Test(arguments: [
    ("overloaded", 429), ("worker_lost", 503), ("deadline_exceeded", 504), ("no_image", 400),
    ("image_too_large", 413), ("internal", 500),
  ]) func failuresHaveTheirStatus(_ code: String, _ status: Int) async throws {
    let bench = try Bench(failure: Failure(code: code, message: "because"))
    for isStreaming in [false, true] {
      let body = try chat("ocr", ["stream": isStreaming])
      try await bench.test { client in
        let response = try await client.post("/v1/chat/completions", body)
        #expect(response.status == status)
        #expect(text(response.json, "error.code") == code)
        #expect((response.headers[.retryAfter] != nil) == (status == 429 || status == 503))
      }
    }
    let metrics = try await bench.test {
      String(buffer: try await $0.execute(uri: "/metrics", method: .get).body)
    }
    #expect(metrics.contains(#"palisade_answers_total{outcome="\#(code)"} 2"#))
  }

  @Test func notReadyIs503() async throws {
    let bench = try Bench(state: "gathering")
    let body = try chat("ocr")
    try await bench.test { client in
      let status = try await client.post("/v1/chat/completions", body).status
      #expect(status == 503)
      #expect(try await client.fetch("/readyz").status == 503)
      #expect(try await client.fetch("/healthz").status == 200)
    }
  }
}
