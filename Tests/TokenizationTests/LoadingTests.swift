import Foundation
import Testing

@testable import Tokenization

@Suite struct LoadingTests {
  private func text(_ name: String) throws -> String {
    try String(contentsOf: Fixture.folder.appending(path: name), encoding: .utf8)
  }

  /// All added tokens of the fixture, as `added_tokens.json` would have them.
  private func addedTokensFile() throws -> String {
    let data = try Data(contentsOf: Fixture.folder.appending(path: "tokenizer.json"))
    let file = try JSONDecoder().decode(TokenizerFile.self, from: data)
    let entries = try #require(file.added_tokens).map { entry in
      "\(entry.content.debugDescription):\(try #require(entry.id))"
    }
    return "{" + entries.filter { !$0.contains("\\n") }.joined(separator: ",") + "}"
  }

  private func expectSameIDs(_ tokenizer: Tokenizer) throws {
    for golden in try Fixture.goldens().encoded where !golden.text.contains("▁") {
      #expect(try tokenizer.encode(golden.text) == golden.plain ?? golden.ids, "\(golden.text)")
    }
    #expect(tokenizer.locationTokenIDs.count == 1024 && tokenizer.segmentTokenIDs.count == 128)
    #expect(tokenizer.bosTokenID == 2 && tokenizer.eosTokenIDs == [1] && tokenizer.padTokenID == 0)
  }

  @Test func addedTokensComeFromEachSource() throws {
    let simple = try ScratchFolder("tokenizer.model")
    try simple.write(addedTokensFile(), to: "added_tokens.json")
    try expectSameIDs(Tokenizer(folder: simple.url))

    let fast = try ScratchFolder("tokenizer.model", "tokenizer.json")
    try expectSameIDs(Tokenizer(folder: fast.url))

    let bare = try ScratchFolder()
    let model = try Data(contentsOf: Fixture.root.appending(path: "big_vision.model"))
    try bare.write(model, to: "tokenizer.model")
    let tokenizer = try Tokenizer(folder: bare.url)
    try expectSameIDs(tokenizer)
    #expect(tokenizer.imageTokenID == nil)
    let claims = SpecialTokens(imageTokenID: TokenID(tokenizer.tokenCount))
    let withImage = try Tokenizer(folder: bare.url, specialTokens: claims)
    #expect(withImage.imageTokenID == claims.imageTokenID)
  }

  @Test func modelWithoutCoordinatesTakesThemAsText() throws {
    let folder = try ScratchFolder("tokenizer.model")
    let tokenizer = try Tokenizer(folder: folder.url)
    #expect(tokenizer.locationTokenIDs.isEmpty && tokenizer.segmentTokenIDs.isEmpty)
    let ids = try tokenizer.encode("<loc0001>")
    #expect(ids.count > 1 && tokenizer.decode(ids) == "<loc0001>")
  }

  @Test func missingAndUnreadableFiles() throws {
    #expect(try ScratchFolder().loadingError()?.code == .unreadableFile)
    let folder = try ScratchFolder("tokenizer.model")
    for name in ["tokenizer_config.json", "added_tokens.json", "tokenizer.json", "config.json"] {
      let url = folder.url.appending(path: name)
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
      #expect(folder.loadingError()?.code == .unreadableFile, "\(name)")
      try FileManager.default.removeItem(at: url)
    }
    #expect(folder.loadingError() == nil)
    let directory = try ScratchFolder()
    let url = directory.url.appending(path: "tokenizer.model")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    #expect(directory.loadingError()?.code == .unreadableFile)
  }

  @Test(arguments: [
    "", "{", "[]", "null", "nonsense", "\u{0}", #"{"added_tokens_decoder":{"x":{"content":"a"}}}"#,
    #"{"added_tokens_decoder":{"5":{}}}"#, #"{"added_tokens_decoder":{"-1":{"content":"a"}}}"#,
    #"{"added_tokens_decoder":{"99999999999":{"content":"a"}}}"#,
    #"{"added_tokens_decoder":{"2000000":{"content":"a"}}}"#,
    #"{"added_tokens_decoder":{"5000":{"content":""}}}"#,
    #"{"bos_token":7}"#, #"{"bos_token":{"text":"<bos>"}}"#,
  ])
  func brokenConfigIsAnError(_ json: String) throws {
    let folder = try ScratchFolder("tokenizer.model")
    try folder.write(json, to: "tokenizer_config.json")
    #expect(folder.loadingError()?.code == .invalidFile)
  }

  @Test func deepJSONIsAnErrorAndNoCrash() throws {
    let folder = try ScratchFolder("tokenizer.model")
    let deep = String(repeating: "[", count: 100_000)
    try folder.write("{\"x\":\(deep)", to: "tokenizer_config.json")
    #expect(folder.loadingError()?.code == .invalidFile)
  }

  @Test func oversizedFilesAreRefused() throws {
    let folder = try ScratchFolder("tokenizer.model", "tokenizer_config.json")
    do throws(TokenizerError) {
      _ = try Tokenizer(folder: folder.url, limits: TokenizerLimits(fileByteCount: 1000))
      Issue.record("loaded")
    } catch {
      #expect(error.code == .invalidFile && error.cause.contains("1000 bytes"))
    }
    do throws(TokenizerError) {
      _ = try Tokenizer(folder: folder.url, limits: TokenizerLimits(addedTokenCount: 1000))
      Issue.record("loaded")
    } catch {
      #expect(error.code == .invalidFile && error.cause.contains("more than 1000"))
    }
  }

  @Test(arguments: [
    // Two ids for one text, two texts for one id, another piece's id, another id than the piece's.
    (
      "tokenizer_config.json",
      #"{"added_tokens_decoder":{"5000":{"content":"<x>"},"5001":{"content":"<x>"}}}"#
    ),
    (
      "tokenizer.json",
      #"{"added_tokens":[{"id":5000,"content":"<x>"},{"id":5000,"content":"<y>"}]}"#
    ),
    ("added_tokens.json", #"{"<x>":700}"#),
    ("added_tokens.json", #"{"<eos>":5000}"#),
    ("added_tokens.json", #"{"<eos>":2}"#),
    ("config.json", #"{"image_token_index":5000,"image_token_id":5001}"#),
    ("config.json", #"{"image_token_index":700}"#),
    ("config.json", #"{"bos_token_id":1}"#),
    ("config.json", #"{"eos_token_id":[2]}"#),
    ("config.json", #"{"eos_token_id":[1,90000]}"#),
    ("config.json", #"{"pad_token_id":-1}"#),
  ])
  func conflictsAreErrors(_ name: String, _ json: String) throws {
    let folder = try ScratchFolder("tokenizer.model")
    try folder.write(json, to: name)
    let error = try #require(folder.loadingError())
    #expect(error.code == .conflict && !error.remedy.isEmpty, "\(error)")
  }

  @Test func incompleteOrUnsupportedTokens() throws {
    let folder = try ScratchFolder("tokenizer.model")
    try folder.write(#"{"<loc0000>":5000,"<loc0002>":5002}"#, to: "added_tokens.json")
    let gap = folder.loadingError()
    #expect(gap?.code == .missingToken && gap?.cause.contains("2 of 1024") == true)
    try folder.write(
      #"{"added_tokens_decoder":{"5000":{"content":"<x>","lstrip":true}}}"#,
      to: "tokenizer_config.json"
    )
    #expect(folder.loadingError()?.code == .unsupported)
    try folder.write(#"{"bos_token":"<begin>"}"#, to: "tokenizer_config.json")
    try folder.write("{}", to: "added_tokens.json")
    #expect(folder.loadingError()?.code == .missingToken)
    try folder.write(#"{"eos_token":{"content":"<end>"}}"#, to: "tokenizer_config.json")
    #expect(folder.loadingError()?.code == .missingToken)
  }

  @Test func severalEndsAreKept() throws {
    let folder = try ScratchFolder("tokenizer.model")
    try folder.write(#"{"eos_token_id":[18,1]}"#, to: "config.json")
    #expect(try Tokenizer(folder: folder.url).eosTokenIDs == [1, 18])
    #expect(try Tokenizer(folder: folder.url).encode("<end_of_turn>").contains(18) == false)
    let claims = SpecialTokens(bosTokenID: 1)
    #expect(folder.loadingError(claims)?.code == .conflict)
  }

  @Test func everyTruncationOfTheModelIsAnErrorOrAModel() throws {
    let model = try [UInt8](Data(contentsOf: Fixture.folder.appending(path: "tokenizer.model")))
    var refused = 0
    for count in Array(0..<64) + Array(stride(from: 64, to: model.count, by: 97)) {
      do throws(TokenizerError) {
        let cut = try SentencePieceModel(bytes: Array(model.prefix(count)))
        #expect(cut.pieceCount > 0)
      } catch {
        #expect(error.code == .invalidFile || error.code == .unsupported)
        refused += 1
      }
    }
    #expect(refused > 200)
    #expect(throws: TokenizerError.self) { try SentencePieceModel(bytes: []) }
  }

  @Test func damagedModelsNeverCrash() throws {
    let model = try [UInt8](Data(contentsOf: Fixture.folder.appending(path: "tokenizer.model")))
    var generator = SeededGenerator(state: 2)
    var refused = 0
    for _ in 0..<400 {
      var damaged = model
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let near = Bool.random(using: &generator)
        // Half of the damage goes to the settings at the end, where it does most.
        let range = near ? (model.count - 900)..<model.count : 0..<model.count
        damaged[Int.random(in: range, using: &generator)] = .random(in: 0...255, using: &generator)
      }
      guard let broken = try? SentencePieceModel(bytes: damaged) else {
        refused += 1
        continue
      }
      var ids: [TokenID] = []
      try? broken.encode(Array("detect cat 12 <mask>\n\n  é🐈".utf8)[...], into: &ids)
      for id in ids { #expect(broken.piece(id) != nil) }
    }
    #expect(refused > 20 && refused < 400)
  }

  @Test func otherMannersAreRefused() throws {
    // A unigram model with sentencepiece's defaults: one unknown piece, no settings.
    let unigram: [UInt8] = [0x0A, 0x09, 0x0A, 0x05] + Array("<unk>".utf8) + [0x18, 0x02]
    do throws(TokenizerError) {
      _ = try SentencePieceModel(bytes: unigram)
      Issue.record("loaded")
    } catch {
      #expect(error.code == .unsupported)
      #expect(error.cause.contains("not a BPE model") && error.cause.contains("add_dummy_prefix"))
    }
  }

  @Test func sentencePieceLayer() throws {
    let url = Fixture.folder.appending(path: "tokenizer.model")
    let model = try SentencePieceModel(contentsOf: url)
    #expect(model.id(ofPiece: Array("<bos>".utf8)) == 2)
    #expect(model.id(ofPiece: Array("no such piece".utf8)) == nil)
    #expect(model.id(ofPiece: []) == nil)
    #expect(model.piece(-1) == nil && model.piece(TokenID(model.pieceCount)) == nil)
    var ids: [TokenID] = []
    try model.encode(Array("detect cat".utf8)[...], into: &ids)
    #expect(try model.decode(ids) == Array("detect cat".utf8))
    #expect(try model.decode([]) == [])
    #expect(throws: TokenizerError.self) { try model.decode([.max]) }
    #expect(throws: TokenizerError.self) {
      try model.encode([UInt8](repeating: 97, count: 1 << 20 + 1)[...], into: &ids)
    }
  }
}
