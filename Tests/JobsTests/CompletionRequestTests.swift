import Foundation
import Messaging
import Testing

@testable import Jobs

/// Bodies of OpenAI's completions, and the prompts that tasks build.
@Suite struct CompletionRequestTests {
  private func chat(_ fields: String, text: String = "a cat") throws -> CompletionRequest {
    let json = """
      {"messages": [{"role": "user", "content": "first"}, {"role": "assistant", "content": "ok"},
        {"role": "user", "content": [{"type": "text", "text": "\(text)"},
          {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]\(fields)}
      """
    return try JSONDecoder().decode(ChatCompletionBody.self, from: Data(json.utf8)).request
  }

  @Test(arguments: [
    ("", "a cat", "a cat"), (#", "task": "caption""#, "", "caption en"),
    (#", "task": "caption", "lang": "de""#, "ignored", "caption de"),
    (#", "task": "vqa""#, "who?", "answer en who?"), (#", "task": "detect""#, "cat", "detect cat"),
    (#", "task": "segment""#, "cat", "segment cat"), (#", "task": "count""#, "cats", "count cats"),
    (#", "task": "ocr""#, "", "ocr"), (#", "task": null"#, "x", "x"),
  ]) func tasksBuildPrompts(_ fields: String, _ text: String, _ prompt: String) throws {
    #expect(try chat(fields, text: text).prompts == [prompt])
  }

  @Test(arguments: [
    (#", "task": "vqa""#, ""), ("", ""), (#", "task": "x""#, "a"), (#", "lang": "en de""#, "a"),
    (#", "constrain": true"#, "a cat"), (#", "n": 0"#, "a"), (#", "timeout": 0"#, "a"),
    (#", "n": 9223372036854775807"#, "a"),
    (#", "stop": ["1", "2", "3", "4", "5"]"#, "a"), (#", "temperature": -1"#, "a"),
  ]) func wrongFieldsAreFailures(_ fields: String, _ text: String) {
    #expect(throws: Failure.self) { try chat(fields, text: text) }
  }

  @Test func choicesAreSeeded() throws {
    let request = try chat(
      #", "n": 3, "seed": 5, "stop": "end", "constrain": true"#, text: "detect x")
    func make() -> [AnswerRequest] {
      request.answerRequests(
        images: [], defaultTokens: 9, handling: Handling(priority: .batch, job: "j"))
    }
    let requests = make()
    #expect(requests == make())
    #expect(requests.map(\.sampling.seed).count == 3)
    #expect(Set(requests.map(\.sampling.seed)).count == 3)
    #expect(requests[0].sampling.seed == 5)
    #expect(requests[0].sampling.maximumTokens == 9)
    #expect(requests.allSatisfy { $0.stopTexts == ["end"] && $0.sampling.grammar == .detect })
    #expect(requests.allSatisfy { $0.handling.job == "j" })
    // Without a seed it is a new one each time.
    let free = try chat(#", "temperature": 1"#)
    let seeds = (0..<2).map { _ in
      free.answerRequests(images: [], defaultTokens: 1, handling: Handling())[0].sampling.seed
    }
    #expect(seeds[0] != seeds[1])
  }

  @Test func nothingOfThisMachineIsRead() async throws {
    for url in ["/etc/passwd", "file:///etc/passwd", "a.jpg"] {
      let json = #"{"prompt": "ocr", "images": ["\#(url)"]}"#
      let request = try JSONDecoder().decode(TextCompletionBody.self, from: Data(json.utf8)).request
      #expect(await failure { try await request.loadImages(remote: nil) }?.code == "local_image")
    }
  }
}
