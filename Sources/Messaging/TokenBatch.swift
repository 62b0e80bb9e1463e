/// Why generation ended.
public enum FinishReason: UInt32, Sendable, CaseIterable {
  /// A stop token was drawn.
  case stop = 1
  /// The most tokens asked for, or that fit, are there.
  case length = 2
  /// It could not be continued; a `Failure` says why.
  case failed = 3
  /// It went round in boxes it had had before.
  case repetition = 4
}

/// An error as it travels: a code for programs, a message for people.
public struct Failure: Error, Sendable, Equatable {
  /// A short word such as `out_of_memory`; never empty.
  public var code: String
  /// What happened and what to do.
  public var message: String

  /// Makes a failure.
  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }
}

/// A token that might have been drawn instead.
public struct Alternative: Sendable, Equatable {
  /// The token.
  public var tokenID: Int32
  /// Natural logarithm of its probability.
  public var logprob: Float

  /// Makes an alternative.
  public init(tokenID: Int32, logprob: Float) {
    self.tokenID = tokenID
    self.logprob = logprob
  }
}

/// What the last stage drew for one request.
public struct TokenResult: Sendable, Equatable {
  /// The request.
  public var request: UInt64
  /// Index among the generated tokens, from 0.
  public var index: Int
  /// The token; without meaning when `failure` is set.
  public var tokenID: Int32
  /// Why this was the last; nil while generation goes on.
  public var finish: FinishReason?
  /// Natural logarithm of the token's probability; 0 unless asked for.
  public var logprob: Float
  /// The likeliest tokens, if asked for.
  public var alternatives: [Alternative]
  /// Why it failed; set exactly when `finish` is `.failed`.
  public var failure: Failure?

  /// Makes a result.
  public init(
    request: UInt64,
    index: Int,
    tokenID: Int32,
    finish: FinishReason? = nil,
    logprob: Float = 0,
    alternatives: [Alternative] = [],
    failure: Failure? = nil
  ) {
    self.request = request
    self.index = index
    self.tokenID = tokenID
    self.finish = finish
    self.logprob = logprob
    self.alternatives = alternatives
    self.failure = failure
  }
}

/// The last stage's answer to one micro-batch, for the first shard and for the coordinator.
public struct TokenBatch: Sendable, Equatable {
  /// The plan this belongs to.
  public var epoch: UInt64
  /// The micro-batch answered.
  public var sequence: UInt64
  /// One result per request that drew a token or failed.
  public var results: [TokenResult]

  /// Makes a token batch.
  public init(epoch: UInt64, sequence: UInt64, results: [TokenResult]) {
    self.epoch = epoch
    self.sequence = sequence
    self.results = results
  }
}

/// A worker tells the stages it sends to that the way to them is open.
public struct Pulse: Sendable, Equatable {
  /// The plan.
  public var epoch: UInt64
  /// The worker that sends it.
  public var worker: Int
  /// Makes a pulse.
  public init(epoch: UInt64, worker: Int) {
    self.epoch = epoch
    self.worker = worker
  }
}

/// Everything that travels between stages, on one socket.
public enum StageMessage: Sendable, Equatable {
  /// Rows for the stage that receives it.
  case microBatch(MicroBatch)
  /// Tokens from the last stage.
  case tokenBatch(TokenBatch)
  /// The way from a worker is open.
  case pulse(Pulse)
}
