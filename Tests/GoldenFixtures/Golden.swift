import Checkpoints
import Foundation
import PaliGemma
import Tensors

/// One fixture folder made by `scripts/goldens/paligemma.py`: a tiny random checkpoint and what
/// Hugging Face's own class computes with it.
package struct Golden {
  package struct Case: Decodable {
    package let name: String
    package let images: [Int]
    package let inputIDs: [Int32]
    package let imageTokenCount: Int
    package let greedyTokens: [Int32]
    package let finish: String

    enum CodingKeys: String, CodingKey {
      case name, images, finish
      case inputIDs = "input_ids"
      case imageTokenCount = "image_token_count"
      case greedyTokens = "greedy_tokens"
    }
    /// `<bos>`, prompt, newline.
    package var textIDs: [Int32] { Array(inputIDs.dropFirst(imageTokenCount)) }
  }
  private struct Listing: Decodable { let cases: [Case] }

  package static let names = ["tiny-a", "tiny-b", "tiny-c"]
  package static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "PaliGemmaTests/Fixtures")

  package let config: ModelConfig
  package let checkpoint: Checkpoint
  package let cases: [Case]
  package let values: SafetensorsFile

  package init(_ name: String) throws {
    let folder = Self.folder.appending(path: name)
    let model = folder.appending(path: "model").path()
    config = try ModelConfig(directory: model)
    checkpoint = try Checkpoint(directory: model)
    let json = try Data(contentsOf: folder.appending(path: "golden.json"))
    cases = try JSONDecoder().decode(Listing.self, from: json).cases
    values = try SafetensorsFile(path: folder.appending(path: "golden.safetensors").path())
  }

  package func tensor(_ name: String) throws -> Tensor {
    guard let tensor = values.tensor(name) else { throw Missing(name: name) }
    return tensor
  }

  private struct Missing: Error { let name: String }

  /// All pictures of the case, `[pictures, side, side, 3]` u8.
  package func pixels(_ item: Case) throws -> Tensor {
    let side = config.vision.imageSide
    let all = Tensor(.u8, shape: [item.images.count, side, side, 3])
    for (row, image) in item.images.enumerated() {
      try tensor("image.\(image).pixels").withBytes { source in
        all.rows(row..<row + 1).withBytes { $0.copyMemory(from: UnsafeRawBufferPointer(source)) }
      }
    }
    return all
  }

  /// The whole model over `blocks`.
  package func section(
    _ blocks: Range<Int>? = nil, precision: Precision = .f32
  ) throws -> ModelSection {
    try ModelSection(
      config: config, checkpoint: checkpoint, blocks: blocks ?? 0..<config.blockCount,
      precision: precision)
  }

  /// The prefix of a case, with a cache that has room for the answer where `section` needs one.
  package func prefix(_ item: Case, in section: ModelSection) -> SequenceRows {
    SequenceRows(
      .prefix(imageCount: item.images.count), tokenIDs: item.textIDs,
      rowCount: item.inputIDs.count, cache: section.makeCache(capacity: item.inputIDs.count + 16))
  }
}

/// Largest difference, relative to the largest size in `expected`.
package func relativeError(_ actual: [Float], _ expected: [Float]) -> Float {
  guard actual.count == expected.count else { return .infinity }
  let size = expected.map { abs($0) }.max() ?? 0
  let difference = zip(actual, expected).map { abs($0 - $1) }.max() ?? 0
  return difference.isFinite ? difference / max(size, .leastNormalMagnitude) : .infinity
}
