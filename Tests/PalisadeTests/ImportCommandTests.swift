import Checkpoints
import Foundation
import PaliGemma
import Testing
import Tokenization

/// `palisade checkpoint import` and `inspect` as a user runs them, and the tokenizer that comes of it.
@Suite struct ImportCommandTests {
  private static let fixtures = Program.root.appending(path: "Tests/PaliGemmaTests/Fixtures/gguf")
  private static let tokenizer = Program.root.appending(
    path: "Tests/TokenizationTests/Fixtures/paligemma")

  private static func path(_ name: String) -> String {
    fixtures.appending(path: name + ".gguf").path()
  }

  /// convert_hf_to_gguf.py's form of a tokenizer, and back: what Hugging Face's tokenizer said of texts.
  @Test func textsAreEncodedAsBefore() throws {
    struct Goldens: Decodable {
      struct Encoded: Decodable {
        let text: String
        let ids: [TokenID]
        let plain: [TokenID]?
      }
      let encoded: [Encoded]
    }
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, content) in try GGUFTokenizer(GGUFFile(path: Self.path("tokenizer"))).files {
      try content.write(to: folder.appending(path: name))
    }
    let made = try Tokenizer(folder: folder)
    let original = try Tokenizer(folder: Self.tokenizer)
    #expect(made.tokenCount == original.tokenCount)
    #expect(made.locationTokenIDs == original.locationTokenIDs && !made.locationTokenIDs.isEmpty)
    #expect(made.imageTokenID == original.imageTokenID)
    #expect(made.bosTokenID == original.bosTokenID && made.eosTokenIDs == original.eosTokenIDs)
    let json = try Data(
      contentsOf: Self.tokenizer.deletingLastPathComponent().appending(path: "goldens.json"))
    let goldens = try JSONDecoder().decode(Goldens.self, from: json).encoded
    #expect(goldens.count > 100)
    for golden in goldens {
      let expected = golden.plain ?? golden.ids
      let ids = try made.encode(golden.text)
      #expect(ids == expected, "\(golden.text.debugDescription)")
      #expect(made.decode(ids) == original.decode(ids), "\(golden.text.debugDescription)")
    }
  }

  @Test func aPairBecomesAFolder() async throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = folder.appending(path: "model").path()
    let arguments = ["checkpoint", "import", Self.path("q8-text"), Self.path("q8-mmproj"), output]
    let (status, text, errors) = try await Program.run(arguments)
    #expect(status == 0 && text.contains(output), "\(errors)")
    #expect(try await Program.run(["checkpoint", "inspect", output]).status == 0)
    let tokenizer = try Tokenizer(folder: URL(filePath: output))
    // A user-defined piece of two spaces (4), and merges by score: cat (12), ▁cat (13).
    #expect(try tokenizer.encode("cat  cat cat") == [12, 4, 12, 13])
    #expect(tokenizer.imageTokenID == 270 && tokenizer.tokenCount == 271)
    // What is there stays as it is.
    let (again, _, reason) = try await Program.run(arguments)
    #expect(again == 1 && reason.contains("already holds"), "\(reason)")
  }

  /// tiny-c's made-up tokenizer lacks some byte pieces.
  @Test func aTokenizerThatCannotBeUsedIsSaidBeforehand() async throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = folder.appending(path: "model").path()
    let arguments = [
      "checkpoint", "import", Self.path("tiny-c-text"), Self.path("tiny-c-mmproj"), output,
    ]
    let (status, _, errors) = try await Program.run(arguments)
    #expect(status == 1 && errors.contains("--tokenizer"), "\(errors)")
    #expect(!FileManager.default.fileExists(atPath: output))
    let (helped, _, reason) = try await Program.run(
      arguments + ["--type", "bf16", "--tokenizer", Self.tokenizer.path()])
    #expect(helped == 0, "\(reason)")
    let names = try FileManager.default.contentsOfDirectory(atPath: output)
    #expect(names.contains("tokenizer.json") && names.contains("config.json"))
  }

  @Test func inspectShowsAFile() async throws {
    let (status, text, _) = try await Program.run(["checkpoint", "inspect", Self.path("q8-text")])
    #expect(status == 0)
    for word in ["gemma.block_count", "token_embd.weight", "Q8_0", "[300, 64]", "300 values"] {
      #expect(text.contains(word), "\(word)")
    }
    // A name that would turn the terminal red.
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    var bytes = try Data(contentsOf: URL(filePath: Self.path("q8-text")))
    let place = try #require(bytes.range(of: Data("gemma.context".utf8)))
    bytes.replaceSubrange(place, with: Data("\u{1B}[31m.context".utf8))
    try bytes.write(to: folder.appending(path: "red.gguf"))
    let red = try await Program.run(["checkpoint", "inspect", folder.path() + "/red.gguf"])
    #expect(red.status == 0 && red.output.contains("·[31m.context"))
    #expect(!red.output.contains("\u{1B}"))
    let (ended, json, _) = try await Program.run(
      ["checkpoint", "inspect", "--json", Self.path("q8-mmproj")])
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect(ended == 0 && (object["tensors"] as? [Any])?.count == 23)
    let (refused, _, errors) = try await Program.run(["checkpoint", "inspect", "/none.gguf"])
    #expect(refused == 1 && errors.contains("/none.gguf"))
  }
}
