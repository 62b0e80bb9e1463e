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

  /// Makes a request.
  public init(pixels: Tensor, textTokenIDs: [Int32], sampling: Sampling) {
    self.pixels = pixels
    self.textTokenIDs = textTokenIDs
    self.sampling = sampling
  }
}

/// What the pipeline answered.
public struct Completion: Sendable, Equatable {
  /// The tokens in order, with the end token last when `finish` is `.stop`.
  public var tokens: [TokenLogprob]
  /// Why the answer ended: `.stop` or `.length`.
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
  /// Answers one request; many may be under way at once.
  ///
  /// - Throws: a failure with a code: `invalid_request`, `overloaded`, `worker_lost`,
  ///   `cluster_not_ready`, `stopped`, `internal`.
  func complete(_ request: PreparedRequest) async throws(Failure) -> Completion
}
