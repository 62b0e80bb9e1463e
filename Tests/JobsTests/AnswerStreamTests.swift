import Messaging
import PaliGemma
import Pipelining
import Synchronization
import Testing
import Tokenization

@testable import Jobs

/// Text as it comes, and the texts that end it.
@Suite struct AnswerStreamTests {
  private struct Run {
    let deltas: [AnswerDelta]
    let answer: Answer
    var text: String { deltas.map(\.text).joined() }
  }

  /// Plays a text as tokens of the fixture's tokenizer through the service.
  private func run(_ text: String, stops: [String] = [], ends: Bool = true) async throws -> Run {
    let config = try Fixture.config()
    let tokenizer = try Fixture.tokenizer()
    var ids = try tokenizer.encode(text)
    if ends { ids += config.endTokenIDs.prefix(1) }
    let engine = FakeEngine(
      config: config,
      .success(
        Completion(
          tokens: ids.map { TokenLogprob(tokenID: $0, logprob: 0) },
          finish: ends ? .stop : .length)))
    let service = EngineAnswerService(engine: engine, tokenizer: tokenizer)
    let deltas = Mutex<[AnswerDelta]>([])
    let request = AnswerRequest(
      images: [EncodedImage(name: "a", bytes: try png())], prompt: "caption en",
      sampling: Sampling(maximumTokens: 200),
      stopTexts: stops)
    let answer = try await service.answer(request) { delta in deltas.withLock { $0.append(delta) } }
    return Run(deltas: deltas.withLock { $0 }, answer: answer)
  }

  @Test(arguments: ["a red circle", "Zürich 🚀 größer", "", "<loc0001><loc0002>", "a\nb  c"])
  func piecesJoinedAreTheAnswer(_ text: String) async throws {
    let run = try await run(text)
    #expect(run.text == run.answer.text)
    #expect(run.deltas.flatMap(\.tokens).map(\.tokenID) == run.answer.tokenIDs)
    #expect(run.deltas.allSatisfy { !$0.text.isEmpty || !$0.tokens.isEmpty })
    let short = try await self.run(text, ends: false)
    #expect(short.text == run.text)
    #expect(short.answer.finish == .length)
  }

  @Test(arguments: [
    ("a red circle and a blue square", ["blue"], "a red circle and a "),
    ("a red circle and a blue square", [" circle", "red circle"], "a "),
    ("one two three", ["absent", "three four"], "one two three"),
    ("aaab", ["aab"], "a"), ("stop", ["stop"], ""), ("x;y", ["", ";"], "x"),
    ("größer 🚀 rot", ["🚀"], "größer "),
  ])
  func anAnswerEndsBeforeItsStopText(_ text: String, _ stops: [String], _ expected: String)
    async throws
  {
    let run = try await run(text, stops: stops)
    #expect(run.answer.text == expected)
    #expect(run.text == expected)
    #expect(run.answer.finish == .stop)
    #expect(run.answer.completionTokens >= run.answer.tokenIDs.count)
  }

  @Test func whatMayBecomeAStopTextIsHeldBack() async throws {
    let run = try await run("one two three", stops: ["two four"])
    #expect(run.text == "one two three")
    #expect(!run.deltas.contains { $0.text.hasSuffix("two") })
  }
}
