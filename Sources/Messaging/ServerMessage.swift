/// The one answer to a submission: a text, or a failure.
public struct Reply: Sendable, Equatable {
  /// Of the submission.
  public var tag: UInt64
  /// The generated text.
  public var text: String
  /// The generated tokens.
  public var tokenIDs: [Int32]
  /// Why generation ended; nil when it never began.
  public var finish: FinishReason?
  /// Tokens of the prefix, image tokens included.
  public var promptTokens: Int
  /// Tokens generated.
  public var completionTokens: Int
  /// One per image submitted.
  public var images: [ImageSize]
  /// Boxes found in the text.
  public var boxes: [Box]
  /// What of the text is no box and should be one.
  public var malformed: [MalformedText]
  /// One per token, if asked for.
  public var logprobs: [TokenLogprob]
  /// Why there is no answer.
  public var failure: Failure?
  /// Refused because a queue is full; the same submission may succeed later.
  public var isBusy: Bool

  /// Makes a reply.
  public init(
    tag: UInt64,
    text: String = "",
    tokenIDs: [Int32] = [],
    finish: FinishReason? = nil,
    promptTokens: Int = 0,
    completionTokens: Int = 0,
    images: [ImageSize] = [],
    boxes: [Box] = [],
    malformed: [MalformedText] = [],
    logprobs: [TokenLogprob] = [],
    failure: Failure? = nil,
    isBusy: Bool = false
  ) {
    self.tag = tag
    self.text = text
    self.tokenIDs = tokenIDs
    self.finish = finish
    self.promptTokens = promptTokens
    self.completionTokens = completionTokens
    self.images = images
    self.boxes = boxes
    self.malformed = malformed
    self.logprobs = logprobs
    self.failure = failure
    self.isBusy = isBusy
  }
}
