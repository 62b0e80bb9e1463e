import Foundation
import Testing

@testable import Tokenization

@Suite struct StreamingDecoderTests {
  private func byteIDs(_ bytes: some Sequence<UInt8>, _ tokenizer: Tokenizer) throws -> [TokenID] {
    try bytes.map { byte in
      try #require(tokenizer.id(ofPiece: String(format: "<0x%02X>", byte)))
    }
  }

  @Test func streamedTextEqualsHuggingFaces() throws {
    let tokenizer = try Fixture.tokenizer()
    for golden in try Fixture.goldens().decoded {
      var decoder = StreamingDecoder(tokenizer)
      var text = ""
      for id in golden.ids { text += decoder.push(id) }
      text += decoder.finish()
      #expect(Array(text.utf8) == Array(golden.text.utf8), "\(golden.ids)")
      #expect(decoder.finish() == "")
    }
  }

  @Test func noSplitGivesHalfACharacter() throws {
    let tokenizer = try Fixture.tokenizer()
    let text = "aé東🐈👩‍👩‍👧‍👦\u{301} b"
    let ids =
      try tokenizer.encode("cat") + byteIDs(text.utf8, tokenizer) + tokenizer.encode(" dog")
    let whole = "cat" + text + " dog"
    for split in 0...ids.count {
      var decoder = StreamingDecoder(tokenizer)
      var emitted = ""
      for id in ids[..<split] {
        emitted += decoder.push(id)
        #expect(Array(whole.utf8).starts(with: emitted.utf8))
      }
      for id in ids[split...] { emitted += decoder.push(id) }
      emitted += decoder.finish()
      #expect(Array(emitted.utf8) == Array(whole.utf8))
    }
    // Cut off inside a character: only replacement characters, one a byte, as Hugging Face does.
    let cat = try byteIDs("🐈".utf8, tokenizer)
    for count in 1..<4 {
      let expected = String(repeating: "\u{FFFD}", count: count)
      #expect(tokenizer.decode(cat.prefix(count)) == expected)
    }
  }

  @Test func randomBytesNeverCrash() throws {
    let tokenizer = try Fixture.tokenizer()
    var generator = SeededGenerator(state: 3)
    for _ in 0..<300 {
      let bytes = (0..<Int.random(in: 0..<9, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      let text = tokenizer.decode(try byteIDs(bytes, tokenizer))
      if let valid = String(validating: bytes, as: UTF8.self) {
        #expect(Array(text.utf8) == Array(valid.utf8))
      } else {
        #expect(text.unicodeScalars.count == bytes.count)
        #expect(text.unicodeScalars.allSatisfy { $0 == "\u{FFFD}" })
      }
    }
  }

  @Test func specialTokensAreShownWhenAskedFor() throws {
    let tokenizer = try Fixture.tokenizer()
    let ids = [tokenizer.bosTokenID] + (try tokenizer.encode("cat")) + tokenizer.eosTokenIDs
    #expect(tokenizer.decode(ids) == "cat")
    #expect(tokenizer.decode(ids, skippingSpecialTokens: false) == "<bos>cat<eos>")
  }
}
