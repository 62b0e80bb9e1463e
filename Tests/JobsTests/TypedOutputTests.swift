import Foundation
import Imaging
import Messaging
import PaliGemma
import Pipelining
import Testing
import Tokenization

@testable import Jobs

/// Boxes, masks and what is wrong with them, from tokens to every form in which they leave.
@Suite struct TypedOutputTests {
  private let tokenizer: Tokenizer
  private let decoder: MaskDecoder
  private let size = ImageSize(width: 20, height: 10)

  init() throws {
    tokenizer = try Fixture.tokenizer()
    decoder = try MaskDecoder(path: Fixture.maskDecoder)
  }

  private static func segments(_ first: Int) -> String {
    (0..<16).map { index in
      let digits = String(first + index)
      return "<seg" + String(repeating: "0", count: 3 - digits.count) + digits + ">"
    }.joined()
  }

  private static let upper = "<loc0000><loc0000><loc0512><loc1023>"
  private static let text =
    upper + segments(3) + " cat ; " + upper + segments(40) + " dog ; " + upper + " cow ; "
    + upper + segments(3) + " cat ; <loc0001><loc0002> odd"

  private func answer(
    _ text: String, masks: Bool = true, finish: FinishReason = .length
  ) async throws -> Answer {
    let tokens = try tokenizer.encode(text).map { TokenLogprob(tokenID: $0, logprob: 0) }
    let engine = FakeEngine(
      config: try Fixture.config(), .success(Completion(tokens: tokens, finish: finish)))
    let service = EngineAnswerService(
      engine: engine, tokenizer: tokenizer, maskDecoder: masks ? decoder : nil)
    return try await service.answer(
      AnswerRequest(
        images: [EncodedImage(name: "a", bytes: try png())], prompt: "segment cat",
        sampling: Sampling(maximumTokens: 200)))
  }

  private func object(_ json: JSONText) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(json.line.utf8)) as? [String: Any])
  }

  @Test("Code words become masks in the picture, where there is a decoder")
  func masks() async throws {
    let answer = try await answer(Self.text)
    #expect(answer.boxes.map(\.label) == ["cat", "dog", "cow", "cat"])
    #expect(answer.boxes.map(\.isRepeat) == [false, false, false, true])
    #expect(answer.boxes[0].segments == Array(3..<19) && answer.boxes[2].segments.isEmpty)
    let cat = try #require(answer.mask(of: answer.boxes[0]))
    let scores = try #require(decoder.scores(Array(3..<19)))
    let expected = try RunLengthMask(
      scores: scores, scoreWidth: 64, scoreHeight: 64, left: 0, top: 0, right: 20, bottom: 5,
      width: 20, height: 10)
    #expect(cat == expected && cat.area > 0 && cat.area <= 100)
    #expect(answer.boxes[3].mask == answer.boxes[0].mask)
    #expect(answer.mask(of: answer.boxes[2]) == nil)
    let without = try await self.answer(Self.text, masks: false)
    #expect(without.boxes.map(\.segments) == answer.boxes.map(\.segments))
    #expect(without.boxes.allSatisfy { $0.mask.isEmpty } && without.text == answer.text)
  }

  @Test("A box without pixels, or the wrong way round, has an empty mask")
  func emptyMasks() async throws {
    let flat = "<loc0100><loc0000><loc0100><loc1023>" + Self.segments(3) + " flat"
    let turned = "<loc0512><loc1023><loc0000><loc0000>" + Self.segments(3) + " turned"
    let answer = try await answer(flat + " ; " + turned)
    #expect(answer.boxes.count == 2)
    for box in answer.boxes { #expect(answer.mask(of: box)?.area == 0) }
  }

  @Test("One object says it all: boxes, masks, what is malformed, what repeats")
  func json() async throws {
    let answer = try await answer(Self.text, finish: .repetition)
    let plain = try object(answer.json(hasLogprobs: false))
    #expect(plain["text"] as? String == answer.text)
    #expect(answer.text.contains("<seg003>") && answer.text.contains("<loc0512>"))
    #expect(plain["finish_reason"] as? String == "stop")
    #expect(plain["repetition"] as? Bool == true && plain["repeats"] as? Int == 1)
    let boxes = try #require(plain["boxes"] as? [[String: Any]])
    #expect(boxes[0]["segments"] as? [Int] == Array(3..<19))
    #expect(boxes[0]["repeat"] == nil && boxes[3]["repeat"] as? Bool == true)
    #expect(boxes[2]["segments"] == nil)
    #expect(boxes[1]["xyxy"] as? [Double] == [0, 0, 19.98, 5])
    let masks = try #require(plain["masks"] as? [Any])
    #expect(masks.count == 4 && masks[2] is NSNull)
    let mask = try #require(masks[0] as? [String: Any])
    #expect(mask["size"] as? [Int] == [10, 20])
    #expect(mask["counts"] as? String == answer.boxes[0].mask)
    #expect(mask["png"] == nil)
    let malformed = try #require(plain["malformed"] as? [[String: String]])
    #expect(malformed == [["reason": "location_count", "text": "<loc0001><loc0002> odd"]])

    let typed = try object(.object(answer.typedJSON(hasMaskPictures: true, maskFiles: ["a.png"])))
    let withPNG = try #require((typed["masks"] as? [Any])?.first as? [String: Any])
    let data = try #require(Data(base64Encoded: withPNG["png"] as? String ?? ""))
    let picture = try Picture.decode(Array(data))
    #expect(picture.width == 20 && picture.height == 10)
    let bits = try #require(answer.mask(of: answer.boxes[0])).bitmap
    #expect(picture.rgb.enumerated().allSatisfy { $1 == bits[$0 / 3] * 255 })
    #expect(withPNG["file"] as? String == "a.png")
    #expect(((typed["masks"] as? [Any])?[1] as? [String: Any])?["file"] == nil)
  }

  @Test("An answer of words has none of it, and a batch's line always has boxes")
  func plainAnswers() async throws {
    let answer = try await answer("a cat")
    #expect(answer.typedJSON().isEmpty)
    func body(_ answer: Answer) throws -> [String: Any] {
      let result = BatchResult(
        line: 1, customID: "x", imageNames: [], prompts: ["p"], model: nil,
        outcome: .success(answer))
      let response = try #require(try object(result.json)["response"] as? [String: Any])
      return try #require(response["body"] as? [String: Any])
    }
    #expect((try body(answer)["boxes"] as? [Any])?.isEmpty == true)
    let segmented = try body(try await self.answer(Self.text))
    #expect((segmented["boxes"] as? [Any])?.count == 4)
    #expect((segmented["masks"] as? [Any])?.count == 4 && segmented["malformed"] != nil)
  }

  @Test("Masks and reports reach a client as they are; a mask of another picture does not")
  func wire() async throws {
    let answer = try await answer(Self.text)
    let frames = try ServerMessage.reply(Reply(answer, tag: 7)).encode()
    guard case .reply(let reply) = try ServerMessage.decode(frames) else {
      Issue.record("no reply")
      return
    }
    #expect(try reply.answer.get() == answer)
    for mask in ["0", "7", "oooooooo", "000"] {
      var bad = reply
      bad.boxes[0].mask = mask
      #expect(throws: Failure.self) { try bad.answer.get() }
    }
    var other = reply
    other.images = [ImageSize(width: 20, height: 11)]
    #expect(throws: Failure.self) { try other.answer.get() }
    other.images = []
    #expect(throws: Failure.self) { try other.answer.get() }
  }

  @Test("Masks are files and are drawn, and a table tells their size")
  func pictures() async throws {
    let answer = try await answer(Self.text)
    let folder = try TemporaryFolder()
    let paths = try MaskFolder(path: folder.path("masks")).write(answer, name: "a b")
    #expect(paths.map { $0 == nil } == [false, false, true, false])
    let first = try #require(paths[0])
    #expect(first.hasSuffix("a_b-1.png"))
    let bytes = try Array(Data(contentsOf: URL(filePath: first)))
    #expect(bytes == (try answer.mask(of: answer.boxes[0])?.encodedPNG()))
    let image = EncodedImage(name: "a", bytes: try png())
    let annotations = try AnnotationFolder(path: folder.path("drawn"))
    func drawn(_ answer: Answer, _ name: String) throws -> Picture {
      let path = try annotations.write(answer, on: image, prompt: "p", name: name)
      return try Picture.decode(Array(Data(contentsOf: URL(filePath: path))))
    }
    let without = try await self.answer(Self.text, masks: false)
    #expect(try drawn(answer, "with").rgb != drawn(without, "without").rgb)
    let area = try #require(answer.mask(of: answer.boxes[0])).area
    let summary = AnswerTable.summary(answer)
    #expect(summary.hasPrefix("cat [0, 0, 20, 5] mask \(area) px; dog"))
    #expect(summary.hasSuffix("cow [0, 0, 20, 5] (and 1 repeated)"))
  }
}
