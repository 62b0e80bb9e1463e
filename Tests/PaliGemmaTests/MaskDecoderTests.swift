import Checkpoints
import Foundation
import GoldenFixtures
import Tensors
import Testing

@testable import PaliGemma

/// big_vision's mask decoder, against what JAX computes with the same weights
/// (`scripts/goldens/mask_decoder.py`).
@Suite struct MaskDecoderTests {
  private static let folder = Golden.folder.appending(path: "mask-decoder")
  private static func path(_ name: String) -> String { folder.appending(path: name).path() }

  /// What the script drew its code words from: SplitMix64, one byte a draw.
  private static func draws(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return UInt8((z ^ (z >> 31)) >> 56)
    }
  }

  private static func codes(_ seed: UInt64) -> [Int] { draws(16, seed: seed).map { Int($0) % 128 } }

  /// The published layout with weights from the script's generator.
  private static func weights(channels: Int, codeWidth: Int) -> [String: Tensor] {
    var shapes = ["_vq_vae._embedding": [128, codeWidth]]
    func layer(_ name: String, _ shape: [Int], outputs: Int) {
      shapes["decoder.\(name).weight"] = shape
      shapes["decoder.\(name).bias"] = [outputs]
    }
    layer("0", [channels, codeWidth, 1, 1], outputs: channels)
    for block in [2, 3] {
      for (index, kernel) in [(0, 3), (2, 3), (4, 1)] {
        layer("\(block).net.\(index)", [channels, channels, kernel, kernel], outputs: channels)
      }
    }
    var inputs = channels
    for (step, index) in [4, 6, 8, 10].enumerated() {
      layer("\(index)", [inputs, channels >> step, 4, 4], outputs: channels >> step)
      inputs = channels >> step
    }
    layer("12", [1, inputs, 1, 1], outputs: 1)
    return shapes.reduce(into: [:]) { tensors, entry in
      let (name, shape) = entry
      let seed = name.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) {
        ($0 ^ UInt64($1)) &* 0x100_0000_01b3
      }
      var fanIn = shape.dropFirst().reduce(1, *)
      if shape.count == 4, shape[2] == 4 { fanIn = 4 * shape[0] }
      let size = shape.count == 1 ? 0.1 : shape.count == 4 ? 1.6 / Double(fanIn).squareRoot() : 1
      let factor = Float(size / 74)
      tensors[name] = Tensor(
        draws(shape.reduce(1, *), seed: seed).map { (Float($0) - 127.5) * factor }, shape: shape)
    }
  }

  private static func golden(_ name: String) throws -> [Float] {
    try #require(NPZFile(path: path("scores.npz"), names: [name]).tensors[name]).floats
  }

  @Test("A decoder of the published size computes what JAX does")
  func publishedSize() throws {
    let decoder = try MaskDecoder(
      MaskDecoderWeights(path: "x", tensors: Self.weights(channels: 128, codeWidth: 512)))
    var all: [[Float]] = []
    for seed in [1, 2] as [UInt64] {
      let expected = try Self.golden("published.\(seed)")
      let scores = try #require(decoder.scores(Self.codes(seed)))
      let error = relativeError(scores, expected)
      #expect(error < 1e-4, "seed \(seed): \(error)")
      all.append(scores)
    }
    #expect(relativeError(all[0], all[1]) > 0.1, "code words matter")
  }

  @Test("Files of a small decoder, deflated or stored column by column, compute the same")
  func files() throws {
    let whole = try MaskDecoder(
      MaskDecoderWeights(path: "x", tensors: Self.weights(channels: 8, codeWidth: 6)))
    for name in ["small.npz", "small-stored.npz"] {
      let decoder = try MaskDecoder(path: Self.path(name))
      for seed in [1, 2] as [UInt64] {
        let scores = try #require(decoder.scores(Self.codes(seed)))
        #expect(relativeError(scores, try Self.golden("small.\(seed)")) < 1e-4)
        #expect(whole.scores(Self.codes(seed)) == scores)
      }
    }
  }

  @Test("Sixteen code words of the codebook, or no mask")
  func codeWords() throws {
    let decoder = try MaskDecoder(path: Self.path("small.npz"))
    #expect(decoder.scores(Array(repeating: 127, count: 16))?.count == 64 * 64)
    #expect(decoder.scores(Array(repeating: 0, count: 15)) == nil)
    #expect(decoder.scores(Array(repeating: 0, count: 17)) == nil)
    #expect(decoder.scores(Array(repeating: 128, count: 16)) == nil)
    #expect(decoder.scores(Array(repeating: -1, count: 16)) == nil)
  }

  @Test("A file that is no decoder says which array is wrong, and how")
  func refusals() throws {
    let good = Self.weights(channels: 8, codeWidth: 6)
    #expect(Set(good.keys) == MaskDecoderWeights.names)
    func cause(_ change: (inout [String: Tensor]) -> Void) -> String {
      var tensors = good
      change(&tensors)
      do throws(MaskDecoderError) {
        _ = try MaskDecoder(MaskDecoderWeights(path: "x", tensors: tensors))
        return "none"
      } catch { return error.cause }
    }
    for (name, tensor) in good {
      let missing = cause { $0[name] = nil }
      #expect(missing.contains("'\(name)'"))
      let flat = cause { $0[name] = Tensor(shape: [3]) }
      // The first bias says how many channels there are.
      let isHeard = flat.contains("'\(name)' has shape [3]")
      #expect(isHeard || (name == "decoder.0.bias" && flat.contains("3 channels")))
      let whole = cause { $0[name] = Tensor(.i32, shape: tensor.shape) }
      #expect(whole.contains("i32"))
    }
    let odd = Self.weights(channels: 12, codeWidth: 6)
    #expect(cause { $0 = odd }.contains("halved"))
    let path = Golden.folder.appending(path: "tiny-a/model/model.safetensors").path()
    #expect(throws: MaskDecoderError.self) { try MaskDecoder(path: path) }
    #expect(throws: MaskDecoderError.self) { try MaskDecoder(path: Self.path("scores.npz")) }
  }
}
