import Messaging

/// Serves what clients submit, inside the coordinator's process.
public struct ClientRequestHandler: Sendable {
  private let service: any AnswerService
  private let model: ModelIdentity?

  /// Serves with `service`.
  ///
  /// - Parameters:
  ///   - service: answers.
  ///   - model: what answers; requests for another model are refused. Nil when it isn't known.
  public init(service: any AnswerService, model: ModelIdentity? = nil) {
    self.service = service
    self.model = model
  }

  /// Answers one submission. Cancelling the task gives up the answer; the reply says so.
  ///
  /// - Returns: exactly one reply with the submission's tag. A failure `overloaded` is marked busy, so
  ///   that the client tries again; any other is final. A reply that the wire cannot carry has become
  ///   the failure `reply_too_large`.
  public func reply(to submit: Submit) async -> Reply {
    let images = submit.images.enumerated().map { index, frame in
      let size = submit.originalSizes.isEmpty ? nil : submit.originalSizes[index]
      return EncodedImage(
        name: "picture \(index + 1)", content: frame,
        originalSize: size?.width == 0 ? nil : size)
    }
    var reply: Reply
    do throws(Failure) {
      try model?.check(submit.handling.model)
      let answer = try await service.answer(
        AnswerRequest(
          images: images, prompt: submit.prompt, sampling: submit.sampling,
          handling: submit.handling, stopTexts: submit.stopTexts))
      reply = Reply(answer, tag: submit.tag)
    } catch {
      return Reply(tag: submit.tag, failure: error, isBusy: error.code == "overloaded")
    }
    do {
      _ = try ServerMessage.reply(reply).encode()
    } catch {
      reply = Reply(
        tag: submit.tag,
        failure: Failure(
          code: "reply_too_large",
          message: "\(error.cause); ask for fewer tokens or log-probabilities"))
    }
    return reply
  }
}

extension Submit {
  /// The submission of `request`.
  init(_ request: AnswerRequest, tag: UInt64) {
    let sizes = request.images.map { $0.originalSize ?? ImageSize(width: 0, height: 0) }
    self.init(
      tag: tag, prompt: request.prompt, images: request.images.map(\.content),
      sampling: request.sampling, handling: request.handling, stopTexts: request.stopTexts,
      originalSizes: sizes.contains { $0.width > 0 } ? sizes : [])
  }
}

extension Reply {
  /// The reply that carries `answer`.
  init(_ answer: Answer, tag: UInt64) {
    self.init(
      tag: tag, text: answer.text, tokenIDs: answer.tokenIDs, finish: answer.finish,
      promptTokens: answer.promptTokens, completionTokens: answer.completionTokens,
      images: answer.imageSizes, boxes: answer.boxes, malformed: answer.malformed,
      logprobs: answer.logprobs)
  }

  /// The answer in this reply, or its failure.
  var answer: Result<Answer, Failure> {
    if let failure { return .failure(failure) }
    guard let finish, finish != .failed else {
      return .failure(
        Failure(code: "malformed_reply", message: "the coordinator's reply has no answer"))
    }
    let answer = Answer(
      text: text, tokenIDs: tokenIDs, finish: finish, promptTokens: promptTokens,
      completionTokens: completionTokens, imageSizes: images, boxes: boxes, malformed: malformed,
      logprobs: logprobs)
    // The wire knows nothing of pictures: whether run lengths fit theirs is seen here.
    guard boxes.allSatisfy({ $0.mask.isEmpty || answer.mask(of: $0) != nil }) else {
      return .failure(
        Failure(
          code: "malformed_reply", message: "the coordinator's reply has a mask that is none"))
    }
    return .success(answer)
  }
}
