import Foundation
import Testing

@testable import Tokenization

/// What `scripts/goldens/tokenizer.py` recorded of Hugging Face's tokenizer and processor.
struct Goldens: Decodable {
  struct Encoded: Decodable {
    let text: String
    let ids: [TokenID]
    /// With special tokens taken as text; absent where that changes nothing.
    let plain: [TokenID]?
  }
  struct Decoded: Decodable {
    let ids: [TokenID]
    let text: String
  }
  struct Prompt: Decodable {
    let prompt: String
    let imageCount: Int
    let tokensPerImage: Int
    let ids: [TokenID]
  }
  let encoded: [Encoded]
  let decoded: [Decoded]
  let prompts: [Prompt]
  let imageToken: TokenID
  let locations: [TokenID]
  let segments: [TokenID]

  static func read(_ url: URL) throws -> Goldens {
    try JSONDecoder().decode(Goldens.self, from: Data(contentsOf: url))
  }
}

enum Fixture {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")
  static let folder = root.appending(path: "paligemma")

  static func tokenizer() throws -> Tokenizer { try Tokenizer(folder: folder) }
  static func goldens() throws -> Goldens { try .read(root.appending(path: "goldens.json")) }
}

/// A folder of its own, gone when the test is done with it.
final class ScratchFolder {
  let url: URL

  /// Starts with copies of these files of the fixture.
  init(_ names: String...) throws {
    url = FileManager.default.temporaryDirectory
      .appending(path: "palisade-tokenization-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    for name in names {
      try FileManager.default.copyItem(
        at: Fixture.folder.appending(path: name),
        to: url.appending(path: name)
      )
    }
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func write(_ text: String, to name: String) throws { try write(Data(text.utf8), to: name) }

  func write(_ data: Data, to name: String) throws {
    try data.write(to: url.appending(path: name))
  }

  /// The error of loading this folder, or nil when it loads.
  func loadingError(_ claims: SpecialTokens? = nil) -> TokenizerError? {
    do throws(TokenizerError) {
      _ = try Tokenizer(folder: url, specialTokens: claims)
      return nil
    } catch {
      return error
    }
  }
}

/// SplitMix64: the same numbers on every machine.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
