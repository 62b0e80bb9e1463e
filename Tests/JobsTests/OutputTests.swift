import Messaging
import Testing

@testable import Jobs

@Suite struct OutputTests {
  @Test("Numbers and text are written the same way everywhere")
  func json() {
    let value = JSONText.object([
      "b": .decimal(-0.0000001, places: 6), "a": .decimal(1.005, places: 2),
      "c": .decimal(-.infinity, places: 6), "d": .decimal(.nan, places: 2),
      "e": .decimal(-1.25, places: 1), "f": .array([.null, .integer(-3)]),
      "g": .string("\"\\\n\u{1}\u{2028}é✓"), "h": .decimal(2.5, places: 6),
    ])
    #expect(
      value.line == #"{"a":1.0,"b":0.0,"c":-9999.0,"d":0.0,"e":-1.3,"f":[null,-3],"#
        + #""g":"\"\\\n\u0001\u2028é✓","h":2.5}"#)
  }

  @Test("Progress tells rate and time left")
  func progress() {
    var progress = BatchProgress()
    progress.bytesTotal = 400
    progress.bytesDone = 100
    progress.succeeded = 9
    progress.failed = 1
    progress.imageCount = 18
    progress.elapsed = .seconds(30)
    #expect(progress.text == "9 answered, 1 failed, about 30 left, 0.6 images/s, 1:30 to go")
    #expect(progress.bar(width: 8).hasPrefix("██░░░░░░  25 %  9 answered"))
    #expect(BatchProgress.clock(3723) == "1:02:03")
    #expect(BatchProgress().text == "0 answered, 0.0 images/s")
    #expect(BatchProgress().secondsLeft == nil)
  }

  @Test("The table aligns, wraps, keeps to its rows and defuses control characters")
  func table() {
    func result(_ name: String, _ text: String, _ boxes: [Box] = []) -> BatchResult {
      BatchResult(
        line: 1, customID: "id", imageNames: name.isEmpty ? [] : [name], prompts: ["p"], model: nil,
        outcome: .success(
          Answer(
            text: text, tokenIDs: [], finish: .stop, promptTokens: 0, completionTokens: 0,
            imageSizes: [], boxes: boxes)))
    }
    var table = AnswerTable(rowCountMaximum: 3)
    #expect(table.lines().isEmpty)
    table.add(result("a.png", "a red circle\u{1B}[2J on grass and more words to wrap here"))
    table.add(result("", "", [Box(label: "cat", x1: 1.4, y1: 2, x2: 1e300, y2: 4.5)]))
    table.add(result("long-name.png", "x"))
    table.add(result("left out", "y"))
    let lines = table.lines(width: 44)
    #expect(lines[0] == "picture        prompt  answer")
    #expect(lines[2] == "a.png          p       a red circle [2J on")
    #expect(lines[3] == "                       grass and more words to")
    #expect(lines.contains("id             p       cat [1, 2, 1000000, 5]"))
    #expect(lines.last == "… and 1 more in the output file")
    #expect(!lines.joined().contains("\u{1B}"))
  }
}
