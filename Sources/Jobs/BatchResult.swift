import Messaging

/// What became of one line of a batch: an answer, or a stated error.
public struct BatchResult: Sendable {
  /// The line's number in the batch file, 1-based.
  public let line: Int
  /// The offset behind the line in the batch file, in bytes.
  public let endOffset: Int
  /// The line's own name; nil when it has none that can be read.
  public let customID: String?
  /// What its pictures are called.
  public let imageNames: [String]
  /// Its prompt; empty when the line could not be read.
  public let prompt: String
  /// The model it named, if any.
  public let model: String?
  /// What it asked for was answered, or not.
  public let outcome: Result<Answer, Failure>

  /// One result line, in OpenAI's batch output form, without line end.
  ///
  /// Two runs give the same bytes, on any cut and any number of machines: ids are made from the line's
  /// number and `custom_id`, `created` is 0, and `model` is what the line named, else `paligemma`.
  public var json: JSONText {
    let id = identifier
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

  /// A chat.completion object, with `boxes` (even if there are none) and the other members of
  /// `Answer.typedJSON` beside `choices`, and `token_ids` in the choice.
  private func body(_ answer: Answer, id: String) -> JSONText {
    var logprobs = JSONText.null
    if !answer.logprobs.isEmpty { logprobs = .object(["content": answer.logprobsJSON]) }
    let members: [String: JSONText] = [
      "id": .string("chatcmpl-" + id), "object": .string("chat.completion"),
      "created": .integer(0), "model": .string(model ?? "paligemma"),
      "choices": .array([
        .object([
          "index": .integer(0), "finish_reason": .string(answer.finishWord),
          "message": .object([
            "role": .string("assistant"), "content": .string(answer.text),
          ]),
          "logprobs": logprobs, "token_ids": answer.tokenIDsJSON,
        ])
      ]),
      "usage": answer.usageJSON, "boxes": .array([]),
    ]
    return .object(members.merging(answer.typedJSON()) { $1 })
  }

  /// FNV-1a of line number and `custom_id`, 16 hexadecimal digits.
  private var identifier: String {
    let text = "\(line):\(customID ?? "")"
    let hash = text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
