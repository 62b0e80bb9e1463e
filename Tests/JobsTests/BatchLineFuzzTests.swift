import Fuzzing
import Messaging
import Testing

@testable import Jobs

/// Lines of a batch file that are nearly right: a request or a stated failure, never a trap.
@Suite struct BatchLineFuzzTests {
  private static let lines = [
    #"{"custom_id": "1", "image": "a.jpg", "prompt": "caption en"}"#,
    #"{"custom_id": "2", "image": "a.jpg", "prompts": ["caption en", "detect cat"], "seed": 7}"#,
    #"{"custom_id": "3", "image": "a/*.jpg", "prompt": "x", "max_tokens": 5, "temperature": 0.5}"#,
    #"{"custom_id": "4", "image": "data:image/png;base64,iVBORw0KGgo=", "task": "count", "#
      + #""prompt": "cats", "stop": ["a", "b"], "logprobs": true, "top_logprobs": 3}"#,
    #"{"custom_id":"5","method":"POST","url":"/v1/chat/completions","body":{"model":"m","#
      + #""messages":[{"role":"user","content":[{"type":"text","text":"caption en"},"#
      + #"{"type":"image_url","image_url":{"url":"file:///tmp/a.jpg"}}]}],"top_p":0.9}}"#,
  ]

  @Test(arguments: [true, false]) func mutatedLines(_ readsLocalFiles: Bool) {
    var mutation = Mutation(seed: readsLocalFiles ? 1 : 2)
    var (asked, failed) = (0, 0)
    for round in 0..<4000 {
      let bytes = mutation.of(Array(Self.lines[round % Self.lines.count].utf8))
      let line = BatchLine.parse(bytes, maximumTokens: 16, readsLocalFiles: readsLocalFiles)
      switch line.request {
      case .success(let request):
        asked += 1
        // Over HTTP no bytes whatever lead to a file of the server's.
        #expect(readsLocalFiles || !request.hasLocalFiles)
      case .failure(let failure):
        failed += 1
        #expect(!failure.code.isEmpty && !failure.message.isEmpty)
      }
    }
    #expect(failed > 400 && (asked > 40 || !readsLocalFiles), "\(asked) \(failed)")
  }
}
