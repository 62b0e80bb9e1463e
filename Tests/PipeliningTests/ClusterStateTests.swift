import GoldenFixtures
import Messaging
import PaliGemma
import Testing

@testable import Pipelining

/// The coordinator's state alone: messages and a clock in, orders out.
@Suite struct ClusterStateTests {
  private func state(_ vision: Int = 1, _ shards: Int = 2) throws -> ClusterState {
    let config = try Golden("tiny-a").config
    let setup = ClusterSetup(
      template: try .even(visionCount: vision, shardCount: shards, config: config),
      modelDirectory: "/m", precision: "f32", resultsEndpoint: "ipc:///r", fingerprint: "f")
    return ClusterState(setup: setup, config: config, limits: Limits())
  }

  private func peer(_ index: Int) -> PeerIdentity { PeerIdentity([UInt8(index)]) }

  private func register(_ name: String) -> ControlMessage {
    .register(
      Register(
        name: name, host: "h", dataEndpoint: "ipc:///\(name)", instructionSet: "scalar",
        threads: 1, memoryBytes: 1, softwareVersion: "t"))
  }

  /// Brings a cluster of three workers up to ready.
  private func ready(_ state: inout ClusterState) throws {
    for index in 0..<3 {
      _ = state.handle(.message(peer(index), register("w\(index)")), now: 0)
    }
    try #require(state.phase == .loading)
    for index in 0..<3 {
      let message = Ready(epoch: 1, stage: index, loadMilliseconds: 1, weightBytes: 1)
      _ = state.handle(.message(peer(index), .ready(message)), now: 1)
    }
    try #require(state.phase == .probing)
    _ = state.handle(.probed(epoch: 1, nil), now: 2)
    try #require(state.phase == .ready)
  }

  @Test func workersAreAssignedWhenAllAreThere() throws {
    var state = try state()
    for index in 0..<2 {
      let effects = state.handle(.message(peer(index), register("w\(index)")), now: 0)
      #expect(!effects.contains { if case .send(.assign, _) = $0 { true } else { false } })
      #expect(state.phase == .gathering)
    }
    let effects = state.handle(.message(peer(2), register("w2")), now: 0)
    let assigned = effects.compactMap { effect -> (Int, PeerIdentity)? in
      if case .send(.assign(let assign), let peer) = effect { (assign.stage, peer) } else { nil }
    }
    #expect(assigned.map(\.0) == [0, 1, 2])
    #expect(assigned.map(\.1) == [peer(0), peer(1), peer(2)])
  }

  @Test func silenceEndsThePlanAndHeartbeatsKeepIt() throws {
    var state = try state()
    try ready(&state)
    let silence = Limits().silenceMilliseconds
    for time in stride(from: 0, through: 3 * silence, by: 500) {
      for index in 0..<3 {
        let effects = state.handle(
          .message(peer(index), .heartbeat(Heartbeat(epoch: 1))), now: time)
        #expect(effects == [.send(.heartbeatReply(HeartbeatReply(epoch: 1)), peer(index))])
      }
      #expect(state.handle(.tick, now: time).isEmpty)
    }
    // Worker 1 falls silent.
    let later = 4 * silence + 1
    for index in [0, 2] {
      _ = state.handle(.message(peer(index), .heartbeat(Heartbeat(epoch: 1))), now: later)
    }
    let effects = state.handle(.tick, now: later)
    let failures = effects.compactMap { if case .end(let failure) = $0 { failure } else { nil } }
    #expect(failures.map(\.code) == ["worker_lost"])
    #expect(failures.first?.message.contains("'w1'") == true)
    #expect(effects.contains(.send(.reset(epoch: 1), peer(0))))
    #expect(state.phase == .gathering)
    // A late message of the lost worker means nothing.
    #expect(state.handle(.message(peer(1), .heartbeat(Heartbeat(epoch: 1))), now: later).isEmpty)
  }

  @Test func aSpareTakesThePlaceUnderANewEpoch() throws {
    var state = try state()
    try ready(&state)
    _ = state.handle(.message(peer(3), register("spare")), now: 3)
    #expect(state.phase == .ready)
    let effects = state.handle(.message(peer(0), .goodbye), now: 4)
    let epochs = effects.compactMap { effect -> UInt64? in
      if case .send(.assign(let assign), _) = effect { assign.epoch } else { nil }
    }
    #expect(epochs == [2, 2, 2])
    #expect(state.phase == .loading)
    // Ready messages of the old epoch don't count.
    let old = Ready(epoch: 1, stage: 0, loadMilliseconds: 1, weightBytes: 1)
    for index in 1...3 { #expect(state.handle(.message(peer(index), .ready(old)), now: 5).isEmpty) }
    #expect(state.phase == .loading)
  }

  @Test func aFailedProbeAndAnEndlessOneEndThePlan() throws {
    var state = try state()
    try ready(&state)
    var probing = try self.state()
    for index in 0..<3 {
      _ = probing.handle(.message(peer(index), register("w\(index)")), now: 0)
    }
    for index in 0..<3 {
      let message = Ready(epoch: 1, stage: index, loadMilliseconds: 1, weightBytes: 1)
      _ = probing.handle(.message(peer(index), .ready(message)), now: 1)
    }
    var failed = probing
    let failure = Failure(code: "internal", message: "no")
    #expect(failed.handle(.probed(epoch: 1, failure), now: 2).contains(.end(failure)))
    let late = Limits().probeMilliseconds + 2
    for index in 0..<3 {
      _ = probing.handle(.message(peer(index), .heartbeat(Heartbeat(epoch: 1))), now: late)
    }
    let ended = probing.handle(.tick, now: late).contains {
      if case .end = $0 { true } else { false }
    }
    #expect(ended)
  }

  @Test func namedWorkersGoToTheirStages() throws {
    let config = try Golden("tiny-a").config
    let split = config.tokenEmbeddingIndex
    let template = try ClusterTemplate(
      stages: [
        .init(name: "vision", blocks: 0..<split),
        .init(name: "text", blocks: split..<config.blockCount, workerNames: ["big"]),
      ], config: config)
    #expect(template.filled(from: [(0, "small"), (1, "other")]) == nil)
    #expect(template.filled(from: [(0, "big"), (1, "other")]) == [[1], [0]])
  }
}
