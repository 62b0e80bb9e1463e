import Checkpoints
import Foundation
import GoldenFixtures
import Tensors
import Testing

@testable import PaliGemma

/// A PaliGemma in GGUF, written by llama.cpp's gguf-py, becomes the checkpoint that it was made from.
@Suite struct GGUFImportTests {
  private static let folder = Golden.folder.appending(path: "gguf")

  private static func file(_ name: String) throws -> GGUFFile {
    try GGUFFile(path: folder.appending(path: name + ".gguf").path())
  }

  private func imported(
    _ name: String, into folder: TemporaryFolder, as type: ElementType? = nil
  ) throws -> (config: ModelConfig, checkpoint: Checkpoint) {
    let plan = try GGUFImport(
      text: Self.file(name + "-text"), projector: Self.file(name + "-mmproj"), elementType: type)
    try plan.write(to: folder.path)
    let config = try ModelConfig(directory: folder.path)
    #expect(config == plan.config)
    let checkpoint = try Checkpoint(directory: folder.path)
    let report = CheckpointReport(config: config, checkpoint: checkpoint)
    #expect(report.isSound && report.hasHubNames && report.unexpected.isEmpty)
    #expect(report.byteCount == plan.byteCount)
    return (config, checkpoint)
  }

  /// The names of the feed-forward's products are turned in this file, as old converters had them.
  @Test func tinyCIsWhatItWas() throws {
    let golden = try Golden("tiny-c")
    let folder = try TemporaryFolder()
    let (config, checkpoint) = try imported("tiny-c", into: folder)
    #expect(config.vision == golden.config.vision && config.text == golden.config.text)
    #expect(config.imageTokenID == golden.config.imageTokenID)
    let (old, new) = (
      WeightNames(checkpoint: golden.checkpoint), WeightNames(checkpoint: checkpoint)
    )
    for weight in config.weights {
      let stored = try new.stored(weight.name, shape: weight.shape)
      let floats = try #require(stored.convertedToF32()).floats
      let expected = try #require(
        try old.stored(weight.name, shape: weight.shape).convertedToF32()
      ).floats
      if weight.role == .rmsNorm {
        // What is added up and taken away again: the same factor 1 + w, to the bit.
        #expect(floats.map { 1 + $0 } == expected.map { 1 + $0 }, "\(weight.name)")
        #expect(stored.elementType == .f32)
      } else {
        #expect(floats.map(\.bitPattern) == expected.map(\.bitPattern), "\(weight.name)")
      }
    }
    // And so the same tokens as Hugging Face's own class says, in every case.
    let model = try Generation(config: golden.config, checkpoint: checkpoint)
    for item in golden.cases {
      let tokens = model.answer(
        pixels: try golden.pixels(item), promptTokenIDs: item.textIDs,
        tokenCountMaximum: item.greedyTokens.count)
      #expect(tokens.map(\.chosen.tokenID) == item.greedyTokens, "\(item.name)")
    }
  }

  @Test(arguments: [ElementType.f32, .bf16, .f16]) func weightsAreStoredAsAsked(
    _ type: ElementType
  ) throws {
    let folder = try TemporaryFolder()
    let (config, checkpoint) = try imported("tiny-c", into: folder, as: type)
    for weight in config.weights {
      #expect(try checkpoint.entry(weight.name).elementType == type)
    }
  }

  @Test func quantisedBlocksAreThoseOfTheReference() throws {
    let folder = try TemporaryFolder()
    let (config, checkpoint) = try imported("q8", into: folder, as: .f32)
    let json = try Data(contentsOf: Self.folder.appending(path: "q8.json"))
    let hashes = try JSONDecoder().decode([String: String].self, from: json)
    #expect(Set(hashes.keys) == Set(config.weights.map(\.name)))
    for (name, hash) in hashes {
      let bytes = try checkpoint.tensor(name).withBytes { Array($0) }
      let found = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
        ($0 ^ UInt64($1)) &* 0x100_0000_01B3
      }
      let digits = String(found, radix: 16)
      #expect(String(repeating: "0", count: 16 - digits.count) + digits == hash, "\(name)")
    }
    // Stored as the Hub's files are, it still computes.
    let second = try TemporaryFolder()
    let halves = try imported("q8", into: second)
    #expect(
      try halves.checkpoint.entry("language_model.model.embed_tokens.weight").elementType == .bf16)
    _ = try ModelSection(
      config: config, checkpoint: halves.checkpoint, blocks: 0..<config.blockCount)
  }

  @Test func aScaledProjectorIsScaledBack() throws {
    let (text, projector) = (try Self.file("tiny-c-text"), try Self.file("tiny-c-mmproj"))
    let folder = try TemporaryFolder()
    try GGUFImport(text: text, projector: projector, elementType: .f32, isProjectorScaled: true)
      .write(to: folder.path)
    let name = "multi_modal_projector.linear.bias"
    let scaled = try Checkpoint(directory: folder.path).tensor(name).floats
    let plain = try Golden("tiny-c").checkpoint
    let factor = Float(36).squareRoot()
    let floats = try #require(
      try WeightNames(checkpoint: plain).stored(name, shape: [36]).convertedToF32()
    ).floats
    #expect(scaled == floats.map { $0 * factor })
  }

  @Test func tokenizerFilesAreMadeFromTheMetadata() throws {
    let files = try GGUFTokenizer(Self.file("tiny-c-text")).files
    #expect(files.map(\.name) == ["tokenizer.model", "tokenizer_config.json"])
    let model = files[0].content
    // Spaces of user-defined pieces are sentencepiece's again, and rows without a token are none.
    #expect(model.range(of: Data("▁▁".utf8)) != nil && model.range(of: Data("[PAD".utf8)) == nil)
    let names = try #require(
      try JSONSerialization.jsonObject(with: files[1].content) as? [String: Any])
    #expect(names["bos_token"] as? String == "<bos>" && names["unk_token"] as? String == "<unk>")
  }

  @Test func whatDoesNotFitIsNamed() throws {
    let (text, projector) = (try Self.file("tiny-c-text"), try Self.file("tiny-c-mmproj"))
    let turned = #expect(throws: SynthesisError.self) {
      try GGUFImport(text: projector, projector: text)
    }
    #expect(turned?.description.contains("'clip'") == true)
    let other = #expect(throws: SynthesisError.self) {
      try GGUFImport(text: text, projector: Self.file("q8-mmproj"))
    }
    #expect(other?.description.contains("mm.input_projection") == true)
    #expect(throws: SynthesisError.noTokenizer(directory: "/none")) {
      try GGUFImport(text: text, projector: projector, tokenizer: "/none")
    }
    #expect(throws: SynthesisError.elementType("u8")) {
      try GGUFImport(text: text, projector: projector, elementType: .u8)
    }
    // A key that is missing is called by its name.
    let folder = try TemporaryFolder()
    let bytes = try Data(contentsOf: URL(filePath: text.path))
    for key in ["gemma.block_count", "gemma.attention.key_length", "tokenizer.ggml.scores"] {
      var damaged = bytes
      let place = try #require(damaged.range(of: Data(key.utf8)))
      damaged[place.lowerBound] = UInt8(ascii: "x")
      try folder.write(damaged, as: "text.gguf")
      let error = #expect(throws: SynthesisError.self) {
        try GGUFImport(
          text: GGUFFile(path: folder.path + "/text.gguf"), projector: projector)
      }
      #expect(error?.description.contains(key) == true, "\(String(describing: error))")
    }
    // So is a tensor, of one that isn't there and of one that has no place.
    var damaged = bytes
    let place = try #require(damaged.range(of: Data("output_norm".utf8)))
    damaged[place.lowerBound] = UInt8(ascii: "x")
    try folder.write(damaged, as: "text.gguf")
    let missing = #expect(throws: SynthesisError.self) {
      try GGUFImport(text: GGUFFile(path: folder.path + "/text.gguf"), projector: projector)
    }
    #expect(missing?.description.contains("output_norm.weight") == true)
    // A checkpoint is never written over.
    try GGUFImport(text: text, projector: projector).write(to: folder.path)
    #expect(throws: SynthesisError.self) {
      try GGUFImport(text: text, projector: projector).write(to: folder.path)
    }
  }
}
