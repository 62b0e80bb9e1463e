import Foundation
import Imaging
import Messaging
import PaliGemma
import Pipelining
import Synchronization
import Tensors
import Testing
import Tokenization

@testable import Jobs

@Suite struct EngineAnswerServiceTests {
  private let config: ModelConfig
  private let tokenizer: Tokenizer

  init() throws {
    config = try Fixture.config()
    tokenizer = try Fixture.tokenizer()
  }

  private func completion(_ ids: [Int32], _ finish: FinishReason) -> Completion {
    Completion(tokens: ids.map { TokenLogprob(tokenID: $0, logprob: -0.5) }, finish: finish)
  }

  private func request(
    _ prompt: String = "caption en", images: Int = 1,
    _ sampling: Sampling = Sampling(maximumTokens: 4)
  ) throws -> AnswerRequest {
    AnswerRequest(
      images: try (0..<images).map { EncodedImage(name: "\($0)", bytes: try png()) },
      prompt: prompt, sampling: sampling)
  }

  @Test("The engine gets resized pixels, the prompt's tokens and the model's end tokens")
  func preparing() async throws {
    let engine = FakeEngine(config: config, .success(completion([5], .length)))
    let service = EngineAnswerService(engine: engine, tokenizer: tokenizer)
    let answer = try await service.answer(try request(images: 2))
    let prepared = try #require(engine.requests.withLock { $0.first })
    let side = config.vision.imageSide
    #expect(prepared.pixels.shape == [2, side, side, 3])
    #expect(prepared.pixels.withBytes { $0.allSatisfy { $0 == 90 } })
    let layout = try tokenizer.layout(
      prompt: "caption en", imageCount: 2, tokensPerImage: config.imageTokenCount)
    #expect(prepared.textTokenIDs == layout.textTokenIDs)
    #expect(prepared.sampling.stopTokenIDs == config.endTokenIDs)
    #expect(answer.promptTokens == layout.tokenCount)
    #expect(
      answer.imageSizes == [ImageSize(width: 20, height: 10), ImageSize(width: 20, height: 10)])
  }

  @Test("The end token counts as generated, and is left out of the answer")
  func ending() async throws {
    let word = try tokenizer.encode("cat")
    let end = try #require(config.endTokenIDs.first)
    var sampling = Sampling(maximumTokens: 4)
    sampling.wantsLogprobs = true
    let stopped = try await EngineAnswerService(
      engine: FakeEngine(config: config, .success(completion(word + [end], .stop))),
      tokenizer: tokenizer
    ).answer(try request("x", sampling))
    #expect(stopped.text == "cat" && stopped.tokenIDs == word && stopped.finishWord == "stop")
    #expect(stopped.completionTokens == word.count + 1)
    #expect(stopped.logprobs.map(\.tokenID) == word)
    let cut = try await EngineAnswerService(
      engine: FakeEngine(config: config, .success(completion(word, .length))), tokenizer: tokenizer
    ).answer(try request("x"))
    #expect(cut.completionTokens == word.count && cut.finishWord == "length")
    #expect(cut.logprobs.isEmpty)
  }

  @Test("Location tokens become boxes in pixels of the first picture")
  func boxes() async throws {
    let ids = try tokenizer.encode("<loc0256><loc0512><loc0512><loc1023> cat ; <loc0001> broken")
    let answer = try await EngineAnswerService(
      engine: FakeEngine(config: config, .success(completion(ids, .length))), tokenizer: tokenizer
    ).answer(try request("detect cat"))
    #expect(answer.boxes.count == 1)
    let box = try #require(answer.boxes.first)
    #expect(box == Box(label: "cat", x1: 10, y1: 2.5, x2: 1023.0 / 1024 * 20, y2: 5))
    #expect(answer.text.hasPrefix("<loc0256><loc0512>"))
    #expect(
      answer.malformed == [MalformedText(reason: "location_count", text: "<loc0001> broken")])
  }

  @Test("Requests that cannot be asked say why")
  func refusals() async throws {
    let engine = FakeEngine(config: config, .success(completion([5], .length)))
    let service = EngineAnswerService(engine: engine, tokenizer: tokenizer)
    func code(_ change: (inout AnswerRequest) throws -> Void) async throws -> String? {
      var request = try request()
      try change(&request)
      return await failure { try await service.answer(request) }?.code
    }
    #expect(try await code { $0.images = [] } == "no_image")
    #expect(try await code { $0.images[0].content = Frame(bytes: []) } == "invalid_image")
    #expect(
      try await code { $0.images[0].content = Frame(bytes: Array("GIF89a....".utf8)) }
        == "unsupported_image")
    #expect(
      try await code { $0.images[0].content = Frame(bytes: Array(try png().prefix(60))) }
        == "invalid_image")
    #expect(
      try await code { $0.prompt = String(repeating: "word ", count: 9000) } == "prompt_too_long")
    #expect(try await code { $0.sampling.maximumTokens = 0 } == "invalid_sampling")
    #expect(try await code { $0.sampling.maximumTokens = 60_000 } == "too_many_tokens")
    #expect(try await code { $0.sampling.maximumTokens = .max } == "too_many_tokens")
    #expect(try await code { $0.sampling.topP = .nan } == "invalid_sampling")
    #expect(
      try await code { request in
        request.images = Array(repeating: request.images[0], count: 65)
      } == "too_many_images")
    #expect(engine.requests.withLock { $0.isEmpty })
  }

  @Test("The engine's failures pass through to the client's reply; overload is marked busy")
  func replies() async throws {
    func reply(_ result: Result<Completion, Failure>, images: Int = 1) async throws -> Reply {
      let handler = ClientRequestHandler(
        service: EngineAnswerService(
          engine: FakeEngine(config: config, result), tokenizer: tokenizer))
      let frames = try (0..<images).map { _ in Frame(bytes: try png()) }
      return await handler.reply(
        to: Submit(tag: 9, prompt: "x", images: frames, sampling: Sampling(maximumTokens: 4)))
    }
    let good = try await reply(.success(completion([5], .length)))
    #expect(good.tag == 9 && good.failure == nil && good.tokenIDs == [5])
    let lost = try await reply(.failure(Failure(code: "worker_lost", message: "m")))
    #expect(lost.failure?.code == "worker_lost" && !lost.isBusy)
    let busy = try await reply(.failure(Failure(code: "overloaded", message: "m")))
    #expect(busy.tag == 9 && busy.isBusy)
    #expect(
      try await reply(.success(completion([5], .length)), images: 0).failure?.code == "no_image")
    let other = ModelIdentity(fingerprint: "m", precision: "int8")
    let served = ModelIdentity(fingerprint: "m", precision: "f32")
    for (wanted, code) in [(nil, nil), (served, nil), (other, "model_changed")] {
      let handler = ClientRequestHandler(
        service: EngineAnswerService(
          engine: FakeEngine(config: config, .success(completion([5], .length))),
          tokenizer: tokenizer), model: served)
      let submit = Submit(
        tag: 9, prompt: "x", images: [Frame(bytes: try png())],
        sampling: Sampling(maximumTokens: 4), handling: Handling(model: wanted))
      let reply = await handler.reply(to: submit)
      #expect(reply.failure?.code == code && !reply.isBusy)
    }
    let huge = try await reply(.success(completion(Array(repeating: 300, count: 70_000), .length)))
    #expect(huge.failure?.code == "reply_too_large")
  }
}
