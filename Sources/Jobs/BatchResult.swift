import Messaging

/// What became of one line of a batch: an answer, or a stated error.
public struct BatchResult: Sendable {
  /// The line's number in the batch file, 1-based.
  public var line: Int
  /// The request's own name; nil when it has none that can be read.
  public var customID: String?
  /// What its pictures are called.
  public var imageNames: [String] = []
  /// Its prompts; empty when the line could not be read.
  public var prompts: [String] = []
  /// The model it named, if any.
  public var model: String?
  /// What it asked for was answered, or not; of several prompts the first.
  public var outcome: Result<Answer, Failure>
  /// Answers to the further prompts; there when all prompts were answered, which is what success means.
  public var furtherAnswers: [Answer] = []

  /// All answers, one for each prompt; empty for a failure.
  public var answers: [Answer] {
    (try? outcome.get()).map { [$0] + furtherAnswers } ?? []
  }

  /// The prompts in one text.
  public var prompt: String { prompts.joined(separator: " | ") }

  /// One result line, in OpenAI's batch output form, without line end.
  ///
  /// Two runs give the same bytes, on any cut and any number of machines: ids are made from the line's
  /// number and `custom_id`, `created` is 0, and `model` is what the line named, else `paligemma`.
  public var json: JSONText {
    let id = Self.identifier(line: line, customID: customID)
    var members: [String: JSONText] = [
      "id": .string("batch_req_" + id), "custom_id": customID.map(JSONText.string) ?? .null,
    ]
    switch outcome {
    case .success(let answer):
      members["response"] = .object([
        "status_code": .integer(200), "request_id": .string("req_" + id),
        "body": body(answer, id: id),
      ])
      members["error"] = .null
    case .failure(let failure):
      members["response"] = .null
      members["line"] = .integer(line)
      members["error"] = .object([
        "code": .string(failure.code), "message": .string(failure.message),
      ])
    }
    return .object(members)
  }

  /// A chat.completion object, with `boxes` and the other members of `Answer.typedJSON`
  /// beside `choices`, and `token_ids` in the choice.
  ///
  /// Several prompts are several choices in their order, each with its `prompt` and its own `boxes`, and
  /// the usage is the sum.
  private func body(_ answer: Answer, id: String) -> JSONText {
    let isOne = furtherAnswers.isEmpty
    let choices = answers.enumerated().map { index, answer -> JSONText in
      var choice = choice(answer, index)
      if !isOne {
        choice["prompt"] = .string(index < prompts.count ? prompts[index] : "")
        choice.merge(typed(answer)) { $1 }
      }
      return .object(choice)
    }
    var members: [String: JSONText] = [
      "id": .string("chatcmpl-" + id), "object": .string("chat.completion"),
      "created": .integer(0), "model": .string(model ?? "paligemma"),
      "choices": .array(choices), "usage": usage,
    ]
    if isOne { members.merge(typed(answer)) { $1 } }
    return .object(members)
  }

  /// What the answer found, with `boxes` even if there are none.
  private func typed(_ answer: Answer) -> [String: JSONText] {
    ["boxes": .array([])].merging(answer.typedJSON()) { $1 }
  }

  private func choice(_ answer: Answer, _ index: Int) -> [String: JSONText] {
    var logprobs = JSONText.null
    if !answer.logprobs.isEmpty { logprobs = .object(["content": answer.logprobsJSON]) }
    return [
      "index": .integer(index), "finish_reason": .string(answer.finishWord),
      "message": .object([
        "role": .string("assistant"), "content": .string(answer.text),
      ]),
      "logprobs": logprobs, "token_ids": answer.tokenIDsJSON,
    ]
  }

  private var usage: JSONText {
    let prompt = answers.reduce(0) { $0 + $1.promptTokens }
    let completion = answers.reduce(0) { $0 + $1.completionTokens }
    return .object([
      "prompt_tokens": .integer(prompt), "completion_tokens": .integer(completion),
      "total_tokens": .integer(prompt + completion),
    ])
  }

  /// What the `id` of this request's result line is.
  static func id(line: Int, customID: String?) -> String {
    "batch_req_" + identifier(line: line, customID: customID)
  }

  /// FNV-1a of line number and `custom_id`, 16 hexadecimal digits.
  private static func identifier(line: Int, customID: String?) -> String {
    let text = "\(line):\(customID ?? "")"
    let hash = text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
