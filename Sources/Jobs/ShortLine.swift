import Messaging

/// `{"custom_id": …, "image": "a.jpg", "prompt": "caption en"}`, or `images` with several, or `prompts`
/// with several about the same pictures.
struct ShortLine: Decodable {
  private enum Key: String, CodingKey {
    case image, images, prompt, prompts
  }

  let request: BatchRequest

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let task = try TaskFields(from: decoder)
    let prompts = try Self.texts(fields).map { text in
      let prompt = try task.prompt(text)
      return BatchRequest.Prompt(text: prompt, grammar: try task.grammar(of: prompt))
    }
    let one = try fields.decodeIfPresent(String.self, forKey: .image)
    let several = try fields.decodeIfPresent([String].self, forKey: .images)
    guard one == nil || several == nil else {
      throw Failure(code: "invalid_request", message: "give image or images, not both")
    }
    let fieldsOfSampling = try SamplingFields(from: decoder)
    var sampling = fieldsOfSampling.sampling
    sampling.grammar = prompts[0].grammar
    request = BatchRequest(
      images: try (one.map { [$0] } ?? several ?? []).map(ImageSource.init),
      prompt: prompts[0].text, furtherPrompts: Array(prompts.dropFirst()),
      mayExpand: one != nil, sampling: sampling, maximumTokens: fieldsOfSampling.maximumTokens,
      stopTexts: fieldsOfSampling.stopTexts)
  }

  /// At least one; empty where a task may do without.
  private static func texts(_ fields: KeyedDecodingContainer<Key>) throws -> [String] {
    let one = try fields.decodeIfPresent(String.self, forKey: .prompt)
    guard let several = try fields.decodeIfPresent([String].self, forKey: .prompts) else {
      return [one ?? ""]
    }
    guard one == nil else {
      throw Failure(code: "invalid_request", message: "give prompt or prompts, not both")
    }
    guard (1...JobLimits.promptCount).contains(several.count) else {
      throw Failure(
        code: "invalid_request",
        message: "prompts has \(several.count) texts; give 1 to \(JobLimits.promptCount)")
    }
    return several
  }
}
