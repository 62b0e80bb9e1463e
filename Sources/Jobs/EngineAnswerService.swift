import Imaging
import Messaging
import PaliGemma
import Pipelining
import Tokenization

/// Answers requests with an engine: preparation in front, decoding of the tokens behind.
///
/// Preparation runs on the caller's task, so that pictures are decoded while the engine computes;
/// who bounds the requests under way bounds the decoded pictures too.
public struct EngineAnswerService: AnswerService {
  /// What makes requests ready.
  public let preparation: RequestPreparation
  private let engine: any Engine
  private let maskDecoder: MaskDecoder?

  /// Answers with `engine`, whose model `tokenizer` belongs to.
  ///
  /// - Parameters:
  ///   - engine: computes tokens.
  ///   - tokenizer: of the engine's model.
  ///   - imageLimits: what a picture may cost.
  ///   - maskDecoder: makes masks of the answers' `<seg>` tokens; without one they stay code words.
  public init(
    engine: any Engine, tokenizer: Tokenizer, imageLimits: ImageLimits = .standard,
    maskDecoder: MaskDecoder? = nil
  ) {
    self.engine = engine
    self.maskDecoder = maskDecoder
    preparation = RequestPreparation(
      config: engine.config, tokenizer: tokenizer, imageLimits: imageLimits)
  }

  /// Answers one request.
  public func answer(
    _ request: AnswerRequest, onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer {
    let prepared = try preparation.prepare(request)
    guard onDelta != nil || !request.stopTexts.isEmpty else {
      return try answer(from: try await engine.complete(prepared.request), to: prepared)
    }
    return try await stream(prepared, stopTexts: request.stopTexts, onDelta: onDelta)
  }

  /// Answers piece by piece, and ends the engine's work at a stop text.
  private func stream(
    _ prepared: PreparedAnswer, stopTexts: [String], onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer {
    let engine = engine
    let stream = AnswerStream(
      tokenizer: preparation.tokenizer, endTokens: prepared.request.sampling.stopTokenIDs,
      stopTexts: stopTexts, onDelta: onDelta)
    // A task of its own, so that a stop text can end it and not the caller.
    let work = AnswerStream.Work {
      do throws(Failure) {
        return .success(try await engine.complete(prepared.request) { stream.push($0) })
      } catch { return .failure(error) }
    }
    stream.attach(work)
    let result = await withTaskCancellationHandler {
      await work.value
    } onCancel: {
      work.cancel()
    }
    guard let (text, tokens) = stream.finish() else {
      return try answer(from: try result.get(), to: prepared)
    }
    var answer = try answer(from: Completion(tokens: tokens, finish: .stop), to: prepared)
    answer.text = text
    return answer
  }

  /// Reads the engine's tokens as text, boxes and counts.
  func answer(
    from completion: Completion, to prepared: PreparedAnswer
  ) throws(Failure) -> Answer {
    guard completion.finish != .failed else {
      throw Failure(code: "internal", message: "the engine gave up without a cause; report this")
    }
    var tokens = completion.tokens
    if completion.finish == .stop, let last = tokens.last,
      prepared.request.sampling.stopTokenIDs.contains(last.tokenID)
    {
      tokens.removeLast()
    }
    let ids = tokens.map(\.tokenID)
    let tokenizer = preparation.tokenizer
    let found = prepared.imageSizes.first.map { size in
      AnswerBoxes(ids, in: size, tokenizer: tokenizer, decoder: maskDecoder)
    }
    return Answer(
      text: tokenizer.decode(ids, skippingSpecialTokens: true), tokenIDs: ids,
      finish: completion.finish, promptTokens: prepared.promptTokens,
      completionTokens: completion.tokens.count, imageSizes: prepared.imageSizes,
      boxes: found?.boxes ?? [], malformed: found?.malformed ?? [],
      logprobs: prepared.request.sampling.wantsLogprobs ? tokens : [])
  }
}
