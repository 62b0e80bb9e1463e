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

  private func register(_ name: String, memory: Int = 1 << 40) -> ControlMessage {
    .register(
      Register(
        name: name, host: "h", dataEndpoint: "ipc:///\(name)", instructionSet: "scalar",
        threads: 1, memoryBytes: memory, softwareVersion: "t"))
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

  private func assigned(_ effects: [ClusterState.Effect]) -> [(peer: PeerIdentity, assign: Assign)]
  {
    effects.compactMap { effect in
      if case .send(.assign(let assign), let peer) = effect { (peer, assign) } else { nil }
    }
  }

  private func beat(_ state: inout ClusterState, _ indices: [Int], _ epoch: UInt64, now: Int) {
    for index in indices {
      let effects = state.handle(
        .message(peer(index), .heartbeat(Heartbeat(epoch: epoch))), now: now)
      #expect(effects == [.send(.heartbeatReply(HeartbeatReply(epoch: epoch)), peer(index))])
    }
    for worker in indices {
      _ = state.handle(.pulse(Pulse(epoch: epoch, worker: worker)), now: now)
    }
  }

  @Test func silenceIsFoundWithinThreeSecondsAndHeartbeatsKeepAPlan() throws {
    var state = try state()
    try ready(&state)
    let silence = Limits().silenceMilliseconds
    #expect(silence + Limits().heartbeatMilliseconds <= 3000)
    for time in stride(from: 0, through: 3 * silence, by: 500) {
      beat(&state, [0, 1, 2], 1, now: time)
      #expect(state.handle(.tick, now: time).isEmpty)
    }
    // Worker 1 falls silent: those left take its stage under a new epoch.
    let later = 4 * silence + 1
    beat(&state, [0, 2], 1, now: later)
    let effects = state.handle(.tick, now: later)
    #expect(effects.contains(.suspend(isDeath: true)))
    #expect(state.message.contains("'w1' hangs"), "\(state.message)")
    #expect(assigned(effects).map(\.peer) == [peer(0), peer(2)])
    #expect(assigned(effects).allSatisfy { $0.assign.epoch == 2 && $0.assign.keptEpoch == 0 })
    #expect(state.phase == .loading)
    // The lost worker, when it comes back, is asked to introduce itself.
    #expect(
      state.handle(.message(peer(1), .heartbeat(Heartbeat(epoch: 1))), now: later)
        == [.send(.registerAgain, peer(1))])
  }

  /// A supervisor starts a worker again before its silence is noticed: that it died counts all the same.
  @Test func anotherProcessAtAWorkersAddressMeansItIsDead() throws {
    var state = try state()
    try ready(&state)
    let effects = state.handle(.message(peer(9), register("w1")), now: 100)
    #expect(effects.contains(.suspend(isDeath: true)))
    #expect(assigned(effects).map(\.peer) == [peer(0), peer(9), peer(2)])
    // The same process once more has only lost its line.
    var other = try self.state()
    try ready(&other)
    #expect(
      other.handle(.message(peer(1), register("w1", memory: 1)), now: 100)
        .contains(.suspend(isDeath: false)))
  }

  /// The coordinator's own cable: nobody is given stages that he won't hear of.
  @Test func allFallingSilentMakesNoPlans() throws {
    var state = try state()
    try ready(&state)
    for (index, time) in [1000, 1200, 1400].enumerated() { beat(&state, [index], 1, now: time) }
    var effects: [ClusterState.Effect] = []
    for time in stride(from: 1500, through: 6000, by: 250) {
      effects += state.handle(.tick, now: time)
    }
    #expect(effects.count { if case .suspend = $0 { true } else { false } } == 1)
    #expect(assigned(effects).isEmpty)
    #expect(state.phase == .gathering)
  }

  /// Ctrl-Z at the coordinator, or its machine asleep: nobody is taken for dead when it goes on.
  @Test func aCoordinatorThatStoodStillBlamesNobody() throws {
    var state = try state()
    try ready(&state)
    beat(&state, [0, 1, 2], 1, now: 1000)
    var blaming = state
    #expect(blaming.handle(.tick, now: 61_000).contains(.suspend(isDeath: true)))
    #expect(state.handle(.stoodStill(60_000), now: 61_000).isEmpty)
    #expect(state.handle(.tick, now: 61_000).isEmpty)
    #expect(state.phase == .ready)
    // Who says nothing from then on is found out as ever.
    beat(&state, [0, 2], 1, now: 64_000)
    #expect(state.handle(.tick, now: 64_000).contains(.suspend(isDeath: true)))
  }

  /// Weights that come slowly from the coordinator are a sign of life; weights that don't come are none.
  @Test func fetchingWorkersMayTakeTheirTimeAsLongAsSomethingComes() throws {
    var state = try state()
    for index in 0..<3 {
      _ = state.handle(.message(peer(index), register("w\(index)")), now: 0)
    }
    func beat(_ index: Int, _ done: Int, now: Int) {
      var gauges = Gauges()
      (gauges.fetchedBytes, gauges.fetchBytes) = (done, done > 0 ? 1000 : 0)
      _ = state.handle(
        .message(peer(index), .heartbeat(Heartbeat(epoch: 0, gauges: gauges))), now: now)
    }
    for index in [0, 1] {
      let message = Ready(epoch: 1, stage: index, loadMilliseconds: 1, weightBytes: 1)
      _ = state.handle(.message(peer(index), .ready(message)), now: 1)
    }
    let limit = Limits().loadMilliseconds
    var (now, done) = (0, 0)
    // Three times the time that loading may take, a little of the weights each minute.
    while now < 3 * limit {
      now += 500
      if now % 60_000 == 0 { done += 10 }
      for index in 0..<3 { beat(index, index == 2 ? done : 0, now: now) }
      #expect(
        !state.handle(.tick, now: now).contains { if case .report = $0 { true } else { false } })
    }
    #expect(state.phase == .loading)
    #expect(
      state.status.message.hasSuffix("; fetching: w2 \(done / 10) %"), "\(state.status.message)")
    var lost = false
    let start = now
    while !lost, now < start + 2 * limit {
      now += 500
      for index in 0..<3 { beat(index, index == 2 ? done : 0, now: now) }
      lost = state.handle(.tick, now: now).contains {
        if case .report(.workerLost("w2", _)) = $0 { true } else { false }
      }
    }
    #expect(lost)
    #expect((limit - 60_000...limit + 1000).contains(now - start), "\(now - start)")
  }

  @Test func aClosedConnectionIsADeadWorkerSooner() throws {
    var state = try state()
    try ready(&state)
    beat(&state, [0, 1, 2], 1, now: 1000)
    beat(&state, [0, 2], 1, now: 1800)
    // Silent for a heartbeat and a half: is its connection still there?
    let poke = state.handle(.tick, now: 1800)
    #expect(poke == [.send(.heartbeatReply(HeartbeatReply(epoch: 1)), peer(1))])
    _ = state.handle(.unreachable(peer(1)), now: 1800)
    beat(&state, [0, 2], 1, now: 2300)
    let effects = state.handle(.tick, now: 2300)
    #expect(effects.contains(.suspend(isDeath: true)))
    #expect(state.message.contains("'w1' is dead"), "\(state.message)")
  }

  @Test func aVisionWorkerIsReplacedAndCachesStay() throws {
    var state = try state()
    try ready(&state)
    _ = state.handle(.message(peer(3), register("spare")), now: 3)
    let effects = state.handle(.message(peer(0), .goodbye), now: 4)
    #expect(effects.contains(.suspend(isDeath: false)))
    // The spare's stage begins empty, the others go on from what they have.
    #expect(assigned(effects).map(\.peer) == [peer(3), peer(1), peer(2)])
    #expect(assigned(effects).map(\.assign.keptEpoch) == [0, 1, 1])
  }

  @Test func aSlowWorkerGivesItsPlaceToASpare() throws {
    var state = try state()
    try ready(&state)
    _ = state.handle(.message(peer(3), register("spare")), now: 3)
    func spans(_ milliseconds: UInt64) -> ControlMessage {
      var heartbeat = Heartbeat(epoch: 1)
      for sequence in 0..<4 {
        var span = TraceSpan(
          sequence: UInt64(sequence), stage: 1, phase: .decode, requestCount: 1, rowCount: 1,
          startNanoseconds: 1)
        span.busyNanoseconds = milliseconds * 1_000_000
        heartbeat.spans.append(span)
      }
      return .heartbeat(heartbeat)
    }
    for time in 1...20 {
      for index in 0..<4 { _ = state.handle(.message(peer(index), spans(5)), now: 500 * time) }
    }
    var effects: [ClusterState.Effect] = []
    for time in 21...23 where assigned(effects).isEmpty {
      for index in [0, 2, 3] { _ = state.handle(.message(peer(index), spans(5)), now: 500 * time) }
      effects += state.handle(.message(peer(1), spans(60)), now: 500 * time)
    }
    #expect(assigned(effects).map(\.peer) == [peer(0), peer(3), peer(2)])
    #expect(state.message.contains("'w1' is slow"), "\(state.message)")
    // It lives, and is a spare once it has rested.
    #expect(state.worker(peer(1)) != nil)
  }

  @Test func aMicroBatchHasItsTime() throws {
    var state = try state()
    try ready(&state)
    var stuck = Heartbeat(epoch: 1)
    (stuck.busySequence, stuck.busyMilliseconds) = (3, Limits().probeMilliseconds + 1)
    #expect(
      state.handle(.message(peer(1), .heartbeat(stuck)), now: 9)
        .contains(.suspend(isDeath: false)))
    #expect(state.message.contains("'w1' is slow: one micro-batch"), "\(state.message)")
  }

  @Test func aCutLinkIsTheReceiversLoss() throws {
    var state = try state()
    try ready(&state)
    beat(&state, [0, 1, 2], 1, now: 2500)
    var deaf = Heartbeat(epoch: 1)
    deaf.silentWorkers = [1]
    let effects = state.handle(.message(peer(2), .heartbeat(deaf)), now: 2600)
    #expect(effects.contains(.suspend(isDeath: false)))
    #expect(state.message.contains("'w2' is cut off: worker w1"), "\(state.message)")
    #expect(assigned(effects).map(\.peer) == [peer(0), peer(1)])
  }

  @Test func whatIsLostOnTheWayBeginsThePlanAnewWithItsCaches() throws {
    var state = try state()
    try ready(&state)
    _ = state.handle(.moved, now: 1000)
    state.hasWork = true
    beat(&state, [0, 1, 2], 1, now: 2400)
    #expect(state.handle(.tick, now: 2400).isEmpty)
    beat(&state, [0, 1, 2], 1, now: 2600)
    let effects = state.handle(.tick, now: 2600)
    #expect(effects.contains(.suspend(isDeath: false)))
    #expect(assigned(effects).map(\.assign.keptEpoch) == [1, 1, 1])
  }

  @Test func aWorkerThatDiesAgainAndAgainRests() throws {
    var strikes = WorkerStrikes()
    let limits = Limits()
    strikes.add(now: 0, limits: limits)
    #expect(strikes.until == 0)
    strikes.add(now: 10, limits: limits)
    #expect(strikes.until == 10 + limits.backoffMilliseconds)
    for _ in 0..<40 { strikes.add(now: 20, limits: limits) }
    #expect(strikes.until == 20 + limits.backoffMillisecondsMaximum)
    strikes.add(now: 21 + limits.strikeMilliseconds, limits: limits)
    #expect(strikes.count == 1)
  }

  @Test func aModelThatDoesNotFitThoseLeftSaysSo() throws {
    var state = try state(1, 1)
    for index in 0..<2 {
      _ = state.handle(.message(peer(index), register("w\(index)", memory: 1000)), now: 0)
      _ = state.handle(
        .message(
          peer(index), .ready(Ready(epoch: 1, stage: index, loadMilliseconds: 1, weightBytes: 1))),
        now: 1)
    }
    for index in 0..<2 {
      let ready = Ready(epoch: 1, stage: index, loadMilliseconds: 1, weightBytes: 1)
      _ = state.handle(.message(peer(index), .ready(ready)), now: 1)
    }
    _ = state.handle(.probed(epoch: 1, nil), now: 2)
    try #require(state.phase == .ready)
    let effects = state.handle(.message(peer(0), .goodbye), now: 3)
    #expect(assigned(effects).isEmpty)
    #expect(state.message.contains("does not fit the 1 workers left"), "\(state.message)")
    #expect(state.message.contains("MiB of weights and caches"), "\(state.message)")
  }

  @Test func whoComesBackTakesPartAgainWhenItPays() throws {
    var state = try state()
    try ready(&state)
    let effects = state.handle(.message(peer(2), .goodbye), now: 10)
    #expect(assigned(effects).count == 2)
    for index in 0..<2 {
      let stage = assigned(effects).first { $0.peer == peer(index) }?.assign.stage ?? 0
      let ready = Ready(epoch: 2, stage: stage, loadMilliseconds: 1, weightBytes: 1)
      _ = state.handle(.message(peer(index), .ready(ready)), now: 11)
    }
    _ = state.handle(.probed(epoch: 2, nil), now: 12)
    try #require(state.phase == .ready)
    _ = state.handle(.message(peer(3), register("new")), now: 13)
    #expect(state.handle(.tick, now: 600).isEmpty)
    beat(&state, [0, 1], 2, now: 2000)
    _ = state.handle(.message(peer(3), .heartbeat(Heartbeat(epoch: 0))), now: 2000)
    #expect(assigned(state.handle(.tick, now: 2100)).map(\.assign.epoch) == [3, 3, 3])
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
    #expect(
      failed.handle(.probed(epoch: 1, failure), now: 2).contains(.suspend(isDeath: false)))
    let late = Limits().stallMilliseconds + 3
    for index in 0..<3 {
      _ = probing.handle(.message(peer(index), .heartbeat(Heartbeat(epoch: 1))), now: late)
    }
    #expect(probing.handle(.tick, now: late).contains(.suspend(isDeath: false)))
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
