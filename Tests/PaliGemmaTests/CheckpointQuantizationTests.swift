import Checkpoints
import Foundation
import GoldenFixtures
import Tensors
import Testing

@testable import PaliGemma

/// Quantising beforehand gives the bits of quantising at load.
@Suite struct CheckpointQuantizationTests {
  private func quantized(
    _ golden: Golden, _ precision: Precision, in folder: TemporaryFolder
  ) throws -> Checkpoint {
    try CheckpointQuantization(
      source: golden.checkpoint, config: golden.config, precision: precision
    ).write(to: folder.path)
    return try Checkpoint(directory: folder.path)
  }

  @Test(arguments: Golden.names, [Precision.int8, .int4])
  func packedWeightsGiveTheSameBits(_ name: String, _ precision: Precision) throws {
    let golden = try Golden(name)
    let folder = try TemporaryFolder()
    let checkpoint = try quantized(golden, precision, in: folder)
    #expect(try checkpoint.storedPrecision() == precision)
    #expect(try ModelConfig(directory: folder.path) == golden.config)
    let atLoad = try golden.section(precision: precision)
    let mapped = try ModelSection(
      config: golden.config, checkpoint: checkpoint, blocks: 0..<golden.config.blockCount,
      precision: precision)
    for item in golden.cases {
      let pixels = try golden.pixels(item)
      let expected = atLoad.forward(pixels, sequences: [golden.prefix(item, in: atLoad)])
      let actual = mapped.forward(pixels, sequences: [golden.prefix(item, in: mapped)])
      #expect(actual.floats.map(\.bitPattern) == expected.floats.map(\.bitPattern))
    }
    let report = CheckpointReport(config: golden.config, checkpoint: checkpoint)
    #expect(report.isSound, "\(report.missing) \(report.unsound)")
    #expect(report.precision == precision && report.unexpected.isEmpty)
  }

  @Test func anotherPrecisionIsRefusedWithTheRemedy() throws {
    let golden = try Golden("tiny-a")
    let folder = try TemporaryFolder()
    let checkpoint = try quantized(golden, .int8, in: folder)
    for precision in [Precision.f32, .int4] {
      let error = #expect(throws: CheckpointError.self) {
        try ModelSection(
          config: golden.config, checkpoint: checkpoint, blocks: 0..<1, precision: precision)
      }
      let text = error?.description ?? ""
      #expect(text.contains("int8") && text.contains("--precision"), "\(text)")
    }
    // Quantising what is quantised would lose precision twice.
    #expect(throws: CheckpointError.self) {
      try CheckpointQuantization(source: checkpoint, config: golden.config, precision: .int4)
    }
  }

  @Test func damagedPackedWeightsAreAnError() throws {
    let golden = try Golden("tiny-a")
    let folder = try TemporaryFolder()
    let checkpoint = try quantized(golden, .int8, in: folder)
    // The same tensors, one of them a row short.
    let file = try SafetensorsFile(path: folder.path + "/model.safetensors")
    let names = checkpoint.names
    let broken = try #require(names.first { $0.hasSuffix(".scales") })
    let plans = try names.map { name in
      let entry = try #require(file.entries[name])
      let shape = name == broken ? [entry.shape[0] - 1] : entry.shape
      return SafetensorsWriter.Plan(name: name, elementType: entry.elementType, shape: shape)
    }
    let target = try TemporaryFolder()
    let writer = try SafetensorsWriter(
      path: target.path + "/model.safetensors", tensors: plans, metadata: file.metadata)
    for plan in plans { try writer.append(Data(count: plan.byteCount)) }
    try writer.finish()
    let damaged = try Checkpoint(directory: target.path)
    #expect(throws: CheckpointError.self) {
      try ModelSection(
        config: golden.config, checkpoint: damaged, blocks: 0..<golden.config.blockCount,
        precision: .int8)
    }
    #expect(!CheckpointReport(config: golden.config, checkpoint: damaged).isSound)
  }

  @Test func anUnknownLayoutIsRefused() throws {
    let folder = try TemporaryFolder()
    let writer = try SafetensorsWriter(
      path: folder.path + "/model.safetensors",
      tensors: [SafetensorsWriter.Plan(name: "w", elementType: .u8, shape: [1])],
      metadata: [Checkpoint.precisionKey: "int8", Checkpoint.layoutKey: "99"])
    try writer.append(Data(count: 1))
    try writer.finish()
    let checkpoint = try Checkpoint(directory: folder.path)
    let error = #expect(throws: CheckpointError.self) { try checkpoint.storedPrecision() }
    #expect(error?.description.contains("palisade checkpoint quantize") == true)
  }
}
