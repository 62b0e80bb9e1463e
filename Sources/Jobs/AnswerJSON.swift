import Messaging

/// How answers look in JSON: shared by `run --json` and the batch's result lines.
extension Answer {
  /// `{text, token_ids, finish_reason, usage, boxes?, logprobs?}`: one answer by itself.
  ///
  /// `boxes` stands there when the answer has any.
  ///
  /// - Parameters:
  ///   - hasLogprobs: whether they were asked for; an empty answer has an empty list then.
  ///   - image: the picture answered, where there are several; nil leaves it out.
  /// - Returns: an object.
  public func json(hasLogprobs: Bool, image: String? = nil) -> JSONText {
    var members: [String: JSONText] = [
      "text": .string(text), "token_ids": tokenIDsJSON, "finish_reason": .string(finishWord),
      "usage": usageJSON,
    ]
    if !boxes.isEmpty { members["boxes"] = boxesJSON }
    if hasLogprobs { members["logprobs"] = logprobsJSON }
    if let image { members["image"] = .string(image) }
    return .object(members)
  }

  /// `{image, error: {code, message}}`: the line of a picture among several that has no answer.
  public static func failureJSON(_ failure: Failure, image: String) -> JSONText {
    .object([
      "image": .string(image),
      "error": .object(["code": .string(failure.code), "message": .string(failure.message)]),
    ])
  }

  var tokenIDsJSON: JSONText { .array(tokenIDs.map { .integer(Int($0)) }) }

  var usageJSON: JSONText {
    .object([
      "prompt_tokens": .integer(promptTokens), "completion_tokens": .integer(completionTokens),
      "total_tokens": .integer(promptTokens + completionTokens),
    ])
  }

  /// Corners in pixels of the first picture, to a hundredth.
  var boxesJSON: JSONText {
    .array(
      boxes.map { box in
        .object([
          "label": .string(box.label),
          "xyxy": .array([box.x1, box.y1, box.x2, box.y2].map { .decimal($0, places: 2) }),
        ])
      })
  }

  /// Per token its id, log-probability and alternatives, to a millionth: f32 has no more to say.
  var logprobsJSON: JSONText {
    .array(
      logprobs.map { token in
        .object([
          "id": .integer(Int(token.tokenID)),
          "logprob": .decimal(Double(token.logprob), places: 6),
          "top_logprobs": .array(
            token.alternatives.map { other in
              .object([
                "id": .integer(Int(other.tokenID)),
                "logprob": .decimal(Double(other.logprob), places: 6),
              ])
            }),
        ])
      })
  }
}
