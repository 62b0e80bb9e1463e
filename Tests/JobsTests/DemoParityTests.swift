import Checkpoints
import Foundation
import GoldenFixtures
import Jobs
import Messaging
import PaliGemma
import Pipelining
import Tensors
import Testing
import Tokenization

/// The shipped model on real pictures, from the encoded file to the text, against Hugging Face's
/// processor and class (`scripts/goldens/demo.py`).
@Suite struct DemoParityTests {
  struct Listing: Decodable {
    struct Image: Decodable {
      let file: String
      let width: Int
      let height: Int
      let pixel_value_examples: [String: Float]
    }
    struct Case: Decodable {
      let image: Int
      let prompt: String
      let input_ids: [Int32]
      let greedy_tokens: [Int32]
      let finish: String
      let text: String
    }
    let images: [Image]
    let cases: [Case]
  }

  static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  static let demo = root.appending(path: "cluster/demo")

  let listing: Listing
  let values: SafetensorsFile
  let config: ModelConfig
  let checkpoint: Checkpoint
  let preparation: RequestPreparation

  init() throws {
    let fixtures = Self.root.appending(path: "Tests/JobsTests/Fixtures/demo")
    listing = try JSONDecoder().decode(
      Listing.self, from: Data(contentsOf: fixtures.appending(path: "golden.json")))
    values = try SafetensorsFile(path: fixtures.appending(path: "golden.safetensors").path())
    let model = Self.demo.appending(path: "model")
    config = try ModelConfig(directory: model.path())
    checkpoint = try Checkpoint(directory: model.path())
    preparation = RequestPreparation(config: config, tokenizer: try Tokenizer(folder: model))
  }

  private func prepare(_ item: Listing.Case) throws -> PreparedAnswer {
    let image = listing.images[item.image]
    let bytes = try Data(contentsOf: Self.demo.appending(path: "images/\(image.file)"))
    let prepared = try preparation.prepare(
      AnswerRequest(
        images: [EncodedImage(name: image.file, bytes: Array(bytes))], prompt: item.prompt,
        sampling: Sampling(maximumTokens: 32)))
    #expect(prepared.imageSizes == [ImageSize(width: image.width, height: image.height)])
    return prepared
  }

  @Test func promptsAndPixelsAreTheProcessors() throws {
    try #require(listing.cases.count >= 20)
    let side = config.vision.imageSide
    for item in listing.cases {
      let prepared = try prepare(item)
      let images = [Int32](repeating: config.imageTokenID, count: config.imageTokenCount)
      #expect(images + prepared.request.textTokenIDs == item.input_ids, "\(item.prompt)")
      let pixels = prepared.request.pixels.withBytes { Array($0) }
      for (position, value) in listing.images[item.image].pixel_value_examples {
        // The processor's layout is channel, row, column; ours is row, column, channel.
        let index = try #require(Int(position))
        let (channel, place) = (index / (side * side), index % (side * side))
        #expect(Float(pixels[place * 3 + channel]) / 127.5 - 1 == value)
      }
    }
  }

  @Test func hiddenStatesAndLogitsAreTheReferences() throws {
    let model = try ModelSection(
      config: config, checkpoint: checkpoint, blocks: 0..<config.blockCount)
    for (number, item) in listing.cases.enumerated() {
      let request = try prepare(item).request
      let rowCount = item.input_ids.count
      let rows = SequenceRows(
        .prefix(imageCount: 1), tokenIDs: request.textTokenIDs, rowCount: rowCount,
        cache: model.makeCache(capacity: rowCount))
      var worst: Float = 0
      var compared = 0
      let logits = model.forward(request.pixels, sequences: [rows]) { block, x in
        let patches = config.imageTokenCount
        switch config.blocks[block] {
        case .visionLayer(let layer):
          guard let golden = values.tensor("image.\(item.image).layer.\(layer).rows") else { break }
          let picked =
            x.rows(patches / 2..<patches / 2 + 1).floats + x.rows(patches - 1..<patches).floats
          worst = max(worst, relativeError(picked, golden.floats))
          compared += 1
        case .decoderLayer(let layer):
          guard let golden = values.tensor("case.\(number).layer.\(layer).last_row") else { break }
          let last = x.rows(rowCount - 1..<rowCount).floats
          worst = max(worst, relativeError(last, golden.floats))
          compared += 1
        default: break
        }
      }
      #expect(compared >= 4 && worst <= 1e-4, "case \(number): \(worst) over \(compared)")
      let golden = try #require(values.tensor("case.\(number).logits"))
      #expect(relativeError(logits.floats, golden.floats) <= 1e-3, "case \(number)")
    }
  }

  @Test func answersAreTheReferences() throws {
    let generation = try Generation(config: config, checkpoint: checkpoint)
    for item in listing.cases {
      let request = try prepare(item).request
      let tokens = generation.answer(
        pixels: request.pixels, promptTokenIDs: request.textTokenIDs, tokenCountMaximum: 32)
      #expect(tokens.map(\.chosen.tokenID) == item.greedy_tokens, "\(item.prompt)")
      let text = preparation.tokenizer.decode(tokens.map(\.chosen.tokenID))
      #expect(text == item.text)
    }
  }

  /// int8 rounds weights and activations to 127 steps: words stay, boxes move by a few bins.
  @Test func int8KeepsTheAnswers() throws {
    let generation = try Generation(config: config, checkpoint: checkpoint, precision: .int8)
    for item in listing.cases {
      let request = try prepare(item).request
      let tokens = generation.answer(
        pixels: request.pixels, promptTokenIDs: request.textTokenIDs, tokenCountMaximum: 32)
      let ids = tokens.map(\.chosen.tokenID)
      let text = preparation.tokenizer.decode(ids)
      let boxes = DetectionParser.parse(ids: ids, tokenizer: preparation.tokenizer)?.boxes ?? []
      let expected =
        DetectionParser.parse(ids: item.greedy_tokens, tokenizer: preparation.tokenizer)?.boxes
        ?? []
      #expect(boxes.map(\.label) == expected.map(\.label), "\(item.prompt): \(text)")
      for (box, other) in zip(boxes, expected) {
        for (bin, otherBin) in zip(box.yxyx, other.yxyx) { #expect(abs(bin - otherBin) <= 51) }
      }
      if expected.isEmpty { #expect(text == item.text, "\(item.prompt)") }
    }
  }
}
