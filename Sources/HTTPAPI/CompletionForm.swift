import Foundation
import Hummingbird
import Jobs
import Messaging
import Tokenization

/// The two shapes of OpenAI's completions: the same answers in different JSON.
enum CompletionForm: Sendable {
  /// `/v1/chat/completions`.
  case chat
  /// `/v1/completions`.
  case text

  /// What ids of responses begin with.
  var idPrefix: String { self == .chat ? "chatcmpl-" : "cmpl-" }

  /// What `object` says.
  func object(isChunk: Bool) -> String {
    switch self {
    case .chat: isChunk ? "chat.completion.chunk" : "chat.completion"
    case .text: "text_completion"
    }
  }

  /// Reads the body of a request.
  func read(_ request: Request, limits: HTTPLimits) async throws -> CompletionRequest {
    switch self {
    case .chat:
      try await JSONBody.read(ChatCompletionBody.self, request, limits: limits).request
    case .text:
      try await JSONBody.read(TextCompletionBody.self, request, limits: limits).request
    }
  }
}

/// Writes responses and chunks of one request.
struct CompletionWriter: Sendable {
  let form: CompletionForm
  let id: String
  let model: String
  /// Seconds since 1970.
  let created: Int
  let wantsLogprobs: Bool
  let choicesPerPrompt: Int
  let wantsMaskPictures: Bool
  let tokens: TokenTexts

  init(_ answering: Answering) {
    form = answering.form
    id = answering.id
    model = answering.core.backend.model
    created = Int(Date().timeIntervalSince1970)
    choicesPerPrompt = answering.request.choicesPerPrompt
    wantsLogprobs = answering.request.wantsLogprobs
    wantsMaskPictures = answering.request.wantsMaskPictures
    tokens = TokenTexts(tokenizer: answering.core.backend.tokenizer)
  }

  /// The whole response.
  func response(_ answers: [Answer]) -> JSONText {
    let choices = answers.enumerated().map { index, answer in
      choice(index, answer.text, answer.logprobs, answer)
    }
    return envelope(choices, isChunk: false, usage: usage(Array(answers.enumerated())))
  }

  /// One chunk of a stream.
  ///
  /// - Parameters:
  ///   - choice: its one choice; nil for the last chunk, which has the usage alone.
  ///   - usage: what stands in `usage`; nil leaves it out.
  /// - Returns: the chunk's object.
  func chunk(_ choice: JSONText?, usage: JSONText?) -> JSONText {
    envelope(choice.map { [$0] } ?? [], isChunk: true, usage: usage)
  }

  /// The first chunk of a chat's choice, which says who speaks.
  func opening(_ index: Int) -> JSONText? {
    guard form == .chat else { return nil }
    return .object([
      "index": .integer(index), "finish_reason": .null, "logprobs": .null,
      "delta": .object(["role": .string("assistant"), "content": .string("")]),
    ])
  }

  /// More of a choice.
  func piece(_ index: Int, _ delta: AnswerDelta) -> JSONText {
    var members: [String: JSONText] = [
      "index": .integer(index), "finish_reason": .null,
      "logprobs": wantsLogprobs ? logprobs(delta.tokens) : .null,
    ]
    switch form {
    case .chat: members["delta"] = .object(["content": .string(delta.text)])
    case .text: members["text"] = .string(delta.text)
    }
    return .object(members)
  }

  /// The end of a choice, with what was read from the whole of it.
  func closing(_ index: Int, _ answer: Answer) -> JSONText {
    var members = typed(answer)
    members["index"] = .integer(index)
    members["finish_reason"] = .string(answer.finishWord)
    members["logprobs"] = .null
    switch form {
    case .chat: members["delta"] = .object([:])
    case .text: members["text"] = .string("")
    }
    return .object(members)
  }

  /// Tokens read and generated. A prompt counts once however many choices it has, as OpenAI counts.
  func usage(_ answers: [(offset: Int, element: Answer)]) -> JSONText {
    let prompt = answers.filter { $0.offset % choicesPerPrompt == 0 }
      .reduce(0) { $0 + $1.element.promptTokens }
    let completion = answers.reduce(0) { $0 + $1.element.completionTokens }
    return .object([
      "prompt_tokens": .integer(prompt), "completion_tokens": .integer(completion),
      "total_tokens": .integer(prompt + completion),
    ])
  }

  private func envelope(
    _ choices: [JSONText], isChunk: Bool, usage: JSONText?
  ) -> JSONText {
    var members: [String: JSONText] = [
      "id": .string(id), "object": .string(form.object(isChunk: isChunk)),
      "created": .integer(created), "model": .string(model), "choices": .array(choices),
    ]
    if let usage { members["usage"] = usage }
    return .object(members)
  }

  private func choice(
    _ index: Int, _ text: String, _ tokens: [TokenLogprob], _ answer: Answer
  ) -> JSONText {
    var members = typed(answer)
    members["index"] = .integer(index)
    members["finish_reason"] = .string(answer.finishWord)
    members["logprobs"] = wantsLogprobs ? logprobs(tokens) : .null
    switch form {
    case .chat:
      members["message"] = .object([
        "role": .string("assistant"), "content": .string(text), "refusal": .null,
      ])
    case .text: members["text"] = .string(text)
    }
    return .object(members)
  }

  /// What was read from the answer, beside its text: fields of our own, as in batches.
  private func typed(_ answer: Answer) -> [String: JSONText] {
    var members = ["boxes": JSONText.array([])]
    members.merge(answer.typedJSON(hasMaskPictures: wantsMaskPictures)) { $1 }
    members["token_ids"] = .array(answer.tokenIDs.map { .integer(Int($0)) })
    return members
  }

  private func logprobs(_ list: [TokenLogprob]) -> JSONText {
    switch form {
    case .chat: tokens.chat(list)
    case .text: tokens.text(list)
    }
  }
}

/// Shows tokens as texts, as OpenAI's log-probabilities do.
struct TokenTexts: Sendable {
  let tokenizer: Tokenizer

  /// A token's text and its bytes. A token that is one byte of a character has no text of its own.
  func text(_ id: Int32) -> (text: String, bytes: [UInt8]) {
    guard let piece = tokenizer.piece(of: id) else { return ("", []) }
    if piece.utf8.count == 6, piece.hasPrefix("<0x"), piece.hasSuffix(">"),
      let byte = UInt8(piece.dropFirst(3).dropLast(), radix: 16)
    {
      return ("bytes:\\x\(piece.dropFirst(3).dropLast().lowercased())", [byte])
    }
    let text = piece.replacing("\u{2581}", with: " ")
    return (text, Array(text.utf8))
  }

  /// `{content: [{token, logprob, bytes, top_logprobs}]}`.
  func chat(_ list: [TokenLogprob]) -> JSONText {
    func entry(_ id: Int32, _ logprob: Float) -> [String: JSONText] {
      let (text, bytes) = text(id)
      return [
        "token": .string(text), "logprob": .decimal(Double(logprob), places: 6),
        "bytes": .array(bytes.map { .integer(Int($0)) }),
      ]
    }
    let content = list.map { token -> JSONText in
      var members = entry(token.tokenID, token.logprob)
      members["top_logprobs"] = .array(
        token.alternatives.map { .object(entry($0.tokenID, $0.logprob)) })
      return .object(members)
    }
    return .object(["content": .array(content), "refusal": .null])
  }

  /// The older shape: `{tokens, token_logprobs, top_logprobs}` side by side.
  func text(_ list: [TokenLogprob]) -> JSONText {
    .object([
      "tokens": .array(list.map { .string(text($0.tokenID).text) }),
      "token_logprobs": .array(list.map { .decimal(Double($0.logprob), places: 6) }),
      "top_logprobs": .array(
        list.map { token in
          let pairs = token.alternatives.map {
            (text($0.tokenID).text, JSONText.decimal(Double($0.logprob), places: 6))
          }
          // Two tokens may have one text; the likelier counts.
          return .object(Dictionary(pairs) { first, _ in first })
        }),
    ])
  }
}
