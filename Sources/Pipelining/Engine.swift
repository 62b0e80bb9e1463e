import Messaging
import PaliGemma
import Tensors

/// One request, ready for the pipeline: pictures resized, text tokenised.
public struct PreparedRequest: Sendable {
  /// `[pictures, side, side, 3]` u8; at least one picture.
  public var pixels: Tensor
  /// `<bos>`, the prompt and its newline; image tokens are implied by `pixels`.
  public var textTokenIDs: [Int32]
  /// How tokens are chosen, and when to stop.
  public var sampling: Sampling
  /// Whom it overtakes, and until when anybody waits for it.
  public var handling: Handling

  /// Makes a request.
  public init(
    pixels: Tensor, textTokenIDs: [Int32], sampling: Sampling, handling: Handling = Handling()
  ) {
    self.pixels = pixels
    self.textTokenIDs = textTokenIDs
    self.sampling = sampling
    self.handling = handling
  }
}

/// What the pipeline answered.
public struct Completion: Sendable, Equatable {
  /// The tokens in order, with the end token last when `finish` is `.stop`.
  public var tokens: [TokenLogprob]
  /// Why the answer ended: `.stop`, `.length` or `.repetition`.
  public var finish: FinishReason

  /// Makes a completion.
  public init(tokens: [TokenLogprob], finish: FinishReason) {
    self.tokens = tokens
    self.finish = finish
  }
}

/// Something that answers prepared requests: a pipeline in this process, or one of processes.
public protocol Engine: Sendable {
  /// The model's numbers.
  var config: ModelConfig { get }
  /// Answers one request; many may be under way at once. Cancelling the task gives it up, and frees
  /// its place and caches.
  ///
  /// - Parameters:
  ///   - request: what to answer.
  ///   - onToken: called with each token as it comes, in order and before the completion returns,
  ///     on the engine's thread: it must not block.
  /// - Returns: all tokens.
  /// - Throws: a failure with a code: `invalid_request`, `overloaded`, `worker_lost`,
  ///   `cluster_not_ready`, `deadline_exceeded`, `cancelled`, `stopped`, `internal`.
  func complete(
    _ request: PreparedRequest, onToken: (@Sendable (TokenLogprob) -> Void)?
  ) async throws(Failure) -> Completion
}

extension Engine {
  /// Answers one request; the tokens come all at once.
  public func complete(_ request: PreparedRequest) async throws(Failure) -> Completion {
    try await complete(request, onToken: nil)
  }
}
