import Messaging
import Tensors
import Testing

@testable import Pipelining

/// The form of detections: which tokens may come, and when an answer goes round.
///
/// A small vocabulary: 0 pad, 1 end, 2 begin, 3 " ;", 4 " ", 5…9 words, 10…1033 `<loc>`,
/// 1034…1161 `<seg>`, 1162 and on nothing.
@Suite struct AnswerFormTests {
  private static let end: Int32 = 1
  private static let semicolon: Int32 = 3
  private static let blank: Int32 = 4
  private static let cat: Int32 = 5
  private static let dog: Int32 = 6
  private static let vocabulary = 1170
  private static let tokens = CoordinateTokens(
    firstLocation: 10, firstSegment: 1034, separators: [semicolon], blanks: [blank],
    forbidden: [0, 2], vocabularyCount: 1162)

  private func form(_ grammar: Grammar?, stopsRepetition: Bool = true) throws -> AnswerForm {
    try #require(
      AnswerForm(
        Sampling(
          stopTokenIDs: [Self.end], grammar: grammar, stopsRepetition: stopsRepetition,
          coordinates: Self.tokens)))
  }

  private func allowed(_ form: AnswerForm) -> Set<Int32> {
    let logits = Tensor([Float](repeating: 1, count: Self.vocabulary), shape: [1, Self.vocabulary])
    form.mask(logits)
    return Set(logits.floats.indices.filter { logits.floats[$0] == 1 }.map { Int32($0) })
  }

  private func locations(_ values: Int32...) -> [Int32] { values.map { 10 + $0 } }
  private static let allLocations = Set<Int32>(10..<1034)
  private static let allSegments = Set<Int32>(1034..<1162)

  @Test func boxesKeepTheirForm() throws {
    var form = try form(.detect)
    #expect(allowed(form) == Self.allLocations.union([Self.end]))
    for location in locations(1, 2, 3) {
      _ = form.advance(location)
      #expect(allowed(form) == Self.allLocations)
    }
    _ = form.advance(locations(4)[0])
    // A label: words and spaces, and no end before the first word.
    #expect(allowed(form) == [4, 5, 6, 7, 8, 9])
    _ = form.advance(Self.blank)
    #expect(allowed(form) == [4, 5, 6, 7, 8, 9])
    _ = form.advance(Self.cat)
    #expect(allowed(form) == [1, 3, 4, 5, 6, 7, 8, 9])
    _ = form.advance(Self.semicolon)
    #expect(allowed(form) == Self.allLocations.union([Self.blank]))
    _ = form.advance(Self.blank)
    #expect(allowed(form) == Self.allLocations)
  }

  @Test func masksHaveSixteenSegments() throws {
    var form = try form(.segment)
    for location in locations(1, 2, 3, 4) { _ = form.advance(location) }
    for segment in Int32(0)..<16 {
      #expect(allowed(form) == Self.allSegments)
      _ = form.advance(1034 + segment)
    }
    #expect(allowed(form) == [4, 5, 6, 7, 8, 9])
  }

  @Test func withoutGrammarNothingIsTakenAway() throws {
    #expect(allowed(try form(nil)).count == Self.vocabulary)
    let nothing = AnswerForm(Sampling(stopsRepetition: false, coordinates: Self.tokens))
    #expect(nothing == nil)
    #expect(AnswerForm(Sampling(grammar: .detect)) == nil)
  }

  /// How many tokens of `answer` are taken before it is found to go round.
  private func tokensTaken(_ answer: [Int32], _ form: AnswerForm) -> Int? {
    var form = form
    return answer.firstIndex { form.advance($0) }.map { $0 + 1 }
  }

  private func box(_ first: Int32, _ label: Int32 = cat) -> [Int32] {
    locations(first, 2, 3, 4) + [label, Self.semicolon, Self.blank]
  }

  @Test func aRoundOfBoxesIsFound() throws {
    let one = Array(repeating: box(1), count: 9).flatMap { $0 }
    // The fourth time is the third repeat; it ends with the separator.
    #expect(tokensTaken(one, try form(nil)) == 3 * 7 + 6)
    let three = Array(repeating: box(1) + box(2) + box(3), count: 4).flatMap { $0 }
    #expect(tokensTaken(three, try form(.detect)) == 5 * 7 + 6)
    let unseparated = Array(repeating: locations(1, 2, 3, 4) + [Self.cat], count: 9)
      .flatMap { $0 }
    #expect(tokensTaken(unseparated, try form(nil)) == 4 * 5 + 1)
    let unlabelled = Array(repeating: locations(1, 2, 3, 4), count: 9).flatMap { $0 }
    #expect(tokensTaken(unlabelled, try form(nil)) == 4 * 4 + 1)
    #expect(tokensTaken(one, try form(.detect, stopsRepetition: false)) == nil)
  }

  @Test func whatDiffersIsNoRound() throws {
    let moved = (Int32(0)..<50).flatMap { box($0) }
    #expect(tokensTaken(moved, try form(nil)) == nil)
    let labels = box(1) + box(1, Self.dog) + box(1) + box(9) + box(1) + box(9) + box(8)
    #expect(tokensTaken(labels, try form(nil)) == nil)
    let words = Array(repeating: [Self.cat, Self.semicolon, Self.blank], count: 20).flatMap { $0 }
    #expect(tokensTaken(words, try form(nil)) == nil)
  }
}
