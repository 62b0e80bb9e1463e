import Messaging
import PaliGemma
import Tensors

/// What the last stage remembers of each request: how to choose its tokens, and how many it has.
struct HeadState {
  private struct Sampled {
    let sampling: Sampling
    var count = 0
    var form: AnswerForm?

    init(_ sampling: Sampling) {
      self.sampling = sampling
      form = AnswerForm(sampling)
    }
  }
  private var requests: [UInt64: Sampled] = [:]

  /// Forgets a request.
  mutating func forget(_ request: UInt64) { requests[request] = nil }

  /// Chooses the next token of every segment.
  ///
  /// - Parameters:
  ///   - logits: `[segments, V]`.
  ///   - batch: whose logits they are; a prefill brings its sampling along.
  /// - Returns: a result per segment.
  mutating func sample(_ logits: Tensor, batch: MicroBatch) -> TokenBatch {
    var results: [TokenResult] = []
    for (row, segment) in batch.segments.enumerated() {
      if let sampling = segment.sampling { requests[segment.request] = Sampled(sampling) }
      guard var state = requests[segment.request] else {
        let failure = Failure(code: "internal", message: "the last stage doesn't know the request")
        results.append(
          TokenResult(
            request: segment.request, index: 0, tokenID: 0, finish: .failed, failure: failure))
        continue
      }
      let ofRow = logits.rows(row..<row + 1)
      state.form?.mask(ofRow)
      let token = Sampler.sample(ofRow, index: state.count, SamplingParameters(state.sampling))
      let index = state.count
      state.count += 1
      let isRound = state.form?.advance(token.chosen.tokenID) ?? false
      let finish =
        Self.finish(token.chosen.tokenID, count: state.count, state.sampling)
        ?? (isRound ? .repetition : nil)
      requests[segment.request] = finish == nil ? state : nil
      results.append(
        TokenResult(
          request: segment.request, index: index, tokenID: token.chosen.tokenID, finish: finish,
          logprob: token.chosen.logprob,
          alternatives: token.alternatives.map {
            Alternative(tokenID: $0.tokenID, logprob: $0.logprob)
          }))
    }
    return TokenBatch(epoch: batch.epoch, sequence: batch.sequence, results: results)
  }

  private static func finish(_ token: Int32, count: Int, _ sampling: Sampling) -> FinishReason? {
    if sampling.stopTokenIDs.contains(token) { return .stop }
    return count >= sampling.maximumTokens ? .length : nil
  }
}

extension SamplingParameters {
  /// The model's view of what a message asks for.
  init(_ sampling: Sampling) {
    self.init(
      temperature: sampling.temperature, topK: sampling.topK, topP: sampling.topP,
      seed: sampling.seed, logprobCount: sampling.wantsLogprobs ? sampling.logprobCount : nil)
  }
}
