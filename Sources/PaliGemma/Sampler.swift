import CKernels
import Tensors

/// How the next token is chosen from the logits.
public struct SamplingParameters: Sendable, Equatable {
  /// Divides the logits; 0 means greedy.
  public var temperature: Float
  /// Keep only this many of the likeliest tokens; 0 keeps all.
  public var topK: Int
  /// Keep the likeliest tokens until their probability reaches this; 1 keeps all.
  public var topP: Float
  /// The request's own seed.
  public var seed: UInt64
  /// How many alternatives to report with each token's log-probability; nil reports none at all.
  public var logprobCount: Int?

  /// Greedy unless told otherwise.
  public init(
    temperature: Float = 0, topK: Int = 0, topP: Float = 1, seed: UInt64 = 0,
    logprobCount: Int? = nil
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
    self.logprobCount = logprobCount
  }
}

/// A token chosen, with its log-probability where asked for.
public struct SampledToken: Sendable, Equatable {
  /// A token and its natural-log probability under the unmodified logits.
  public struct Candidate: Sendable, Equatable {
    /// The token.
    public let tokenID: Int32
    /// ln p.
    public let logprob: Float
    /// Pairs a token with its log-probability.
    public init(tokenID: Int32, logprob: Float) {
      self.tokenID = tokenID
      self.logprob = logprob
    }
  }
  /// The chosen token; its log-probability is 0 when none was asked for.
  public let chosen: Candidate
  /// The likeliest tokens, best first.
  public let alternatives: [Candidate]
}

/// Chooses tokens. A pure function of the logits, the parameters and the token's index, so that a
/// request gets the same answer in any company, on any cut, and when it is replayed.
public enum Sampler {
  /// Chooses the token with index `index` (0-based in the answer) from one row of logits `[1, V]`.
  public static func sample(_ logits: Tensor, index: Int, _ parameters: SamplingParameters)
    -> SampledToken
  {
    logits.withFloats { pointer in
      let row = UnsafeBufferPointer(start: pointer, count: logits.count)
      let id =
        parameters.temperature > 0
        ? draw(
          row, uniform: Philox.uniform(seed: parameters.seed, index: UInt64(index)), parameters)
        : kernel_argmax_f32(row.count, pointer)
      guard let count = parameters.logprobCount else {
        return SampledToken(chosen: .init(tokenID: Int32(id), logprob: 0), alternatives: [])
      }
      let total = kernel_logsumexp_f32(row.count, pointer)
      let candidate = { (id: Int) in
        SampledToken.Candidate(tokenID: Int32(id), logprob: Float(Double(row[id]) - total))
      }
      return SampledToken(
        chosen: candidate(id), alternatives: likeliest(row, count).map(candidate))
    }
  }

  /// The ids of the `count` largest logits, best first, lower ids first among equals.
  static func likeliest(_ row: UnsafeBufferPointer<Float>, _ count: Int) -> [Int] {
    var best: [Int] = []
    guard count > 0 else { return best }
    for id in row.indices {
      if best.count == count, let last = best.last, row[last] >= row[id] { continue }
      let place = best.firstIndex { row[$0] < row[id] } ?? best.endIndex
      best.insert(id, at: place)
      if best.count > count { best.removeLast() }
    }
    return best
  }

  /// Inverse-transform sampling from the tokens that top-k and then top-p keep.
  private static func draw(
    _ row: UnsafeBufferPointer<Float>, uniform: Double, _ parameters: SamplingParameters
  ) -> Int {
    let kept = self.kept(row, parameters)
    let total = kept.reduce(0) { $0 + $1.weight }
    var left = uniform * total
    for (id, weight) in kept {
      left -= weight
      if left < 0 { return id }
    }
    return kept.last?.id ?? 0
  }

  /// Tokens that may be drawn, with weights exp((logit − max) / temperature), likeliest first.
  private static func kept(
    _ row: UnsafeBufferPointer<Float>, _ parameters: SamplingParameters
  ) -> [(id: Int, weight: Double)] {
    let limit = parameters.topK > 0 ? min(parameters.topK, row.count) : row.count
    var ids = row.indices.sorted { row[$0] != row[$1] ? row[$0] > row[$1] : $0 < $1 }
    ids.removeLast(row.count - limit)
    let largest = Double(ids.first.map { row[$0] } ?? 0)
    var kept = ids.map { id in
      (id: id, weight: exponential((Double(row[id]) - largest) / Double(parameters.temperature)))
    }
    if parameters.topP < 1 {
      let total = kept.reduce(0) { $0 + $1.weight }
      var sum = 0.0
      // The token that crosses the threshold stays, so at least one is always kept.
      let end = kept.firstIndex { candidate in
        sum += candidate.weight
        return sum >= Double(parameters.topP) * total
      }
      if let end { kept.removeLast(kept.count - end - 1) }
    }
    return kept
  }
}
