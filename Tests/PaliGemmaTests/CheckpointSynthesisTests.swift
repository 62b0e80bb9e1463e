import CKernels
import Checkpoints
import Foundation
import GoldenFixtures
import Tensors
import Testing

@testable import PaliGemma

/// Synthesized checkpoints: true shapes, bytes from the seed alone, and a model that computes.
@Suite struct CheckpointSynthesisTests {
  private func tiny() throws -> ModelConfig { try #require(SynthesisPreset.named("tiny")).config }

  @Test func publishedShapesHaveThePublishedNumbers() throws {
    let config = try #require(SynthesisPreset.named("paligemma-3b-224")).config
    let weights = config.weights
    #expect(weights.count == 603)
    #expect(Set(weights.map(\.name)).count == 603)
    #expect(weights.reduce(0) { $0 + $1.count } == 2_923_466_480)
    // The larger pictures have more positions and are otherwise the same.
    for (name, patches) in [("paligemma-3b-448", 1024), ("paligemma-3b-896", 4096)] {
      let larger = try #require(SynthesisPreset.named(name)).config
      #expect(larger.imageTokenCount == patches)
      let parameters = larger.weights.reduce(0) { $0 + $1.count }
      #expect(parameters == 2_923_466_480 + (patches - 256) * 1152)
    }
    let synthesis = try CheckpointSynthesis(config: config)
    #expect(synthesis.byteCount == 2 * 2_923_466_480)
    #expect(synthesis.files.count == 2)
    for file in synthesis.files {
      #expect(file.reduce(0) { $0 + $1.count * 2 } <= CheckpointSynthesis.fileByteCountMaximum)
    }
  }

  /// The list must agree with what Hugging Face itself wrote for the fixtures.
  @Test(arguments: Golden.names) func namesAreThoseOfRealCheckpoints(_ name: String) throws {
    let golden = try Golden(name)
    let names = WeightNames(checkpoint: golden.checkpoint)
    for weight in golden.config.weights {
      _ = try names.stored(weight.name, shape: weight.shape)
    }
    let report = CheckpointReport(config: golden.config, checkpoint: golden.checkpoint)
    #expect(report.isSound)
    #expect(report.unexpected == [])
  }

  @Test func sameSeedSameBytes() throws {
    let config = try tiny()
    var contents: [Data] = []
    for seed: UInt64 in [5, 5, 6] {
      let folder = try TemporaryFolder()
      try CheckpointSynthesis(config: config, seed: seed).write(to: folder.path)
      contents.append(try folder.read("model.safetensors"))
    }
    #expect(contents[0] == contents[1])
    #expect(contents[0] != contents[2])
    // One flipped seed bit changes about everything, not a few numbers.
    let differing = zip(contents[0], contents[2]).count { $0 != $1 }
    #expect(differing > contents[0].count / 2)
  }

  @Test func numbersDoNotDependOnPiecesOrFiles() throws {
    let weight = ModelWeight(
      name: "x", shape: [1000], role: .product(inputs: 3), block: .projector)
    var whole = RandomWeights(seed: 9, elementType: .f32, capacity: 1000)
    let expected = whole.bytes(of: weight, elements: 0..<1000)
    var pieces = RandomWeights(seed: 9, elementType: .f32, capacity: 1000)
    var joined = Data()
    for range in [0..<1, 1..<8, 8..<13, 13..<500, 500..<1000] {
      joined += pieces.bytes(of: weight, elements: range)
    }
    #expect(joined == expected)

    let config = try tiny()
    let (one, many) = (try TemporaryFolder(), try TemporaryFolder())
    try CheckpointSynthesis(config: config, elementType: .f16, seed: 2).write(to: one.path)
    try CheckpointSynthesis(
      config: config, elementType: .f16, seed: 2, fileByteCountMaximum: 100_000
    ).write(to: many.path)
    #expect(try many.names.contains("model.safetensors.index.json"))
    let (single, sharded) = (
      try Checkpoint(directory: one.path), try Checkpoint(directory: many.path)
    )
    #expect(Set(sharded.fileOfTensor.values).count > 3)
    #expect(single.names == sharded.names)
    for name in single.names {
      let bytes = try single.tensor(name).withBytes { Data($0) }
      #expect(try sharded.tensor(name).withBytes { Data($0) } == bytes, "\(name)")
    }
  }

  /// The C kernel and the sampler's generator are one and the same function.
  @Test func bulkNumbersArePhilox() {
    let (seed, stream, first): (UInt64, UInt64, UInt64) = (
      0x1234_5678_9abc_def0, 0xfedc_ba98_7654_3210, 8 * ((1 << 32) + 3)
    )
    var numbers = [Float](repeating: 0, count: 8)
    kernel_random_f32(seed, stream, first, 8, 0, 1, &numbers)
    let block = first / 8
    let bits = Philox.block(
      counter: SIMD4(
        UInt32(truncatingIfNeeded: block), UInt32(block >> 32),
        UInt32(truncatingIfNeeded: stream), UInt32(stream >> 32)),
      key: SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)))
    let draws = (0..<4).flatMap { [bits[$0] & 0xffff, bits[$0] >> 16] }
    #expect(numbers == draws.map { (Float($0) - 32767.5) / 32768 })
  }

  @Test(arguments: [ElementType.f32, .bf16, .f16]) func roundsAsSwiftDoes(_ type: ElementType) {
    let values: [Float] = [
      0, -0.0, 1, -1.5, 65504, 65519.9, 65520, 1e6, .infinity, 6e-8, 3e-8, 2.98e-8, 6.1e-5,
      1.0009765, 1.00048828125, 3.14159, -1e-30, 0.1, 1.00390625, 1.01171875,
    ]
    var out = [UInt16](repeating: 0, count: values.count)
    switch type {
    case .f16:
      kernel_convert_f32_f16(values.count, values, &out)
      #expect(out == values.map { Float16($0).bitPattern })
    case .bf16:
      kernel_convert_f32_bf16(values.count, values, &out)
      var back = [Float](repeating: 0, count: values.count)
      kernel_convert_bf16_f32(values.count, out, &back)
      for (value, rounded) in zip(values, back) where value.isFinite {
        #expect(abs(rounded - value) <= abs(value) / 256)
      }
      // Ties go to even: 1 + 1/256 is half way between 1 and 1 + 1/128, 1 + 3/256 likewise.
      #expect(back.suffix(2) == [1, 1.015625])
    default:
      var (x, y) = ([Float.nan], [UInt16](repeating: 0, count: 1))
      kernel_convert_f32_f16(1, &x, &y)
      #expect(Float16(bitPattern: y[0]).isNaN)
      kernel_convert_f32_bf16(1, &x, &y)
      #expect(y[0] & 0x7f80 == 0x7f80 && y[0] & 0x7f != 0)
    }
  }

  @Test(arguments: ["tiny", "demo"]) func answersWithFiniteAndVariedLogits(_ name: String) throws {
    let folder = try TemporaryFolder()
    let shape = try #require(SynthesisPreset.named(name)).config
    try CheckpointSynthesis(config: shape, seed: 11).write(to: folder.path)
    let config = try ModelConfig(directory: folder.path)
    #expect(config == shape)
    let checkpoint = try Checkpoint(directory: folder.path)
    #expect(checkpoint.names == config.weights.map(\.name).sorted())
    let generation = try Generation(config: config, checkpoint: checkpoint)
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    pixels.withBytes { for i in $0.indices { $0[i] = UInt8(truncatingIfNeeded: i * 37) } }
    let rows = SequenceRows(
      .prefix(imageCount: 1), tokenIDs: [2, 100, 108], rowCount: config.imageTokenCount + 3,
      cache: generation.model.makeCache(capacity: config.imageTokenCount + 3))
    let logits = generation.model.forward(pixels, sequences: [rows]).floats
    #expect(logits.count == config.text.vocabularyCount)
    #expect(logits.allSatisfy { $0.isFinite && abs($0) < 100 })
    let mean = logits.reduce(0, +) / Float(logits.count)
    let variance = logits.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(logits.count)
    #expect(variance > 1e-3, "\(variance)")
    let answer = generation.answer(
      pixels: pixels, promptTokenIDs: [2, 100, 108], tokenCountMaximum: 12)
    // A model that repeats one token would measure nothing of the ways through the table.
    #expect(Set(answer.map(\.chosen.tokenID)).count > 6, "\(answer.map(\.chosen.tokenID))")
  }
}
