import Testing

@testable import PaliGemma
@testable import Tensors

@Suite struct SamplerTests {
  @Test func philoxGivesThePublishedVectors() {
    // Random123's kat_vectors for philox4x32-10.
    #expect(
      Philox.block(counter: SIMD4(repeating: 0), key: SIMD2(repeating: 0))
        == SIMD4(0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8))
    #expect(
      Philox.block(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
        == SIMD4(0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD))
    #expect(
      Philox.block(
        counter: SIMD4(0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344),
        key: SIMD2(0xA409_3822, 0x299F_31D0))
        == SIMD4(0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1))
  }

  private func frequencies(_ logits: [Float], _ parameters: SamplingParameters) -> [Double] {
    let row = Tensor(logits, shape: [1, logits.count])
    var counts = [Double](repeating: 0, count: logits.count)
    let draws = 20_000
    for index in 0..<draws {
      counts[Int(Sampler.sample(row, index: index, parameters).chosen.tokenID)] += 1
    }
    return counts.map { $0 / Double(draws) }
  }

  @Test func drawsFollowTheSoftmaxOfTheTemperature() {
    let logits: [Float] = [0.3, 2, -1, 1]
    let weights = logits.map { exponential(Double($0) / 0.7) }
    let expected = weights.map { $0 / weights.reduce(0, +) }
    let measured = frequencies(logits, SamplingParameters(temperature: 0.7, seed: 5))
    for (m, e) in zip(measured, expected) { #expect(abs(m - e) < 0.015) }
  }

  @Test func topKAndTopPKeepWhatTheySay() {
    let logits: [Float] = [1, 1, 3, 2]
    let topK = frequencies(logits, SamplingParameters(temperature: 1, topK: 2, seed: 1))
    #expect(topK[0] == 0 && topK[1] == 0 && topK[2] > 0.7 && topK[3] > 0.2)
    // Probabilities 0.58, 0.21, 0.08, 0.08 …: 0.5 keeps one token, 0.6 the one that crosses too.
    let half = frequencies(logits, SamplingParameters(temperature: 1, topP: 0.5, seed: 1))
    #expect(half == [0, 0, 1, 0])
    let more = frequencies(logits, SamplingParameters(temperature: 1, topP: 0.7, seed: 1))
    #expect(more[0] == 0 && more[1] == 0 && more[3] > 0)
  }

  @Test func aDrawDependsOnSeedAndIndexAlone() {
    let logits = Tensor((0..<50).map { Float($0 % 7) }, shape: [1, 50])
    let sample = { (seed: UInt64, index: Int) in
      Sampler.sample(logits, index: index, SamplingParameters(temperature: 1, seed: seed)).chosen
        .tokenID
    }
    #expect((0..<20).map { sample(3, $0) } == (0..<20).map { sample(3, $0) })
    #expect((0..<20).map { sample(3, $0) } != (0..<20).map { sample(4, $0) })
  }

  @Test func greedyTakesTheFirstOfEquals() {
    let logits = Tensor([0, 5, 5, 1], shape: [1, 4])
    #expect(Sampler.sample(logits, index: 0, SamplingParameters()).chosen.tokenID == 1)
    let top = Sampler.sample(logits, index: 0, SamplingParameters(logprobCount: 3)).alternatives
    #expect(top.map(\.tokenID) == [1, 2, 3])
  }
}
