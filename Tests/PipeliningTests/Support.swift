import CKernels
import Checkpoints
import Foundation
import GoldenFixtures
import Messaging
import PaliGemma
import Pipelining
import Tensors
import Testing

extension Golden {
  /// A case as the pipeline takes it.
  func request(_ item: Case, logprobs: Bool = true) throws -> PreparedRequest {
    PreparedRequest(
      pixels: try pixels(item), textTokenIDs: item.textIDs,
      sampling: Sampling(
        maximumTokens: item.greedyTokens.count, stopTokenIDs: config.endTokenIDs,
        logprobCount: 2, wantsLogprobs: logprobs))
  }

  /// Sends all cases `times` times at once and returns the completions in order.
  func completions(from engine: any Engine, times: Int = 1) async throws -> [Completion] {
    try await withThrowingTaskGroup(of: (Int, Completion).self) { group in
      for index in 0..<cases.count * times {
        let request = try request(cases[index % cases.count])
        group.addTask { (index, try await engine.complete(request)) }
      }
      var all: [Int: Completion] = [:]
      for try await (index, completion) in group { all[index] = completion }
      return all.keys.sorted().compactMap { all[$0] }
    }
  }

  /// What one model in one piece answers, through `Generation`.
  func expected(_ precision: Precision = .f32) throws -> [Completion] {
    let generation = try Generation(
      config: config, checkpoint: checkpoint, precision: precision)
    return try cases.map { item in
      let tokens = generation.answer(
        pixels: try pixels(item), promptTokenIDs: item.textIDs,
        tokenCountMaximum: item.greedyTokens.count, parameters: SamplingParameters(logprobCount: 2))
      return Completion(
        tokens: tokens.map { token in
          TokenLogprob(
            tokenID: token.chosen.tokenID, logprob: token.chosen.logprob,
            alternatives: token.alternatives.map {
              Alternative(tokenID: $0.tokenID, logprob: $0.logprob)
            })
        }, finish: config.endTokenIDs.contains(tokens.last?.chosen.tokenID ?? -1) ? .stop : .length)
    }
  }
}

/// A folder of this test's own for ipc endpoints; short, because a socket's path may have 107 bytes.
func temporaryEndpoint(_ name: String) -> String {
  "ipc:///tmp/palisade-\(UUID().uuidString.prefix(8))-\(name)"
}

/// Whether two completions are the same: to the last bit where the kernels promise it (law 2 in
/// f32, `kernels_rows_are_exact`), else the same tokens with log-probabilities within 1e-4.
func isSame(_ actual: Completion, _ expected: Completion) -> Bool {
  if kernels_rows_are_exact() { return actual == expected }
  return actual.finish == expected.finish
    && actual.tokens.map(\.tokenID) == expected.tokens.map(\.tokenID)
    && zip(actual.tokens, expected.tokens).allSatisfy { abs($0.logprob - $1.logprob) < 1e-4 }
}

/// The same for lists.
func areSame(_ actual: [Completion], _ expected: [Completion]) -> Bool {
  actual.count == expected.count && zip(actual, expected).allSatisfy { isSame($0, $1) }
}
