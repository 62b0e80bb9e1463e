import Foundation
import Messaging

/// The fields about sampling, which both forms of a line share.
struct SamplingFields: Decodable {
  private enum Key: String, CodingKey {
    case maxTokens = "max_tokens"
    case maxCompletionTokens = "max_completion_tokens"
    case temperature, seed, logprobs, stop
    case topP = "top_p"
    case topK = "top_k"
    case topLogprobs = "top_logprobs"
  }

  let sampling: Sampling
  let maximumTokens: Int?
  /// The answer ends before the first of these.
  let stopTexts: [String]

  /// `stop` texts of one request, as OpenAI has them, and bytes of each: more than an end needs.
  static let (stopTextCount, stopTextByteCount) = (4, 256)

  /// Greedy where the line says nothing: answers about pictures have one right form.
  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    var sampling = Sampling()
    maximumTokens =
      try fields.decodeIfPresent(Int.self, forKey: .maxCompletionTokens)
      ?? fields.decodeIfPresent(Int.self, forKey: .maxTokens)
    sampling.temperature =
      try fields.decodeIfPresent(Float.self, forKey: .temperature) ?? sampling.temperature
    sampling.topP = try fields.decodeIfPresent(Float.self, forKey: .topP) ?? sampling.topP
    sampling.topK = try fields.decodeIfPresent(Int.self, forKey: .topK) ?? sampling.topK
    sampling.seed = try Self.seed(fields)
    let (isWanted, count) = try Self.logprobs(fields)
    sampling.wantsLogprobs = isWanted
    sampling.logprobCount = count
    self.sampling = sampling
    stopTexts = try Self.stopTexts(fields)
    try check()
  }

  /// `stop` is a text, or a list of texts.
  private static func stopTexts(_ fields: KeyedDecodingContainer<Key>) throws -> [String] {
    guard fields.contains(.stop), try !fields.decodeNil(forKey: .stop) else { return [] }
    if let text = try? fields.decode(String.self, forKey: .stop) {
      return text.isEmpty ? [] : [text]
    }
    return try fields.decode([String].self, forKey: .stop).filter { !$0.isEmpty }
  }

  /// A negative seed, which OpenAI allows, is taken by its bits.
  private static func seed(_ fields: KeyedDecodingContainer<Key>) throws -> UInt64 {
    guard fields.contains(.seed), try !fields.decodeNil(forKey: .seed) else { return 0 }
    if let seed = try? fields.decode(UInt64.self, forKey: .seed) { return seed }
    return UInt64(bitPattern: try fields.decode(Int64.self, forKey: .seed))
  }

  /// `logprobs` is a Bool with `top_logprobs` beside it, or the number of alternatives itself.
  private static func logprobs(
    _ fields: KeyedDecodingContainer<Key>
  ) throws -> (isWanted: Bool, count: Int) {
    let top = try fields.decodeIfPresent(Int.self, forKey: .topLogprobs)
    guard fields.contains(.logprobs), try !fields.decodeNil(forKey: .logprobs) else {
      if top == nil { return (false, 0) }
      throw Failure(
        code: "invalid_request", message: "top_logprobs needs \"logprobs\": true beside it")
    }
    if let isWanted = try? fields.decode(Bool.self, forKey: .logprobs) {
      guard isWanted || top == nil || top == 0 else {
        throw Failure(
          code: "invalid_request", message: "top_logprobs needs \"logprobs\": true beside it")
      }
      return (isWanted, top ?? 0)
    }
    let count = try fields.decode(Int.self, forKey: .logprobs)
    return (true, top ?? count)
  }

  private func check() throws(Failure) {
    func refuse(_ cause: String) -> Failure { Failure(code: "invalid_request", message: cause) }
    guard (1...MessageLimits.tokenCount).contains(maximumTokens ?? 1) else {
      throw refuse("max_tokens must be 1 to \(MessageLimits.tokenCount)")
    }
    guard stopTexts.count <= Self.stopTextCount,
      stopTexts.allSatisfy({ $0.utf8.count <= Self.stopTextByteCount })
    else {
      throw refuse(
        "stop may have \(Self.stopTextCount) texts of \(Self.stopTextByteCount) bytes each")
    }
    guard sampling.temperature.isFinite, sampling.temperature >= 0 else {
      throw refuse("temperature must be 0 (greedy) or more")
    }
    guard sampling.topP > 0, sampling.topP <= 1 else {
      throw refuse("top_p must be more than 0 and at most 1")
    }
    guard (0...Int(Int32.max)).contains(sampling.topK) else {
      throw refuse("top_k must be 0 (all) or more")
    }
    guard (0...MessageLimits.alternativeCount).contains(sampling.logprobCount) else {
      throw refuse("at most \(MessageLimits.alternativeCount) log-probabilities a token")
    }
  }
}
