import Messaging
import PaliGemma
import Tensors

/// What the last stage remembers of each request: how to choose its tokens, and how many it has.
struct HeadState {
  private struct Sampled {
    let sampling: Sampling
    /// Rows in front of the answer, so that a row's position says which token comes next.
    let promptRowCount: Int
    /// Tokens drawn under an earlier plan.
    let recorded: [Int32]
    var count: Int
    var form: AnswerForm?

    init(_ sampling: Sampling, _ segment: Segment) {
      self.sampling = sampling
      recorded = segment.recorded
      count = recorded.count
      promptRowCount =
        segment.phase == .prefill
        ? segment.rowCount : segment.position + segment.rowCount - recorded.count
      form = AnswerForm(sampling)
      for token in recorded { _ = form?.advance(token) }
    }
  }
  private var requests: [UInt64: Sampled] = [:]

  /// Forgets a request.
  mutating func forget(_ request: UInt64) { requests[request] = nil }

  /// Chooses the next token of every segment; a token that is recorded is not drawn anew.
  ///
  /// - Parameters:
  ///   - logits: `[segments, V]`.
  ///   - batch: whose logits they are; a request's first rows bring its sampling along.
  /// - Returns: a result per segment.
  mutating func sample(_ logits: Tensor, batch: MicroBatch) -> TokenBatch {
    var results: [TokenResult] = []
    results.reserveCapacity(batch.segments.count)
    for (row, segment) in batch.segments.enumerated() {
      if let sampling = segment.sampling {
        requests[segment.request] = Sampled(sampling, segment)
      }
      guard let state = requests[segment.request] else {
        results.append(Self.unknown(segment.request))
        continue
      }
      let index = segment.position + segment.rowCount - state.promptRowCount
      if state.recorded.indices.contains(index) {
        results.append(
          TokenResult(request: segment.request, index: index, tokenID: state.recorded[index]))
      } else if index == state.count {
        results.append(draw(logits.rows(row..<row + 1), segment.request))
      } else {
        results.append(Self.unknown(segment.request))
      }
    }
    return TokenBatch(epoch: batch.epoch, sequence: batch.sequence, results: results)
  }

  private mutating func draw(_ logits: Tensor, _ request: UInt64) -> TokenResult {
    // Taken out while it changes, so that its form isn't copied.
    guard var state = requests.removeValue(forKey: request) else { return Self.unknown(request) }
    state.form?.mask(logits)
    let index = state.count
    let token = Sampler.sample(logits, index: index, SamplingParameters(state.sampling))
    state.count += 1
    let isRound = state.form?.advance(token.chosen.tokenID) ?? false
    let finish =
      Self.finish(token.chosen.tokenID, count: state.count, state.sampling)
      ?? (isRound ? .repetition : nil)
    if finish == nil { requests[request] = state }
    return TokenResult(
      request: request, index: index, tokenID: token.chosen.tokenID, finish: finish,
      logprob: token.chosen.logprob,
      alternatives: token.alternatives.map {
        Alternative(tokenID: $0.tokenID, logprob: $0.logprob)
      })
  }

  private static func unknown(_ request: UInt64) -> TokenResult {
    TokenResult(
      request: request, index: 0, tokenID: 0, finish: .failed,
      failure: Failure(
        code: StageExecutor.cacheLost, message: "the last stage doesn't know the request"))
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
