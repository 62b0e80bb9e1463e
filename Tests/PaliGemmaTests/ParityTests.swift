import GoldenFixtures
import PaliGemma
import Tensors
import Testing

/// Equality with Hugging Face's `PaliGemmaForConditionalGeneration`, layer by layer.
@Suite struct ParityTests {
  @Test(arguments: Golden.names) func hiddenStatesAfterEveryBlock(_ name: String) throws {
    let golden = try Golden(name)
    let model = try golden.section()
    let config = golden.config
    for item in golden.cases {
      var rows: [Int: [Float]] = [:]
      _ = model.forward(try golden.pixels(item), sequences: [golden.prefix(item, in: model)]) {
        rows[$0] = $1.floats
      }
      for (index, block) in config.blocks.enumerated() {
        let expected: [Float]
        let vision = { (suffix: String) in
          try item.images.flatMap { try golden.tensor("image.\($0).\(suffix)").floats }
        }
        switch block {
        case .patchEmbedding: expected = try vision("patch_embedding")
        case .visionLayer(let layer): expected = try vision("layer.\(layer)")
        case .projector: expected = try vision("projector")
        case .tokenEmbedding: expected = try golden.tensor("case.\(item.name).embeddings").floats
        case .decoderLayer(let layer):
          expected = try golden.tensor("case.\(item.name).layer.\(layer)").floats
        case .languageHead:
          expected = try golden.tensor("case.\(item.name).logits").rows(0..<1).floats
        }
        let error = relativeError(try #require(rows[index]), expected)
        #expect(error <= 1e-4, "\(name) \(item.name) \(block): \(error)")
      }
    }
  }

  @Test(arguments: Golden.names) func logitsOfEveryStep(_ name: String) throws {
    let golden = try Golden(name)
    let model = try golden.section()
    for item in golden.cases {
      let expected = try golden.tensor("case.\(item.name).logits")
      var rows = golden.prefix(item, in: model)
      var input: Tensor? = try golden.pixels(item)
      for step in 0..<expected.rowCount {
        let logits = model.forward(input, sequences: [rows])
        let error = relativeError(logits.floats, expected.rows(step..<step + 1).floats)
        #expect(error <= 1e-3, "\(name) \(item.name) step \(step): \(error)")
        let id = item.greedyTokens[step]
        rows = SequenceRows(.suffix, tokenIDs: [id], rowCount: 1, cache: rows.cache)
        input = nil
      }
    }
  }

  @Test(arguments: Golden.names) func greedyTokensAndLogprobs(_ name: String) throws {
    let golden = try Golden(name)
    let generation = try Generation(config: golden.config, checkpoint: golden.checkpoint)
    for item in golden.cases {
      let answer = generation.answer(
        pixels: try golden.pixels(item), promptTokenIDs: item.textIDs,
        tokenCountMaximum: item.greedyTokens.count,
        parameters: SamplingParameters(logprobCount: 2))
      #expect(answer.map(\.chosen.tokenID) == item.greedyTokens, "\(name) \(item.name)")
      #expect(
        (item.finish == "end") == golden.config.endTokenIDs.contains(item.greedyTokens.last ?? -1))
      let logprobs = try golden.tensor("case.\(item.name).log_probabilities").floats
      for (token, expected) in zip(answer, logprobs) {
        #expect(abs(token.chosen.logprob - expected) < 1e-3)
        #expect(token.alternatives.first == token.chosen)
        #expect(token.alternatives.count == 2)
      }
    }
  }
}
