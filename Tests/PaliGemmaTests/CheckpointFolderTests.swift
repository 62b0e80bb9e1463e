import Checkpoints
import Foundation
import Tensors
import Testing

@testable import PaliGemma

/// Where a synthesized checkpoint goes: room, no overwriting, nothing half left; and its report.
@Suite struct CheckpointFolderTests {
  private func tiny() throws -> ModelConfig { try #require(SynthesisPreset.named("tiny")).config }

  @Test func neverOverwrites() throws {
    let folder = try TemporaryFolder()
    let synthesis = try CheckpointSynthesis(config: tiny())
    try synthesis.write(to: folder.path)
    let before = try folder.read("model.safetensors")
    let expected = SynthesisError.occupied(directory: folder.path, file: "config.json")
    #expect(throws: expected) { try synthesis.write(to: folder.path) }
    #expect(try folder.read("model.safetensors") == before)
  }

  @Test func tooLittleRoomIsSaidBeforeAnythingIsWritten() throws {
    let folder = try TemporaryFolder()
    let target = folder.path + "/new"
    let error = #expect(throws: SynthesisError.self) {
      _ = try CheckpointFolder(directory: target, neededByteCount: 1 << 60)
    }
    let message = error?.description ?? ""
    #expect(message.contains("GB free") && message.contains("--output"), "\(message)")
    #expect(try folder.names == [])
  }

  @Test func aFailureLeavesNothing() throws {
    // A tokenizer file that is a folder can't be told apart before it is copied over a file.
    let (source, folder) = (try TemporaryFolder(), try TemporaryFolder())
    for file in try tiny().hubFiles(elementType: .f32) {
      try source.write(file.content, as: file.name)
    }
    try source.write(Data(), as: "tokenizer.model")
    try folder.write(Data("mine".utf8), as: "tokenizer.model")
    let synthesis = try CheckpointSynthesis(config: tiny(), tokenizer: source.path)
    #expect(throws: SynthesisError.self) { try synthesis.write(to: folder.path) }
    #expect(try folder.names.filter { $0.contains("safetensors") || $0 == "config.json" } == [])
  }

  @Test func unwritableAndUnsuitable() throws {
    let config = try tiny()
    let blocked = try TemporaryFolder()
    try blocked.write(Data(), as: "file")
    #expect(throws: SynthesisError.self) {
      try CheckpointSynthesis(config: config).write(to: blocked.path + "/file/deeper")
    }
    #expect(throws: SynthesisError.elementType("i8")) {
      try CheckpointSynthesis(config: config, elementType: .i8)
    }
    #expect(throws: SynthesisError.noTokenizer(directory: "/nonexistent")) {
      try CheckpointSynthesis(config: config, tokenizer: "/nonexistent")
    }
    var broken = config
    broken.text.headWidth = 3
    #expect(throws: SynthesisError.self) { try CheckpointSynthesis(config: broken) }
  }

  @Test func takesTokensFromATokenizerFolder() throws {
    let (source, folder) = (try TemporaryFolder(), try TemporaryFolder())
    var config = try tiny()
    config.text.vocabularyCount = 700
    config.imageTokenID = 699
    config.endTokenIDs = [3]
    for file in config.hubFiles(elementType: .f32) { try source.write(file.content, as: file.name) }
    try source.write(Data("pieces".utf8), as: "tokenizer.model")
    try source.write(Data("{}".utf8), as: "tokenizer.json")
    try CheckpointSynthesis(config: tiny(), tokenizer: source.path).write(to: folder.path)
    let read = try ModelConfig(directory: folder.path)
    #expect(read == config)
    #expect(try folder.read("tokenizer.model") == Data("pieces".utf8))
    #expect(try folder.names.contains("tokenizer.json"))
    let report = CheckpointReport(
      config: read, checkpoint: try Checkpoint(directory: folder.path))
    #expect(report.isSound)
  }

  @Test func reportCountsAndComplains() throws {
    let folder = try TemporaryFolder()
    let synthesis = try CheckpointSynthesis(config: tiny())
    try synthesis.write(to: folder.path)
    let checkpoint = try Checkpoint(directory: folder.path)
    let report = CheckpointReport(config: synthesis.config, checkpoint: checkpoint)
    #expect(report.isSound && report.isHeadTied && report.hasHubNames)
    #expect(report.parameterCount == synthesis.parameterCount)
    #expect(report.byteCount == synthesis.byteCount)
    #expect(report.groups.map(\.blocks.count).reduce(0, +) == synthesis.config.blockCount)
    #expect(abs(report.groups.map(\.costShare).reduce(0, +) - 1) < 1e-9)
    #expect(report.groups.allSatisfy { $0.elementTypes == [.bf16] })

    // A configuration with one layer more and one fewer, and another width.
    var other = synthesis.config
    other.text.layerCount += 1
    other.vision.layerCount -= 1
    other.vision.feedForwardWidth += 1
    let complaints = CheckpointReport(config: other, checkpoint: checkpoint)
    #expect(!complaints.isSound)
    #expect(complaints.missing.count == 9)
    #expect(complaints.unexpected.count == 16)
    #expect(complaints.unsound.count == 3)
    #expect(throws: CheckpointError.self) {
      try Generation(config: other, checkpoint: checkpoint)
    }
  }

  /// A configuration from outside must not make the loader take memory before it is checked.
  @Test func enormousConfigurationIsAnErrorNotAnAllocation() throws {
    let folder = try TemporaryFolder()
    let synthesis = try CheckpointSynthesis(config: tiny())
    try synthesis.write(to: folder.path)
    let checkpoint = try Checkpoint(directory: folder.path)
    let first = synthesis.config.firstDecoderIndex
    var changes = [(1, synthesis.config), (first, synthesis.config), (first, synthesis.config)]
    changes[0].1.vision.width = 1 << 24
    changes[1].1.text.feedForwardWidth = 1 << 24
    changes[2].1.text.headCount = 1 << 20
    for (block, config) in changes {
      #expect(throws: CheckpointError.self, "block \(block)") {
        try ModelSection(config: config, checkpoint: checkpoint, blocks: block..<block + 1)
      }
    }
  }
}
