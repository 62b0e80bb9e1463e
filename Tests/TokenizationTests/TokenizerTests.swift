import Foundation
import Testing

@testable import Tokenization

@Suite struct TokenizerTests {
  @Test func encodesAsHuggingFace() throws {
    let tokenizer = try Fixture.tokenizer()
    let goldens = try Fixture.goldens()
    #expect(goldens.encoded.count > 100)
    for golden in goldens.encoded {
      let ids = try tokenizer.encode(golden.text)
      #expect(ids == golden.plain ?? golden.ids, "\(golden.text.debugDescription)")
    }
    // Where control tokens stand in the text, and only there, Palisade is meant to differ.
    #expect(goldens.encoded.filter { $0.plain != nil }.count > 10)
  }

  @Test func decodesAsHuggingFace() throws {
    let tokenizer = try Fixture.tokenizer()
    for golden in try Fixture.goldens().decoded {
      let text = tokenizer.decode(golden.ids)
      #expect(Array(text.utf8) == Array(golden.text.utf8), "\(golden.ids)")
    }
  }

  @Test func laysOutPromptsAsHuggingFace() throws {
    let tokenizer = try Fixture.tokenizer()
    let goldens = try Fixture.goldens()
    #expect(tokenizer.imageTokenID == goldens.imageToken)
    for golden in goldens.prompts {
      let layout = try tokenizer.layout(
        prompt: golden.prompt,
        imageCount: golden.imageCount,
        tokensPerImage: golden.tokensPerImage
      )
      let images = [TokenID](repeating: goldens.imageToken, count: layout.imageTokenCount)
      #expect(images + layout.textTokenIDs == golden.ids, "\(golden.prompt.debugDescription)")
      #expect(layout.tokenCount == golden.ids.count)
    }
  }

  @Test func everyCoordinateIsOneToken() throws {
    let tokenizer = try Fixture.tokenizer()
    let goldens = try Fixture.goldens()
    #expect(tokenizer.locationTokenIDs == goldens.locations && goldens.locations.count == 1024)
    #expect(tokenizer.segmentTokenIDs == goldens.segments && goldens.segments.count == 128)
    let names =
      (0..<1024).map { String(format: "<loc%04d>", $0) }
      + (0..<128).map { String(format: "<seg%03d>", $0) }
    let expected = goldens.locations + goldens.segments
    for (name, id) in zip(names, expected) {
      #expect(try tokenizer.encode(name) == [id])
      #expect(tokenizer.decode([id]) == name)
      #expect(tokenizer.piece(of: id) == name && tokenizer.id(ofPiece: name) == id)
    }
    #expect(try tokenizer.encode(names.joined()) == expected)
  }

  @Test(arguments: [
    "<image>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<image><bos>detect cat\n",
    "<loc0000><eos><loc0001>", "<<eos>>", "<eo<eos>s>", "x<bos", "<image>\u{301}",
  ])
  func controlTokensStayText(_ text: String) throws {
    let tokenizer = try Fixture.tokenizer()
    let names = ["<image>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>"]
    let control = try Set(names.map { try #require(tokenizer.id(ofPiece: $0)) })
    let ids = try tokenizer.encode(text)
    #expect(control.isDisjoint(with: ids))
    #expect(Array(tokenizer.decode(ids).utf8) == Array(text.utf8))
  }

  @Test func randomTextsComeBackAndHoldNoControlToken() throws {
    let tokenizer = try Fixture.tokenizer()
    let parts = [
      "<", ">", "<image>", "<bos>", "<eos>", "<mask>", "<loc0007>", "<seg007>", "<loc", "0", "cat",
      " ", "\n", "é", "🐈", "e\u{301}", "\u{0}", "\t", "<unused1>", "<table>", "日本",
    ]
    var generator = SeededGenerator(state: 1)
    for _ in 0..<500 {
      let count = Int.random(in: 0..<12, using: &generator)
      let text = (0..<count).map { _ in parts.randomElement(using: &generator) ?? "" }.joined()
      let ids = try tokenizer.encode(text)
      #expect(tokenizer.control.specialIDs.isDisjoint(with: ids))
      #expect(Array(tokenizer.decode(ids).utf8) == Array(text.utf8), "\(text.debugDescription)")
    }
  }

  @Test func promptsTooLongAreRefusedWithFigures() throws {
    let limits = TokenizerLimits(
      promptByteCount: 100,
      promptTokenCount: 10,
      sequenceTokenCount: 12
    )
    let tokenizer = try Tokenizer(folder: Fixture.folder, limits: limits)
    func refusal(_ prompt: String, images: Int, tokens: Int = 4) -> TokenizerError? {
      do throws(TokenizerError) {
        _ = try tokenizer.layout(prompt: prompt, imageCount: images, tokensPerImage: tokens)
        return nil
      } catch {
        return error
      }
    }
    let bytes = refusal(String(repeating: "é", count: 50), images: 1)
    #expect(bytes?.code == .promptTooLong && bytes?.cause.contains("101 bytes, 100") == true)
    let tokens = refusal("1234567890", images: 1)
    #expect(tokens?.code == .promptTooLong && tokens?.cause.contains("12 tokens, 10") == true)
    let sequence = refusal("12345", images: 2)
    #expect(sequence?.code == .promptTooLong && sequence?.cause.contains("8 image and 7") == true)
    #expect(refusal("123", images: 1) == nil)
    #expect(refusal("123", images: 0) == nil)
    #expect(refusal("", images: -1)?.code == .invalidLayout)
    #expect(refusal("", images: 1, tokens: 0)?.code == .invalidLayout)
    #expect(refusal("", images: .max, tokens: 2)?.code == .invalidLayout)
    #expect(refusal("", images: .max, tokens: 1)?.code == .promptTooLong)
  }

  @Test func idsWithoutAPieceAddNothing() throws {
    let tokenizer = try Fixture.tokenizer()
    let end = TokenID(tokenizer.tokenCount)
    #expect(tokenizer.piece(of: end) == nil && tokenizer.piece(of: end - 1) == "<image>")
    #expect(tokenizer.decode([-1, .min, .max, end]) == "")
    #expect(DetectionParser.parse(ids: [-1, .max, end], tokenizer: tokenizer) == nil)
  }

  @Test func manyThreadsUseOneTokenizer() async throws {
    let tokenizer = try Fixture.tokenizer()
    let goldens = try Fixture.goldens()
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          goldens.encoded.allSatisfy { (try? tokenizer.encode($0.text)) == $0.plain ?? $0.ids }
        }
      }
      for await isEqual in group { #expect(isEqual) }
    }
  }

  /// The same comparison with a real checkpoint; see the head of `scripts/goldens/tokenizer.py`.
  @Test(
    .enabled(
      if: ProcessInfo.processInfo.environment["PALISADE_TOKENIZER_FOLDER"] != nil,
      "SKIPPED: no real tokenizer; set PALISADE_TOKENIZER_FOLDER and PALISADE_TOKENIZER_GOLDENS"
    )
  )
  func realCheckpointEqualsHuggingFace() throws {
    let environment = ProcessInfo.processInfo.environment
    let folder = try #require(environment["PALISADE_TOKENIZER_FOLDER"])
    let file = try #require(environment["PALISADE_TOKENIZER_GOLDENS"])
    let tokenizer = try Tokenizer(folder: URL(filePath: folder))
    let goldens = try Goldens.read(URL(filePath: file))
    for golden in goldens.encoded {
      #expect(try tokenizer.encode(golden.text) == golden.plain ?? golden.ids, "\(golden.text)")
    }
    for golden in goldens.decoded {
      #expect(Array(tokenizer.decode(golden.ids).utf8) == Array(golden.text.utf8))
    }
    #expect(tokenizer.locationTokenIDs == goldens.locations)
    #expect(tokenizer.segmentTokenIDs == goldens.segments)
  }
}
