import Foundation
import Tensors

/// Whether a segment fills a request's KV cache or continues from it.
public enum Phase: UInt32, Sendable, CaseIterable {
  /// Image and prompt, all rows at once.
  case prefill = 1
  /// One row: the last token.
  case decode = 2
}

/// How the next token of a request is drawn.
///
/// The draw depends on (seed, position) only.
public struct Sampling: Sendable, Equatable {
  /// 0 is greedy.
  public var temperature: Float
  /// Keep so many of the likeliest tokens; 0 keeps all.
  public var topK: Int
  /// Keep the likeliest tokens up to this probability; 1 keeps all.
  public var topP: Float
  /// Seed of the request's draws.
  public var seed: UInt64
  /// Generation ends after so many tokens.
  public var maximumTokens: Int
  /// Generation ends at any of these.
  public var stopTokenIDs: [Int32]
  /// Alternatives to report beside each token.
  public var logprobCount: Int
  /// Whether to report the logarithm of each token's probability.
  public var wantsLogprobs: Bool
  /// Limits the answer to the form of a task; needs `coordinates`.
  public var grammar: Grammar?
  /// Ends an answer that goes round in boxes it has had; needs `coordinates`.
  public var stopsRepetition: Bool
  /// Where the tokenizer has its coordinates; filled in by whoever has the tokenizer.
  public var coordinates: CoordinateTokens?

  /// Greedy by default.
  public init(
    temperature: Float = 0,
    topK: Int = 0,
    topP: Float = 1,
    seed: UInt64 = 0,
    maximumTokens: Int = 256,
    stopTokenIDs: [Int32] = [],
    logprobCount: Int = 0,
    wantsLogprobs: Bool = false,
    grammar: Grammar? = nil,
    stopsRepetition: Bool = true,
    coordinates: CoordinateTokens? = nil
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
    self.maximumTokens = maximumTokens
    self.stopTokenIDs = stopTokenIDs
    self.logprobCount = logprobCount
    self.wantsLogprobs = wantsLogprobs
    self.grammar = grammar
    self.stopsRepetition = stopsRepetition
    self.coordinates = coordinates
  }
}

/// The rows of one request inside a micro-batch.
public struct Segment: Sendable, Equatable {
  /// The request, unique within the coordinator's life.
  public var request: UInt64
  /// Whether the rows fill the cache or continue from it.
  public var phase: Phase
  /// Index of the first row within the request, from 0.
  public var position: Int
  /// How many rows.
  public var rowCount: Int
  /// Prefill: bos, prompt, newline.
  ///
  /// Decode: the last token. Empty once embedded.
  public var tokenIDs: [Int32]
  /// Images of the request, in front of its tokens.
  public var imageCount: Int
  /// Positions to reserve in the request's KV cache.
  public var capacity: Int
  /// How the last stage draws the next token; nil where none is drawn.
  public var sampling: Sampling?
  /// Tokens drawn under an earlier plan; with `sampling`. They are gone through again, not drawn.
  public var recorded: [Int32]

  /// Makes a segment.
  public init(
    request: UInt64,
    phase: Phase,
    position: Int,
    rowCount: Int,
    tokenIDs: [Int32] = [],
    imageCount: Int = 0,
    capacity: Int = 0,
    sampling: Sampling? = nil,
    recorded: [Int32] = []
  ) {
    self.request = request
    self.phase = phase
    self.position = position
    self.rowCount = rowCount
    self.tokenIDs = tokenIDs
    self.imageCount = imageCount
    self.capacity = capacity
    self.sampling = sampling
    self.recorded = recorded
  }
}

/// What flows between stages: rows of several requests side by side.
public struct MicroBatch: Sendable, Equatable {
  /// The plan this belongs to; a message of another epoch is dropped.
  public var epoch: UInt64
  /// Counts micro-batches within the epoch; a repeated or late one is recognised by it.
  public var sequence: UInt64
  /// The stage this is addressed to.
  public var stage: Int
  /// The worker of each stage.
  public var route: [Int]
  /// The rows' owners, in row order.
  public var segments: [Segment]
  /// Requests whose KV caches may be freed.
  public var released: [UInt64]
  /// Pixels in front of the vision stage, hidden states `[T, D]` after it; nil where only ids travel.
  public var tensor: Tensor?
  /// How the tensor travels, or came.
  public var encoding = TensorEncoding.exact

  /// Makes a micro-batch.
  public init(
    epoch: UInt64,
    sequence: UInt64,
    stage: Int,
    route: [Int],
    segments: [Segment],
    released: [UInt64] = [],
    tensor: Tensor? = nil
  ) {
    self.epoch = epoch
    self.sequence = sequence
    self.stage = stage
    self.route = route
    self.segments = segments
    self.released = released
    self.tensor = tensor
  }

  /// Equal fields and, bit for bit, equal tensors; reads both tensors, so for tests and checks.
  public static func == (left: MicroBatch, right: MicroBatch) -> Bool {
    left.epoch == right.epoch && left.sequence == right.sequence && left.stage == right.stage
      && left.route == right.route && left.segments == right.segments
      && left.released == right.released && left.hasSameTensor(as: right)
  }

  private func hasSameTensor(as other: MicroBatch) -> Bool {
    guard let mine = tensor, let its = other.tensor else {
      return tensor == nil && other.tensor == nil
    }
    return mine.elementType == its.elementType && mine.shape == its.shape
      && Frame(tensor: mine) == Frame(tensor: its)
  }
}
