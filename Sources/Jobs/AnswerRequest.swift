import Imaging
import Messaging

/// One encoded picture: the bytes of a JPEG, PNG or WebP file, or a pixmap of pixels that are there already.
public struct EncodedImage: Sendable, Equatable {
  /// What messages call it, such as its file name.
  public var name: String
  /// The bytes; shared with a received message, never copied.
  public var content: Frame
  /// The extent that boxes and masks are given in, where the picture was shrunk beforehand; nil for its own.
  public var originalSize: ImageSize?

  /// Takes bytes as a message brought them.
  public init(name: String, content: Frame, originalSize: ImageSize? = nil) {
    self.name = name
    self.content = content
    self.originalSize = originalSize
  }

  /// Takes pixels as they are; nothing is lost, and nothing compressed.
  public init(name: String, picture: Picture) {
    self.init(name: name, bytes: picture.encodedPixmap())
  }

  /// Takes pixels, shrunk to the side of the model's pictures: the resize that would be done later anyway, with the
  /// same bits, so answers are the same; but 150 kB travel and not six megabytes of a frame of 1080p.
  ///
  /// - Parameters:
  ///   - name: what messages call it.
  ///   - picture: the whole picture.
  ///   - side: of the model's pictures; nil leaves the picture as it is.
  public init(name: String, picture: Picture, side: Int?) {
    // A failure for want of memory; then the service gets the whole picture, and says so itself.
    guard let side, let small = try? picture.resized(toWidth: side, height: side) else {
      self.init(name: name, picture: picture)
      return
    }
    self.init(name: name, picture: small)
    originalSize = ImageSize(width: picture.width, height: picture.height)
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
  /// Whom it overtakes, and until when anybody waits for it.
  public var handling: Handling
  /// The answer ends before the first of these texts; at most `MessageLimits.stopTextCount`.
  public var stopTexts: [String]

  /// Makes a request.
  public init(
    images: [EncodedImage], prompt: String, sampling: Sampling = Sampling(),
    handling: Handling = Handling(), stopTexts: [String] = []
  ) {
    self.images = images
    self.prompt = prompt
    self.sampling = sampling
    self.handling = handling
    self.stopTexts = stopTexts
  }
}

/// A piece of an answer, as soon as it is certain.
public struct AnswerDelta: Sendable, Equatable {
  /// Whole characters; the pieces joined are `Answer.text`.
  public var text: String
  /// The tokens since the last piece; an end token isn't among them.
  public var tokens: [TokenLogprob]

  /// Makes a piece.
  public init(text: String, tokens: [TokenLogprob]) {
    self.text = text
    self.tokens = tokens
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
  /// What of an answer with boxes is none.
  public var malformed: [MalformedText]
  /// One for each of `tokenIDs` if asked for, else none.
  public var logprobs: [TokenLogprob]

  /// Makes an answer.
  public init(
    text: String, tokenIDs: [Int32], finish: FinishReason, promptTokens: Int,
    completionTokens: Int, imageSizes: [ImageSize], boxes: [Box] = [],
    malformed: [MalformedText] = [], logprobs: [TokenLogprob] = []
  ) {
    self.text = text
    self.tokenIDs = tokenIDs
    self.finish = finish
    self.promptTokens = promptTokens
    self.completionTokens = completionTokens
    self.imageSizes = imageSizes
    self.boxes = boxes
    self.malformed = malformed
    self.logprobs = logprobs
  }

  /// The word for `finish` in results: `stop` or `length`, as OpenAI has them; an answer that went
  /// round in its boxes was stopped.
  public var finishWord: String { finish == .length ? "length" : "stop" }
}

/// Something that answers requests: a model in this process, or a coordinator elsewhere.
public protocol AnswerService: Sendable {
  /// Answers one request; many may be under way at once. Cancelling the task gives it up.
  ///
  /// - Parameters:
  ///   - request: what to answer.
  ///   - onDelta: called with the answer's text piece by piece, in order and before the answer
  ///     returns, from any thread: it must not block. A service that can't stream gives one piece.
  /// - Returns: the whole answer.
  /// - Throws: a failure with a code for programs and a message with cause and remedy for people.
  func answer(
    _ request: AnswerRequest, onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer
}

extension AnswerService {
  /// Answers one request; the text comes all at once.
  public func answer(_ request: AnswerRequest) async throws(Failure) -> Answer {
    try await answer(request, onDelta: nil)
  }
}
