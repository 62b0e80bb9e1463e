import Messaging
import Testing

@testable import palisade

@Suite struct StageShareTests {
  private func status(_ busy: [(name: String, worker: Int, nanoseconds: UInt64)]) -> Status {
    var status = Status(state: "ready", message: "")
    status.stages = busy.map {
      var row = StageStatus(
        name: $0.name, blocks: 0..<1, worker: "w\($0.worker)", workerIndex: $0.worker)
      row.counters.busyNanoseconds = $0.nanoseconds
      return row
    }
    return status
  }

  @Test func onlyTheTimeOfTheBatchCounts() {
    let first = status([("vision", 0, 5_000_000_000), ("shard 1", 1, 9_000_000_000)])
    let last = status([("vision", 0, 6_000_000_000), ("shard 1", 1, 500_000_000)])
    // The shard began anew in between: what it did since is all that is known.
    #expect(
      StageShare.between(first, last, elapsed: .seconds(2)) == [
        StageShare(stage: "vision", worker: "w0", share: 0.5),
        StageShare(stage: "shard 1", worker: "w1", share: 0.25),
      ])
  }

  @Test func aWorkerThatCameMeanwhileIsCountedFromItsStart() {
    let last = status([("vision", 3, 3_000_000_000)])
    #expect(
      StageShare.between(status([]), last, elapsed: .seconds(2)) == [
        StageShare(stage: "vision", worker: "w3", share: 1)
      ])
    #expect(StageShare.between(nil, last, elapsed: .zero).isEmpty)
  }
}
