import Foundation
import Messaging
import Testing

@testable import Jobs

@Suite struct BatchLineTests {
  private func parse(_ text: String) -> BatchLine {
    BatchLine.parse(Array(text.utf8), maximumTokens: 256)
  }

  private func chat(_ body: String) -> BatchLine {
    parse(
      #"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{\#(body)}}"#)
  }

  private static let messages =
    #""messages":[{"role":"user","content":[{"type":"text","text":"caption en"},"#
    + #"{"type":"image_url","image_url":{"url":"a.jpg"}}]}]"#

  @Test("The short form, bare and with everything")
  func short() throws {
    let bare = parse(#"{"custom_id":"1","image":"a b.jpg","prompt":" caption en\n"}"#)
    #expect(bare.customID == "1")
    let request = try bare.request.get()
    #expect(request.images == [.file("a b.jpg")])
    #expect(request.prompt == " caption en\n")
    #expect(request.sampling == Sampling(maximumTokens: 256))

    let full = try parse(
      #"{"custom_id":"2","images":["a.jpg","file:///x/b%20c.png"],"prompt":"x","max_tokens":9,"#
        + #""temperature":0.5,"top_k":4,"top_p":0.9,"seed":18446744073709551615,"logprobs":3}"#
    ).request.get()
    #expect(full.images == [.file("a.jpg"), .file("/x/b c.png")])
    #expect(
      full.sampling
        == Sampling(
          temperature: 0.5, topK: 4, topP: 0.9, seed: .max, maximumTokens: 9, logprobCount: 3,
          wantsLogprobs: true))
  }

  @Test("Several prompts, each with its own grammar; a remote picture")
  func prompts() throws {
    let request = try parse(
      #"{"custom_id":"1","image":"https://x/a.jpg","prompts":["detect a","segment b"],"#
        + #""constrain":true}"#
    ).request.get()
    #expect(request.images == [.remote("https://x/a.jpg")])
    #expect(request.prompts.map(\.text) == ["detect a", "segment b"])
    #expect(request.prompts.map(\.grammar) == [.detect, .segment])
  }

  @Test("The chat form: the last user text, the pictures of all user messages")
  func chat() throws {
    let line = chat(
      #""model":"m","messages":[{"role":"system","content":"be brief"},"#
        + #"{"role":"user","content":[{"type":"image_url","image_url":"a.jpg"},"#
        + #"{"type":"text","text":"old"}]},{"role":"assistant","content":null},"#
        + #"{"role":"user","content":[{"type":"text","text":"detect cat"},"#
        + #"{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}},"#
        + #"{"type":"text","text":"; dog"}]}],"max_tokens":5,"max_completion_tokens":7,"#
        + #""logprobs":true,"top_logprobs":2,"seed":-1,"n":1,"stream":false,"stop":null,"#
        + #""response_format":{"type":"text"},"user":"x""#)
    let request = try line.request.get()
    #expect(request.images == [.file("a.jpg"), .base64("AAAA")])
    #expect(request.prompt == "detect cat ; dog")
    #expect(request.model == "m")
    #expect(request.sampling.maximumTokens == 7)
    #expect(request.sampling.seed == .max)
    #expect(request.sampling.wantsLogprobs && request.sampling.logprobCount == 2)
    #expect(try chat(Self.messages).request.get().prompt == "caption en")
  }

  static let badLines: [(String, String)] = [
    ("{", "invalid_json"), ("[]", "invalid_json"), ("1", "invalid_json"), ("null", "invalid_json"),
    ("{} {}", "invalid_json"), (#"{"custom_id":"a""#, "invalid_json"),
    (#"{"image":"a","prompt":"b"}"#, "missing_custom_id"),
    (#"{"custom_id":null,"image":"a","prompt":"b"}"#, "missing_custom_id"),
    (#"{"custom_id":7,"image":"a","prompt":"b"}"#, "missing_custom_id"),
    (#"{"custom_id":"","image":"a","prompt":"b"}"#, "invalid_custom_id"),
    (#"{"custom_id":"a"}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","body":{}}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a"}"#, "missing_prompt"),
    (#"{"custom_id":"a","image":"a","prompt":3}"#, "invalid_request"),
    (#"{"custom_id":"a","image":3,"prompt":"b"}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"","prompt":"b"}"#, "invalid_image_url"),
    (#"{"custom_id":"a","image":"x\u0000y","prompt":"b"}"#, "invalid_image_url"),
    (#"{"custom_id":"a","image":"a","images":["b"],"prompt":"b"}"#, "invalid_request"),
    (#"{"custom_id":"a","images":"b","prompt":"b"}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"ftp://x/a.jpg","prompt":"b"}"#, "remote_image"),
    (#"{"custom_id":"a","image":"S3://x/a.jpg","prompt":"b"}"#, "remote_image"),
    (#"{"custom_id":"a","image":"a","prompt":"b","prompts":["c"]}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompts":[]}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompts":"c"}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompts":["c",""]}"#, "missing_prompt"),
    (#"{"custom_id":"a","image":"file://host/a.jpg","prompt":"b"}"#, "invalid_image_url"),
    (#"{"custom_id":"a","image":"file://a.jpg","prompt":"b"}"#, "invalid_image_url"),
    (#"{"custom_id":"a","image":"file:///%ZZ","prompt":"b"}"#, "invalid_image_url"),
    (#"{"custom_id":"a","image":"data:image/png,abc","prompt":"b"}"#, "invalid_image_url"),
    (#"{"custom_id":"a","image":"data:image/png;base64","prompt":"b"}"#, "invalid_image_url"),
    (#"{"custom_id":"a","image":"a","prompt":"b","max_tokens":0}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","max_tokens":"9"}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","max_tokens":1e30}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","max_tokens":1.5}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","max_tokens":99999999}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","temperature":-1}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","temperature":1e99}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","top_p":0}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","top_p":1.1}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","top_k":-1}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","seed":1e20}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","logprobs":65}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","logprobs":-1}"#, "invalid_request"),
    (#"{"custom_id":"a","image":"a","prompt":"b","top_logprobs":2}"#, "invalid_request"),
    (#"{"custom_id":"a","method":"GET","body":{}}"#, "invalid_method"),
    (#"{"custom_id":"a","url":"/v1/embeddings","body":{}}"#, "invalid_url"),
    (#"{"custom_id":"a","method":"POST"}"#, "invalid_request"),
    (#"{"custom_id":"a","body":7}"#, "invalid_request"),
    (#"{"custom_id":"a","body":{}}"#, "invalid_request"),
    (#"{"custom_id":"a","body":{"messages":[]}}"#, "missing_prompt"),
    (#"{"custom_id":"a","body":{"messages":[{"role":"system","content":"x"}]}}"#, "missing_prompt"),
    (#"{"custom_id":"a","body":{"messages":[{"role":"king","content":"x"}]}}"#, "invalid_request"),
    (#"{"custom_id":"a","body":{"messages":[{"role":"user"}]}}"#, "invalid_request"),
    (#"{"custom_id":"a","body":{"messages":[{"role":"user","content":[]}]}}"#, "missing_prompt"),
    (
      #"{"custom_id":"a","body":{"messages":[{"role":"user","content":[{"type":"input_audio"}]}]}}"#,
      "unsupported_content"
    ),
  ]

  @Test("Bad lines are one failure each, and keep their name if they have one", arguments: badLines)
  func bad(_ text: String, _ code: String) {
    let line = parse(text)
    guard case .failure(let failure) = line.request else {
      Issue.record("\(text) was taken for a request")
      return
    }
    #expect(failure.code == code, "\(text): \(failure.message)")
    #expect(!failure.message.isEmpty)
    let named = text.hasPrefix(#"{"custom_id":"a""#) && code != "invalid_json"
    #expect(line.customID == (named ? "a" : nil))
  }

  @Test(
    "What would change the answer is refused",
    arguments: [
      #""n":2"#, #""stream":true"#, #""tools":[]"#,
      #""response_format":{"type":"json_object"}"#,
    ])
  func unsupported(_ field: String) {
    guard case .failure(let failure) = chat("\(Self.messages),\(field)").request else {
      Issue.record("\(field) was accepted")
      return
    }
    #expect(failure.code == "unsupported_parameter")
  }

  @Test("Messages name the place")
  func places() {
    let line = chat(#""messages":[{"role":"user","content":[{"type":"text"}]}]"#)
    guard case .failure(let failure) = line.request else { return }
    #expect(failure.message == "body.messages[0].content[0].text is missing")
  }

  @Test("Deep nesting and broken UTF-8 are no more than bad lines")
  func hostile() {
    for depth in [400, 100_000] {
      let deep = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
      let line = parse(#"{"custom_id":"a","image":"a","prompt":\#(deep)}"#)
      #expect(throws: Failure.self) { try line.request.get() }
    }
    let broken =
      Array(#"{"custom_id":"a","image":"a","prompt":""#.utf8) + [0xFF] + Array("\"}".utf8)
    #expect(throws: Failure.self) {
      try BatchLine.parse(broken, maximumTokens: 1).request.get()
    }
    #expect(BatchLine.parse(nil, maximumTokens: 1).customID == nil)
  }
}
