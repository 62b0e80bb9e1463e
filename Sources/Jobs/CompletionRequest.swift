import Foundation
import Messaging

/// What somebody asks by OpenAI's chat or text completions: one or more prompts about some pictures,
/// and how the answers are wanted.
public struct CompletionRequest: Sendable {
  /// The prompts, as the model sees them; a chat has one.
  public var prompts: [String]
  /// Answers to each prompt.
  public var choicesPerPrompt: Int
  /// The model it names, if any.
  public var model: String?
  /// Whether the answer is wanted piece by piece.
  public var isStreaming: Bool
  /// Whether a stream ends with a count of its tokens.
  public var includesUsage: Bool
  /// Whether log-probabilities were asked for.
  public var wantsLogprobs: Bool { sampling.wantsLogprobs }
  /// Whether masks also come as pictures.
  public var wantsMaskPictures: Bool
  /// Tokens of an answer at most; nil where the request doesn't say.
  public var maximumTokens: Int?
  /// Seconds that the answer may take; nil where the request doesn't say.
  public var timeoutSeconds: Double?
  /// Answers end before the first of these.
  public var stopTexts: [String]
  let images: [ImageSource]
  let sampling: Sampling
  private let hasSeed: Bool
  private let constraint: [Grammar?]

  /// How many answers that makes.
  public var choiceCount: Int { prompts.count * choicesPerPrompt }

  init(
    prompts: [String], constraint: [Grammar?], images: [ImageSource], fields: SamplingFields,
    options: AnswerOptions, model: String?
  ) {
    self.prompts = prompts
    self.constraint = constraint
    self.images = images
    self.model = model
    choicesPerPrompt = options.choiceCount
    isStreaming = options.isStreaming
    includesUsage = options.includesUsage
    wantsMaskPictures = options.wantsMaskPictures
    timeoutSeconds = options.timeoutSeconds
    hasSeed = options.hasSeed
    stopTexts = fields.stopTexts
    maximumTokens = fields.maximumTokens
    sampling = fields.sampling
  }

  /// Loads the pictures, which are `data:` URIs or addresses; never files of this machine.
  ///
  /// - Parameter remote: fetches addresses; nil fetches none.
  /// - Returns: the pictures in order.
  /// - Throws: `local_image`, `remote_image`, or what is wrong with a picture.
  public func loadImages(
    remote: (any RemoteImageSource)?
  ) async throws(Failure) -> [EncodedImage] {
    try BatchRequest.checkCount(images)
    var loaded: [EncodedImage] = []
    var left = JobLimits.requestImageByteCount
    for (index, source) in images.enumerated() {
      let name = "picture \(index + 1)"
      let image: EncodedImage
      switch source {
      case .base64(let text):
        image = try EncodedImage(base64: text, name: name, byteCountMaximum: left)
      case .remote(let url):
        guard let remote else {
          throw Failure(
            code: "remote_image",
            message: "\(name): this server fetches no pictures; send it as a data: URI")
        }
        image = try await remote.image(at: url)
        guard image.content.byteCount <= left else { throw EncodedImage.tooLarge(name) }
      case .file:
        throw ImageSource.localFile
      }
      left -= image.content.byteCount
      loaded.append(image)
    }
    return loaded
  }

  /// One request for each choice: all choices of the first prompt, then those of the second.
  ///
  /// The first choice of a prompt has the seed asked for, and further ones seeds made from it: the same
  /// request gives the same choices. Without a seed it is a new one each time.
  ///
  /// - Parameters:
  ///   - images: the pictures, for all of them.
  ///   - defaultTokens: where the request doesn't say how many tokens an answer may have.
  ///   - handling: how all of them are treated.
  /// - Returns: `choiceCount` requests.
  public func answerRequests(
    images: [EncodedImage], defaultTokens: Int, handling: Handling
  ) -> [AnswerRequest] {
    let seed = hasSeed ? sampling.seed : UInt64.random(in: .min ... .max)
    return zip(prompts, constraint).flatMap { prompt, grammar in
      (0..<choicesPerPrompt).map { choice in
        var sampling = sampling
        sampling.maximumTokens = maximumTokens ?? defaultTokens
        sampling.seed = Self.seed(seed, choice: choice)
        sampling.grammar = grammar
        return AnswerRequest(
          images: images, prompt: prompt, sampling: sampling, handling: handling,
          stopTexts: stopTexts)
      }
    }
  }

  /// SplitMix64's step from `seed`, for choices after the first.
  static func seed(_ seed: UInt64, choice: Int) -> UInt64 {
    guard choice > 0 else { return seed }
    var mixed = seed &+ UInt64(choice) &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// The body of `POST /v1/chat/completions`.
public struct ChatCompletionBody: Decodable, Sendable {
  /// What it asks.
  public let request: CompletionRequest

  /// Reads the body; unknown fields are ignored.
  ///
  /// - Throws: a `Failure`, or a `DecodingError` that says where the wrong type is.
  public init(from decoder: any Decoder) throws {
    let chat = try ChatBody(from: decoder)
    request = CompletionRequest(
      prompts: [chat.request.prompt], constraint: [chat.request.sampling.grammar],
      images: chat.request.images, fields: try SamplingFields(from: decoder),
      options: try AnswerOptions(from: decoder), model: chat.request.model)
  }
}

/// The body of `POST /v1/completions`: `prompt` is a text or several, and pictures come in a field
/// of our own, `image` or `images`.
public struct TextCompletionBody: Decodable, Sendable {
  private enum Key: String, CodingKey {
    case prompt, image, images, model, suffix, echo
    case bestOf = "best_of"
  }

  /// What it asks.
  public let request: CompletionRequest

  /// Reads the body; unknown fields are ignored.
  ///
  /// - Throws: a `Failure`, or a `DecodingError` that says where the wrong type is.
  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let task = try TaskFields(from: decoder)
    let texts: [String]
    if let text = try? fields.decode(String.self, forKey: .prompt) {
      texts = [text]
    } else {
      texts = try fields.decodeIfPresent([String].self, forKey: .prompt) ?? [""]
    }
    guard !texts.isEmpty else {
      throw Failure(code: "missing_prompt", message: "prompt is an empty list; give a text")
    }
    let prompts = try texts.map { try task.prompt($0) }
    let one = try fields.decodeIfPresent(String.self, forKey: .image)
    let several = try fields.decodeIfPresent([String].self, forKey: .images)
    guard one == nil || several == nil else {
      throw Failure(code: "invalid_request", message: "give image or images, not both")
    }
    let options = try AnswerOptions(from: decoder)
    if let suffix = try fields.decodeIfPresent(String.self, forKey: .suffix), !suffix.isEmpty {
      throw Failure(code: "unsupported_parameter", message: "suffix is not supported")
    }
    if try fields.decodeIfPresent(Bool.self, forKey: .echo) == true {
      throw Failure(code: "unsupported_parameter", message: "echo is not supported")
    }
    if let best = try fields.decodeIfPresent(Int.self, forKey: .bestOf), best != options.choiceCount
    {
      throw Failure(code: "unsupported_parameter", message: "best_of other than n is not supported")
    }
    request = CompletionRequest(
      prompts: prompts, constraint: try prompts.map { try task.grammar(of: $0) },
      images: try (one.map { [$0] } ?? several ?? []).map(ImageSource.init),
      fields: try SamplingFields(from: decoder), options: options,
      model: try fields.decodeIfPresent(String.self, forKey: .model))
  }
}

/// The fields about how answers are wanted, which batches have no use for.
struct AnswerOptions: Decodable {
  private enum Key: String, CodingKey {
    case n, stream, seed, timeout
    case streamOptions = "stream_options"
    case maskPictures = "mask_png"
  }
  private struct StreamOptions: Decodable {
    private enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
    let includeUsage: Bool?
  }

  let choiceCount: Int
  let isStreaming: Bool
  let includesUsage: Bool
  let hasSeed: Bool
  let timeoutSeconds: Double?
  let wantsMaskPictures: Bool

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    choiceCount = try fields.decodeIfPresent(Int.self, forKey: .n) ?? 1
    isStreaming = try fields.decodeIfPresent(Bool.self, forKey: .stream) ?? false
    includesUsage =
      try fields.decodeIfPresent(StreamOptions.self, forKey: .streamOptions)?.includeUsage ?? false
    hasSeed = try fields.contains(.seed) && !fields.decodeNil(forKey: .seed)
    timeoutSeconds = try fields.decodeIfPresent(Double.self, forKey: .timeout)
    wantsMaskPictures = try fields.decodeIfPresent(Bool.self, forKey: .maskPictures) ?? true
    // So that no product with a number of prompts overflows.
    guard (1...JobLimits.choiceCount).contains(choiceCount) else {
      throw Failure(
        code: "invalid_request", message: "n must be 1 to \(JobLimits.choiceCount)")
    }
    if let timeoutSeconds {
      guard timeoutSeconds > 0, timeoutSeconds.isFinite else {
        throw Failure(code: "invalid_request", message: "timeout must be more than 0 seconds")
      }
    }
  }
}
