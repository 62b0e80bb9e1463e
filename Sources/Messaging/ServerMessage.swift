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
    self.logprobs = logprobs
    self.failure = failure
    self.isBusy = isBusy
  }
}

/// One stage as the coordinator sees it.
public struct StageStatus: Sendable, Equatable {
  /// What it is called, such as `vision`.
  public var name: String
  /// Its blocks of the model's chain.
  public var blocks: Range<Int>
  /// The worker's name.
  public var worker: String
  /// Share of the time spent computing, 0 to 1.
  public var busyShare: Double
  /// Micro-batches computed.
  public var microBatches: UInt64
  /// Bytes received from stages.
  public var receivedBytes: UInt64
  /// Bytes sent to stages.
  public var sentBytes: UInt64
  /// Makes a row.
  public init(
    name: String,
    blocks: Range<Int>,
    worker: String,
    busyShare: Double = 0,
    microBatches: UInt64 = 0,
    receivedBytes: UInt64 = 0,
    sentBytes: UInt64 = 0
  ) {
    self.name = name
    self.blocks = blocks
    self.worker = worker
    self.busyShare = busyShare
    self.microBatches = microBatches
    self.receivedBytes = receivedBytes
    self.sentBytes = sentBytes
  }
}

/// The state of the pipeline.
public struct Status: Sendable, Equatable {
  /// One word, such as `ready`.
  public var state: String
  /// The same for people.
  public var message: String
  /// One row per stage and replica.
  public var stages: [StageStatus]
  /// Makes a status.
  public init(state: String, message: String = "", stages: [StageStatus] = []) {
    self.state = state
    self.message = message
    self.stages = stages
  }
}
