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

  /// Answers with `engine`, whose model `tokenizer` belongs to.
  public init(engine: any Engine, tokenizer: Tokenizer) {
    self.engine = engine
    preparation = RequestPreparation(config: engine.config, tokenizer: tokenizer)
  }

  /// Answers one request.
  public func answer(_ request: AnswerRequest) async throws(Failure) -> Answer {
    let prepared = try preparation.prepare(request)
    let completion = try await engine.complete(prepared.request)
    return try answer(from: completion, to: prepared)
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
    return Answer(
      text: tokenizer.decode(ids, skippingSpecialTokens: true), tokenIDs: ids,
      finish: completion.finish, promptTokens: prepared.promptTokens,
      completionTokens: completion.tokens.count, imageSizes: prepared.imageSizes,
      boxes: boxes(ids, in: prepared.imageSizes.first),
      logprobs: prepared.request.sampling.wantsLogprobs ? tokens : [])
  }

  /// Every well-formed box of the answer, as often as the model wrote it.
  private func boxes(_ ids: [Int32], in size: ImageSize?) -> [Box] {
    guard let size,
      let detections = DetectionParser.parse(ids: ids, tokenizer: preparation.tokenizer)
    else { return [] }
    return detections.boxes.prefix(MessageLimits.boxCount).map { box in
      let pixels = box.xyxy(width: size.width, height: size.height)
      return Box(label: box.label, x1: pixels.x1, y1: pixels.y1, x2: pixels.x2, y2: pixels.y2)
    }
  }
}
