import Checkpoints
import Foundation
import GoldenFixtures
import Tensors
import Testing

@testable import PaliGemma

/// The tensors that a section is said to be made of are those it takes: no more, no fewer.
@Suite struct SectionTensorsTests {
  /// A checkpoint in a cache with these tensors and no others.
  private func only(
    _ names: [String], of checkpoint: Checkpoint, in folder: TemporaryFolder
  ) throws -> Checkpoint {
    let cache = try TensorCache(directory: folder.path + "/cache", byteCountMaximum: 1 << 30)
    let notes = try checkpoint.packingNotes()
    let shared = try names.map { name in
      let tensor = try checkpoint.tensor(name)
      let shared = try #require(SharedTensor(name: name, tensor: tensor, notes: notes))
      if try !cache.holds(shared, progress: { _ in }) {
        let writer = try cache.writer(shared)
        try tensor.withBytes { bytes throws in
          for index in shared.chunks.indices {
            let range = shared.range(ofChunk: index)
            let isTaken = try writer.append(UnsafeRawBufferPointer(rebasing: bytes[range]))
            #expect(isTaken)
          }
        }
        try writer.finish()
      }
      return shared
    }
    return cache.checkpoint(shared)
  }

  private func check(_ golden: Golden, _ checkpoint: Checkpoint, _ precision: Precision) throws {
    let folder = try TemporaryFolder()
    let count = golden.config.blockCount
    for blocks in (0..<count).map({ $0..<$0 + 1 }) + [0..<count, 0..<5, 3..<count] {
      let names = try checkpoint.tensorNames(of: blocks, config: golden.config)
      #expect(names == Set(names).sorted())
      let part = try only(names, of: checkpoint, in: folder)
      let section = try ModelSection(
        config: golden.config, checkpoint: part, blocks: blocks, precision: precision)
      let whole = try ModelSection(
        config: golden.config, checkpoint: checkpoint, blocks: blocks, precision: precision)
      #expect(section.weightByteCount == whole.weightByteCount, "\(blocks)")
      // Of several blocks, one may stand in for another: the embedding's table for the head's.
      for name in blocks.count == 1 ? names : [] {
        let fewer = try only(names.filter { $0 != name }, of: checkpoint, in: folder)
        #expect(throws: CheckpointError.self, "\(blocks) without \(name)") {
          try ModelSection(
            config: golden.config, checkpoint: fewer, blocks: blocks, precision: precision)
        }
      }
    }
  }

  @Test(arguments: Golden.names) func ofAnOrdinaryCheckpoint(_ name: String) throws {
    let golden = try Golden(name)
    try check(golden, golden.checkpoint, .f32)
  }

  @Test(arguments: [Precision.int8, .int4]) func ofAPackedOne(_ precision: Precision) throws {
    let golden = try Golden("tiny-a")
    let folder = try TemporaryFolder()
    try CheckpointQuantization(
      source: golden.checkpoint, config: golden.config, precision: precision
    ).write(to: folder.path + "/packed")
    try check(golden, try Checkpoint(directory: folder.path + "/packed"), precision)
  }

  @Test func aMissingTensorIsNamed() throws {
    let golden = try Golden("tiny-a")
    let folder = try TemporaryFolder()
    let names = try golden.checkpoint.tensorNames(of: 0..<3, config: golden.config)
    let part = try only(names, of: golden.checkpoint, in: folder)
    #expect(try part.tensorNames(of: 0..<3, config: golden.config) == names)
    #expect(throws: CheckpointError.self) {
      try part.tensorNames(of: 0..<4, config: golden.config)
    }
  }
}
