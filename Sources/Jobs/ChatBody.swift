import Messaging

/// The body of a chat completion, as far as PaliGemma can follow it.
///
/// PaliGemma has no chat template: the text of the last user message is the prompt (several text parts
/// are joined by a space), and the pictures of all user messages stand in front of it in order. What
/// system and assistant messages say is not shown to the model. With a `task` the text becomes what the
/// task is about. Fields that would change the answer and cannot be honoured are refused; any others are
/// ignored.
struct ChatBody: Decodable {
  private enum Key: String, CodingKey, CaseIterable {
    case messages, model, tools, functions
    case responseFormat = "response_format"
  }

  let request: BatchRequest

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    try Self.refuseUnsupported(fields)
    let messages = try fields.decode([Message].self, forKey: .messages)
    let asked = messages.filter { $0.role == .user }
    guard let last = asked.last else {
      throw Failure(code: "missing_prompt", message: "there is no message of role user; add one")
    }
    let task = try TaskFields(from: decoder)
    let prompt = try task.prompt(last.texts.joined(separator: " "))
    let fieldsOfSampling = try SamplingFields(from: decoder)
    var sampling = fieldsOfSampling.sampling
    sampling.grammar = try task.grammar(of: prompt)
    request = BatchRequest(
      images: try asked.flatMap(\.urls).map(ImageSource.init),
      prompt: prompt, sampling: sampling, maximumTokens: fieldsOfSampling.maximumTokens,
      model: try fields.decodeIfPresent(String.self, forKey: .model),
      stopTexts: fieldsOfSampling.stopTexts)
  }

  private static func refuseUnsupported(_ fields: KeyedDecodingContainer<Key>) throws {
    func refuse(_ what: String) -> Failure {
      Failure(code: "unsupported_parameter", message: what)
    }
    for key in [Key.tools, .functions] where fields.contains(key) {
      if try !fields.decodeNil(forKey: key) {
        throw refuse("\(key.rawValue) is not supported; leave it out")
      }
    }
    if let format = try fields.decodeIfPresent(Format.self, forKey: .responseFormat),
      format.type != "text"
    {
      throw refuse("response_format \(format.type) is not supported; PaliGemma answers in text")
    }
  }

  /// Refuses what only makes sense for one answer at a time.
  static func refuseInBatch(_ decoder: any Decoder) throws {
    let options = try AnswerOptions(from: decoder)
    func refuse(_ what: String) -> Failure {
      Failure(code: "unsupported_parameter", message: what)
    }
    guard options.choiceCount == 1 else {
      throw refuse(
        "n is \(options.choiceCount); one answer a line, so write n lines with seeds of their own")
    }
    guard !options.isStreaming else { throw refuse("a batch cannot stream; leave stream out") }
  }

  private struct Format: Decodable { let type: String }
}

/// One message of the conversation.
private struct Message: Decodable {
  enum Role: String, Decodable { case system, developer, user, assistant, tool, function }
  private enum Key: String, CodingKey { case role, content }

  let role: Role
  let texts: [String]
  let urls: [String]

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    role = try fields.decode(Role.self, forKey: .role)
    // What others than the user say is not read at all.
    guard role == .user else {
      (texts, urls) = ([], [])
      return
    }
    if let text = try? fields.decode(String.self, forKey: .content) {
      (texts, urls) = ([text], [])
      return
    }
    let parts = try fields.decode([Part].self, forKey: .content)
    texts = parts.compactMap(\.text)
    urls = parts.compactMap(\.url)
  }
}

/// One part of a user's message: a text or a picture.
private struct Part: Decodable {
  private enum Key: String, CodingKey {
    case type, text
    case imageURL = "image_url"
  }
  private struct ImageURL: Decodable { let url: String }

  let text: String?
  let url: String?

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let type = try fields.decode(String.self, forKey: .type)
    switch type {
    case "text", "input_text":
      text = try fields.decode(String.self, forKey: .text)
      url = nil
    case "image_url", "input_image":
      text = nil
      if let plain = try? fields.decode(String.self, forKey: .imageURL) {
        url = plain
      } else {
        url = try fields.decode(ImageURL.self, forKey: .imageURL).url
      }
    default:
      throw Failure(
        code: "unsupported_content",
        message: "a part of type \"\(type.prefix(40))\" is not supported; give text and image_url")
    }
  }
}
