import Messaging

/// One encoded picture: the bytes of a JPEG, PNG or WebP file.
public struct EncodedImage: Sendable, Equatable {
  /// What messages call it, such as its file name.
  public var name: String
  /// The bytes; shared with a received message, never copied.
  public var content: Frame

  /// Takes bytes as a message brought them.
  public init(name: String, content: Frame) {
    self.name = name
    self.content = content
  }

  /// Takes bytes as a file held them.
  public init(name: String, bytes: [UInt8]) {
    self.init(name: name, content: Frame(bytes: bytes))
  }
}

/// One question about one or more pictures.
public struct AnswerRequest: Sendable, Equatable {
  /// The pictures, all in front of the prompt.
  public var images: [EncodedImage]
  /// The prompt as the user wrote it; nothing is stripped.
  public var prompt: String
  /// How tokens are chosen. Stop tokens are the model's own and need not be given.
  public var sampling: Sampling

  /// Makes a request.
  public init(images: [EncodedImage], prompt: String, sampling: Sampling = Sampling()) {
    self.images = images
    self.prompt = prompt
    self.sampling = sampling
  }
}

/// The answer to one request.
public struct Answer: Sendable, Equatable {
  /// The text, without special tokens; `<loc0000>` and `<seg000>` stand in it as the model wrote them.
  public var text: String
  /// The generated tokens, without the end token when the answer stopped there.
  public var tokenIDs: [Int32]
  /// Why the answer ended.
  public var finish: FinishReason
  /// Tokens of the prefix: image tokens, `<bos>`, prompt and newline.
  public var promptTokens: Int
  /// Tokens generated, the end token included: what Hugging Face's `generate` returns, and what was
  /// computed. One more than `tokenIDs.count` when the answer stopped by itself.
  public var completionTokens: Int
  /// Extents of the pictures as decoded and turned upright, in pixels.
  public var imageSizes: [ImageSize]
  /// The boxes of the answer, in pixels of the first picture.
  public var boxes: [Box]
  /// One for each of `tokenIDs` if asked for, else none.
  public var logprobs: [TokenLogprob]

  /// Makes an answer.
  public init(
    text: String, tokenIDs: [Int32], finish: FinishReason, promptTokens: Int,
    completionTokens: Int, imageSizes: [ImageSize], boxes: [Box] = [],
    logprobs: [TokenLogprob] = []
  ) {
    self.text = text
    self.tokenIDs = tokenIDs
    self.finish = finish
    self.promptTokens = promptTokens
    self.completionTokens = completionTokens
    self.imageSizes = imageSizes
    self.boxes = boxes
    self.logprobs = logprobs
  }

  /// The word for `finish` in results: `stop` or `length`.
  public var finishWord: String { finish == .stop ? "stop" : "length" }
}

/// Something that answers requests: a model in this process, or a coordinator elsewhere.
public protocol AnswerService: Sendable {
  /// Answers one request; many may be under way at once.
  ///
  /// - Throws: a failure with a code for programs and a message with cause and remedy for people.
  func answer(_ request: AnswerRequest) async throws(Failure) -> Answer
}
