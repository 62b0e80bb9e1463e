import Checkpoints
import Tensors
import Testing

@testable import PaliGemma

/// Weights that are made up in memory: enough for every section, the same in every cut.
@Suite struct RandomCheckpointTests {
  private static func tiny() throws -> ModelConfig {
    try #require(SynthesisPreset.named("tiny")).config
  }

  private static func rows(_ section: ModelSection) -> SequenceRows {
    let count = section.config.imageTokenCount + 3
    return SequenceRows(
      .prefix(imageCount: 1), tokenIDs: section.takesTokens ? [2, 7, 9] : [], rowCount: count,
      cache: section.makeCache(capacity: count))
  }

  @Test(arguments: Precision.allCases)
  func everyCutHasTheWeightsOfTheWhole(_ precision: Precision) throws {
    let config = try Self.tiny()
    let all = 0..<config.blockCount
    func section(_ blocks: Range<Int>) throws -> ModelSection {
      try ModelSection(
        config: config, checkpoint: Checkpoint.random(blocks, of: config, precision: precision),
        blocks: blocks, precision: precision)
    }
    let pixels = Tensor(.u8, shape: [1, config.vision.imageSide, config.vision.imageSide, 3])
    pixels.withBytes { bytes in
      for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 37) }
    }
    let whole = try section(all)
    let expected = whole.forward(pixels, sequences: [Self.rows(whole)]).floats
    #expect(expected.count == config.text.vocabularyCount)
    #expect(expected.allSatisfy { $0.isFinite })
    #expect(Set(expected.map(\.bitPattern)).count > expected.count / 2)
    for cut in 1..<config.blockCount {
      let (first, second) = (try section(0..<cut), try section(cut..<config.blockCount))
      let hidden = first.forward(pixels, sequences: [Self.rows(first)])
      let logits = second.forward(hidden, sequences: [Self.rows(second)])
      #expect(logits.floats.map(\.bitPattern) == expected.map(\.bitPattern), "cut \(cut)")
    }
  }

  @Test func layersHaveMemoryOfTheirOwn() throws {
    let config = try Self.tiny()
    let checkpoint = try Checkpoint.random(
      0..<config.blockCount, of: config, precision: .int8)
    #expect(try checkpoint.storedPrecision() == .int8)
    let packed = checkpoint.names.filter { $0.hasSuffix("mlp.gate_proj.packed") }
    #expect(packed.count == config.text.layerCount)
    let places = try packed.map { try checkpoint.tensor($0).storage.address }
    #expect(Set(places).count == packed.count)
    let contents = try packed.map { try checkpoint.tensor($0).withBytes { Array($0) } }
    #expect(Set(contents).count == 1)
  }

  @Test func otherSeedsGiveOtherWeightsAndBlocksOnlyTheirOwn() throws {
    let config = try Self.tiny()
    let head = config.headIndex..<config.blockCount
    let made = try [1, 1, 2].map { seed in
      try Checkpoint.random(head, of: config, precision: .int8, seed: seed)
    }
    let name = "language_model.model.embed_tokens.packed"
    let bytes = try made.map { try $0.tensor(name).withBytes { Array($0) } }
    #expect(bytes[0] == bytes[1] && bytes[0] != bytes[2])
    #expect(!made[0].names.contains { $0.contains(".layers.") })
  }

  @Test func whoeverIsToldMayEndIt() throws {
    struct Enough: Error {}
    let config = try Self.tiny()
    var told: [Int] = []
    #expect(throws: Enough.self) {
      try Checkpoint.random(0..<config.blockCount, of: config, precision: .int8) { block in
        told.append(block)
        if block == 3 { throw Enough() }
      }
    }
    #expect(told == [0, 1, 2, 3])
  }

  @Test func madeUpCachesAreFilled() throws {
    let config = try Self.tiny()
    let blocks = config.firstDecoderIndex..<config.headIndex
    let section = try ModelSection(
      config: config, checkpoint: Checkpoint.random(blocks, of: config, precision: .int8),
      blocks: blocks, precision: .int8)
    let cache = try #require(section.madeUpCache(tokenCount: 7, more: 2))
    #expect(cache.tokenCount == 7 && cache.capacity == 9)
    let row = SequenceRows(.suffix, tokenIDs: [], rowCount: 1, cache: cache)
    let out = section.forward(BlockSample.rows(1, width: config.text.width), sequences: [row])
    #expect(out.floats.allSatisfy { $0.isFinite } && cache.tokenCount == 8)
  }
}
