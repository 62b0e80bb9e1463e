import Messaging
import Testing

@testable import Pipelining

/// Which tokens start a decode step.
@Suite struct DecodeGroupsTests {
  private func prefill(_ sequence: UInt64, recorded: [Int32] = []) -> MicroBatch {
    MicroBatch(
      epoch: 1, sequence: sequence, stage: 0, route: [0],
      segments: [
        Segment(request: 7, phase: .prefill, position: 0, rowCount: 5, recorded: recorded)
      ])
  }

  private func token(_ sequence: UInt64, _ token: Int32, index: Int = 0) -> TokenBatch {
    TokenBatch(
      epoch: 1, sequence: sequence,
      results: [TokenResult(request: 7, index: index, tokenID: token)])
  }

  @Test func aStaleWaitingTokenIsIgnored() {
    var groups = DecodeGroups(epoch: 1, stage: 0, stageCount: 2)
    groups.admit(prefill(1))
    groups.receive(token(1, 42))
    #expect(groups.waitingCount == 1)
    // It starts anew: what waited belongs to the first beginning,
    groups.admit(prefill(2))
    #expect(groups.waitingCount == 0 && groups.next() == nil)
    // and so does what still comes of it, told once or twice.
    groups.receive(token(1, 42))
    groups.receive(token(1, 42))
    #expect(groups.waitingCount == 0)
    groups.receive(token(2, 43))
    groups.receive(token(2, 43))
    let step = groups.next()
    #expect(step?.segments.map(\.tokenIDs) == [[43]])
    #expect(step?.segments.map(\.position) == [5])
    #expect(groups.next() == nil)
  }

  /// Tokens that come back one by one while steps are under way meet and go on together: else each would
  /// go round by itself for ever.
  @Test func tokensMeetWhileStepsAreUnderWay() {
    var groups = DecodeGroups(epoch: 1, stage: 0, stageCount: 2)
    let most = DecodeGroups.stepsUnderWay(stageCount: 2)
    for id in UInt64(1)...12 {
      groups.admit(
        MicroBatch(
          epoch: 1, sequence: id, stage: 0, route: [0],
          segments: [Segment(request: id, phase: .prefill, position: 0, rowCount: 5)]))
    }
    func answer(_ sequence: UInt64, _ requests: [UInt64], index: Int) -> TokenBatch {
      TokenBatch(
        epoch: 1, sequence: sequence,
        results: requests.map { TokenResult(request: $0, index: index, tokenID: 5) })
    }
    var steps: [MicroBatch] = []
    for id in UInt64(1)...12 {
      groups.receive(answer(id, [id], index: 0))
      if let step = groups.next() { steps.append(step) }
    }
    #expect(steps.map(\.segments.count) == Array(repeating: 1, count: most))
    // It isn't idle for want of anybody but those that are to come back.
    #expect(groups.waitingCount == 0 && !groups.hasTokens && groups.next() == nil)
    groups.receive(answer(steps[0].sequence, [1], index: 1))
    #expect(groups.waitingCount == 12 - most + 1)
    #expect(groups.next()?.segments.count == 6)
    #expect(groups.next() == nil)
    // What ended is released all the same.
    groups.cancel([12])
    #expect(groups.next()?.released == [12])
  }

  @Test func aTokenOfAnotherPlaceIsIgnored() {
    var groups = DecodeGroups(epoch: 1, stage: 0, stageCount: 2)
    groups.admit(prefill(1))
    groups.receive(token(1, 42, index: 1))
    #expect(groups.waitingCount == 0)
    groups.receive(token(1, 42))
    #expect(groups.next()?.segments.count == 1)
    // The answer to the prefill once more, when a decode step is under way.
    groups.receive(token(1, 42))
    #expect(groups.waitingCount == 0)
  }
}
