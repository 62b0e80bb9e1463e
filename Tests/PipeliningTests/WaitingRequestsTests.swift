import Messaging
import Tensors
import Testing

@testable import Pipelining

/// Who goes first: interactive requests, then the jobs in turn.
@Suite struct WaitingRequestsTests {
  private func request(_ priority: Handling.Priority, _ job: String) -> PreparedRequest {
    PreparedRequest(
      pixels: Tensor(.u8, shape: [0]), textTokenIDs: [], sampling: Sampling(),
      handling: Handling(priority: priority, job: job))
  }

  private func drain(_ waiting: WaitingRequests) -> [UInt64] {
    var waiting = waiting
    var ids: [UInt64] = []
    while let first = waiting.first {
      ids.append(first.id)
      waiting.removeFirst()
    }
    return ids
  }

  @Test func jobsTakeTurnsAndInteractiveRequestsOvertake() {
    var waiting = WaitingRequests()
    for id in UInt64(1)...6 { waiting.append(request(.batch, "large"), id: id) }
    for id in UInt64(11)...12 { waiting.append(request(.batch, "small"), id: id) }
    waiting.append(request(.interactive, ""), id: 20)
    waiting.append(request(.batch, "late"), id: 30)
    #expect(waiting.count == 10)
    #expect(waiting.count(.interactive) == 1)
    #expect(Set(waiting.ids) == [1, 2, 3, 4, 5, 6, 11, 12, 20, 30])
    #expect(drain(waiting) == [20, 1, 11, 30, 2, 12, 3, 4, 5, 6])
  }

  @Test func aServedJobGoesBehindTheOthers() {
    var waiting = WaitingRequests()
    waiting.append(request(.batch, "a"), id: 1)
    waiting.append(request(.batch, "a"), id: 2)
    waiting.append(request(.batch, "b"), id: 3)
    waiting.removeFirst()
    waiting.append(request(.batch, "c"), id: 4)
    #expect(drain(waiting) == [3, 2, 4])
  }

  @Test func removalLeavesNoEmptyJob() {
    var waiting = WaitingRequests()
    waiting.append(request(.batch, "a"), id: 1)
    waiting.append(request(.batch, "b"), id: 2)
    waiting.append(request(.interactive, "c"), id: 3)
    waiting.remove(1)
    waiting.remove(3)
    waiting.remove(99)
    #expect(waiting.count == 1)
    #expect(drain(waiting) == [2])
  }
}
