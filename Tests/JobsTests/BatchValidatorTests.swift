import Foundation
import Messaging
import Testing

@testable import Jobs

@Suite struct BatchValidatorTests {
  @Test("Everything that can be known without the model is found, and nothing is written")
  func problems() async throws {
    let folder = try TemporaryFolder()
    _ = try folder.write(try png(), "a.png")
    _ = try folder.write(Array(try png().dropLast(30)), "cut.png")
    let text = """
      {"custom_id":"ok","image":"a.png","prompt":"x"}
      {"custom_id":"ok","image":"a.png","prompt":"x"}
      {"custom_id":"cut","image":"cut.png","prompt":"x"}
      {"custom_id":"none","prompt":"x"}
      {"custom_id":"long","image":"a.png","prompt":"x","max_tokens":16000}
      {"custom_id":"prompts","image":"a.png","prompts":["x","y"]}
      nonsense
      """
    let configuration = BatchRunner.Configuration(
      input: try folder.write(text, "in.jsonl"), output: "")
    let before = try FileManager.default.contentsOfDirectory(atPath: folder.url.path()).sorted()
    func codes(_ preparation: RequestPreparation?) async throws -> [String: Int] {
      var named: [String: String] = [:]
      let progress = try await BatchValidator(configuration, preparation: preparation).run {
        result, _ in
        if case .failure(let failure) = result.outcome { named[failure.code] = result.customID }
      }
      #expect(progress.lineCount == 7)
      #expect(named["duplicate_custom_id"] == "ok" && named["no_image"] == "none")
      return progress.failures
    }
    var expected = [
      "duplicate_custom_id": 1, "invalid_image": 1, "no_image": 1, "invalid_json": 1,
    ]
    #expect(try await codes(nil) == expected)
    expected["too_many_tokens"] = 1
    let preparation = RequestPreparation(
      config: try Fixture.config(), tokenizer: try Fixture.tokenizer())
    #expect(try await codes(preparation) == expected)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: folder.url.path()).sorted() == before)
  }
}
