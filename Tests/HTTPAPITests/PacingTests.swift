import Jobs
import Messaging
import Testing

@testable import HTTPAPI

/// What many streams at once join, and what they never hold back.
@Suite struct PacingTests {
  private static let answer = Answer(
    text: "abc", tokenIDs: [1, 2, 3], finish: .stop, promptTokens: 4, completionTokens: 4,
    imageSizes: [])

  /// The pieces that come out of a stream that gets a, b and c at once, and then its end.
  private func batches(streams: Int) async throws -> [[String]] {
    let pacer = StreamPacer()
    for _ in 1..<streams { pacer.open() }
    let (events, sink) = AsyncThrowingStream<[AnswerEvent], any Error>.makeStream()
    let paced = PacedEvents(pacer, into: sink)
    for text in ["a", "b", "c"] { paced.add(AnswerDelta(text: text, tokens: []), to: 0) }
    paced.finish(0, Self.answer)
    paced.end()
    var batches: [[String]] = []
    for try await batch in events {
      batches.append(
        batch.map {
          switch $0 {
          case .delta(_, let delta): delta.text
          case .finished: "end"
          }
        })
    }
    return batches
  }

  @Test func fewStreamsHearEveryPieceAtOnce() async throws {
    #expect(try await batches(streams: 8) == [["a"], ["b"], ["c"], ["end"]])
  }

  @Test func manyStreamsJoinWhatFollowsTheFirstPiece() async throws {
    // In one go with the end: a busy machine may let the pause pass between two pieces, never lose one.
    let batches = try await batches(streams: 200)
    #expect(batches.first == ["a"])
    #expect(batches.last?.last == "end")
    #expect(batches.joined().joined() == "abcend")
    #expect(batches.count < 4)
  }

  @Test func whatIsHeldComesWithoutAnEnd() async throws {
    let pacer = StreamPacer()
    for _ in 1..<200 { pacer.open() }
    let (events, sink) = AsyncThrowingStream<[AnswerEvent], any Error>.makeStream()
    let paced = PacedEvents(pacer, into: sink)
    for text in ["a", "b"] { paced.add(AnswerDelta(text: text, tokens: []), to: 1) }
    var texts = ""
    for try await batch in events {
      for case .delta(1, let delta) in batch { texts += delta.text }
      if texts == "ab" { break }
    }
    withExtendedLifetime(paced) {}
  }

  @Test func thePauseGrowsWithTheStreamsUpToItsBound() {
    let pacer = StreamPacer()
    #expect(pacer.pause == nil)
    for _ in 0..<100 { pacer.open() }
    #expect(pacer.pause == .milliseconds(50))
    for _ in 0..<900 { pacer.open() }
    #expect(pacer.pause == StreamPacer.longestPause)
    for _ in 0..<1000 { pacer.close() }
    #expect(pacer.pause == nil)
  }
}
