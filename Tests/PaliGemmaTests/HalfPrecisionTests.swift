import Checkpoints
import GoldenFixtures
import Tensors
import Testing

@testable import PaliGemma

/// Weights kept in bf16: what f32 would have computed, from half the memory.
@Suite struct HalfPrecisionTests {
  /// A checkpoint in bf16 loses nothing, so logits are equal in all bits, prefill and decode.
  @Test func aCheckpointInBF16GivesTheBitsOfF32() throws {
    let config = try #require(SynthesisPreset.named("tiny")).config
    let folder = try TemporaryFolder()
    try CheckpointSynthesis(config: config, elementType: .bf16, seed: 3).write(to: folder.path)
    let checkpoint = try Checkpoint(directory: folder.path)
    let sections = try [Precision.f32, .bf16].map {
      try ModelSection(
        config: config, checkpoint: checkpoint, blocks: 0..<config.blockCount, precision: $0)
    }
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    pixels.withBytes { bytes in
      for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 97) }
    }
    let logits = sections.map { section -> [[UInt32]] in
      let count = config.imageTokenCount + 3
      let cache = section.makeCache(capacity: count + 1)
      let prefix = SequenceRows(
        .prefix(imageCount: 1), tokenIDs: [2, 5, 7], rowCount: count, cache: cache)
      let first = section.forward(pixels, sequences: [prefix]).floats
      let suffix = SequenceRows(.suffix, tokenIDs: [9], rowCount: 1, cache: cache)
      let second = section.forward(nil, sequences: [suffix]).floats
      #expect(first.contains { $0 != 0 } && second.allSatisfy(\.isFinite))
      return [first.map(\.bitPattern), second.map(\.bitPattern)]
    }
    #expect(logits[0] == logits[1])
  }

  /// Weights in f32 are rounded, so answers differ a little.
  @Test func aCheckpointInF32IsRounded() throws {
    let golden = try Golden("tiny-a")
    let item = golden.cases[0]
    let logits = try [Precision.f32, .bf16].map { precision in
      let section = try golden.section(precision: precision)
      return section.forward(
        try golden.pixels(item), sequences: [golden.prefix(item, in: section)]
      ).floats
    }
    let error = relativeError(logits[1], logits[0])
    #expect(error > 0 && error < 0.05, "\(error)")
  }
}
