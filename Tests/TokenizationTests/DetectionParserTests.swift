import Foundation
import Testing

@testable import Tokenization

@Suite struct DetectionParserTests {
  private static let box = "<loc0100><loc0200><loc0300><loc0400>"
  private static let mask = (0..<16).map { String(format: "<seg%03d>", $0 * 8) }.joined()

  @Test func oneBox() throws {
    let found = try #require(DetectionParser.parse(text: Self.box + " cat"))
    let expected = DetectedBox(
      label: "cat",
      yxyx: [100, 200, 300, 400],
      segments: nil,
      isRepeat: false
    )
    #expect(found.boxes == [expected] && found.malformed.isEmpty)
  }

  @Test(arguments: [
    ("\(box) cat ; \(box) dog", ["cat", "dog"]),
    ("\(box)cat;\(box)dog;", ["cat", "dog;"]),
    ("  \(box)  cat  ;  \(box)  dog  ; ", ["cat", "dog"]),
    ("\(box) cat\(box) dog", ["cat", "dog"]),
    ("\(box) cat\n\(box) dog\n", ["cat", "dog"]),
    ("\(box) ; \(box)", ["", ""]),
    ("\(box)", [""]),
    ("<loc0100> <loc0200>  <loc0300>\n<loc0400> cat", ["cat"]),
    ("\(box) red;green car ; \(box) a&b <x> (é) 🐈", ["red;green car", "a&b <x> (é) 🐈"]),
    ("\(box) <loc1024> <loc> <seg128>", ["<loc1024> <loc> <seg128>"]),
    ("\(box) ;", [""]),
    ("\(box) \(mask) wall ; \(box)\(mask) wall 2", ["wall", "wall 2"]),
  ])
  func wellFormedAnswers(_ text: String, _ labels: [String]) throws {
    let found = try #require(DetectionParser.parse(text: text))
    #expect(found.boxes.map(\.label) == labels)
    #expect(found.boxes.allSatisfy { $0.yxyx == [100, 200, 300, 400] })
    #expect(found.malformed.isEmpty)
  }

  @Test func segmentsAreKept() throws {
    let found = try #require(DetectionParser.parse(text: Self.box + Self.mask + " cat"))
    #expect(found.boxes.first?.segments == (0..<16).map { $0 * 8 })
  }

  @Test(arguments: [
    ("<loc0001><loc0002><loc0003> cat", MalformedPart.Reason.locationCount(3), 0),
    ("<loc0001>", .locationCount(1), 0),
    ("\(box)<loc0001> cat", .locationCount(5), 0),
    ("\(box)\(box) cat", .locationCount(8), 0),
    ("\(box)<seg001> cat", .segmentCount(1), 1),
    ("\(box)\(mask)<seg001> cat", .segmentCount(17), 1),
    ("\(mask) cat ; \(box) dog", .segmentsWithoutBox, 1),
    ("I see \(box) dog", .textWithoutBox, 1),
    ("\(box) dog ; cat", .textWithoutBox, 1),
  ])
  func malformedPartsAreReported(
    _ text: String,
    _ reason: MalformedPart.Reason,
    _ boxCount: Int
  ) throws {
    let found = try #require(DetectionParser.parse(text: text))
    #expect(found.malformed.map(\.reason) == [reason])
    #expect(found.boxes.count == boxCount)
    #expect(found.malformed.first?.text.isEmpty == false)
  }

  @Test func oneBadBoxLeavesTheOthers() throws {
    let text = "\(Self.box) cat ; <loc0001><loc0002> dog ; \(Self.box) bird"
    let found = try #require(DetectionParser.parse(text: text))
    #expect(found.boxes.map(\.label) == ["cat", "bird"])
    #expect(
      found.malformed == [MalformedPart(reason: .locationCount(2), text: "<loc0001><loc0002> dog")]
    )
  }

  @Test(arguments: [
    "", "a cat", "<seg001>", "<loc1024>", "<loc00>", "<loc0001", "loc0001>", "<loc٠٠٠١>",
  ])
  func answersWithoutLocationsAreNoDetections(_ text: String) {
    #expect(DetectionParser.parse(text: text) == nil)
  }

  @Test func repeatsAreFlagged() throws {
    let text = "\(Self.box) cat ; \(Self.box) dog ; \(Self.box) cat ;\(Self.box)cat"
    let found = try #require(DetectionParser.parse(text: text))
    #expect(found.boxes.map(\.isRepeat) == [false, false, true, true])
  }

  @Test func pixelsAreOrderedAndInside() {
    func pixels(_ yxyx: [Int], _ width: Int, _ height: Int) -> PixelBox {
      DetectedBox(label: "", yxyx: yxyx, segments: nil, isRepeat: false)
        .xyxy(width: width, height: height)
    }
    let box = pixels([256, 512, 768, 1023], 2048, 1024)
    #expect(box == PixelBox(x1: 1024, y1: 256, x2: 2046, y2: 768))
    #expect(pixels([768, 1023, 256, 512], 2048, 1024) == box)
    #expect(pixels([0, 0, 2000, 2000], 10, 20) == PixelBox(x1: 0, y1: 0, x2: 10, y2: 20))
    #expect(pixels([5, 5, 5, 9], 100, 100).isEmpty && !box.isEmpty)
    #expect(pixels([1, 2, 3, 4], -5, 0) == PixelBox(x1: 0, y1: 0, x2: 0, y2: 0))
    #expect(pixels([], 5, 5).isEmpty)
  }

  @Test func idsTellTokensFromTheirSpelling() throws {
    let tokenizer = try Fixture.tokenizer()
    let box = try tokenizer.encode(Self.box)
    let pieces = try ["<loc", "0001", ">"].flatMap { try tokenizer.encode($0) }
    let end = tokenizer.eosTokenIDs
    let found = try #require(
      DetectionParser.parse(ids: box + pieces + end, tokenizer: tokenizer)
    )
    #expect(found.boxes.map(\.label) == ["<loc0001>"] && found.malformed.isEmpty)
    #expect(DetectionParser.parse(ids: pieces, tokenizer: tokenizer) == nil)
  }

  @Test func randomAnswersNeverCrashAndStayInRange() throws {
    let tokenizer = try Fixture.tokenizer()
    let parts = [
      Self.box, Self.mask, "<loc0000>", "<loc1023>", "<loc1024>", "<loc", ">", "<seg000>",
      "<seg127>", " ", " ; ", ";", "\n", "cat", "é", "🐈", "\u{301}", "<eos>", "\u{0}", "\u{2028}",
    ]
    var generator = SeededGenerator(state: 4)
    var boxCount = 0
    for _ in 0..<1500 {
      let count = Int.random(in: 0..<16, using: &generator)
      let text = (0..<count).map { _ in parts.randomElement(using: &generator) ?? "" }.joined()
      let byText = DetectionParser.parse(text: text)
      let byIDs = DetectionParser.parse(ids: try tokenizer.encode(text), tokenizer: tokenizer)
      #expect(byText == byIDs, "\(text.debugDescription)")
      for box in byText?.boxes ?? [] {
        #expect(box.yxyx.count == 4 && box.yxyx.allSatisfy((0...1023).contains))
        #expect(box.segments.map { $0.count == 16 && $0.allSatisfy((0...127).contains) } ?? true)
        let pixels = box.xyxy(width: 640, height: 480)
        #expect(0 <= pixels.x1 && pixels.x1 <= pixels.x2 && pixels.x2 <= 640)
        #expect(0 <= pixels.y1 && pixels.y1 <= pixels.y2 && pixels.y2 <= 480)
        boxCount += 1
      }
      // Every <loc> token is in a box or in a reported part.
      let locations = AnswerPart.parts(of: text).filter { $0.location != nil }.count
      let reported = (byText?.malformed ?? []).map { part in
        if case .locationCount(let count) = part.reason { count } else { 0 }
      }
      #expect(locations == (byText?.boxes.count ?? 0) * 4 + reported.reduce(0, +))
    }
    #expect(boxCount > 300)
  }

  @Test func longAnswersTakeLinearTime() throws {
    let text = String(repeating: Self.box + " ; ; cat ;", count: 4000)
    let found = try #require(DetectionParser.parse(text: text))
    #expect(found.boxes.count == 4000)
  }
}
