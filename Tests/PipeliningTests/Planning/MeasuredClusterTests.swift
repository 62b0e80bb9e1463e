import Foundation
import GoldenFixtures
import Messaging
import PaliGemma
import Testing

@testable import Pipelining

/// A coordinator that plans by measurement: messages and a clock in, orders out.
@Suite struct MeasuredClusterTests {
  private let limits = Limits()

  private func state(_ planning: ClusterPlanning = .measured(minimum: 2)) throws -> ClusterState {
    let config = try Golden("tiny-a").config
    var setup = ClusterSetup(
      template: try .even(visionCount: 1, shardCount: 1, config: config), modelDirectory: "/m",
      precision: "f32", resultsEndpoint: "ipc:///r", fingerprint: "f")
    setup.planning = planning
    setup.model = ModelNumbers(text: config.json, fingerprint: "f", precision: "f32")
    return ClusterState(setup: setup, config: config, limits: limits)
  }

  private func peer(_ index: Int) -> PeerIdentity { PeerIdentity([UInt8(index)]) }

  private func join(_ state: inout ClusterState, _ index: Int, now: Int) -> [ClusterState.Effect] {
    state.handle(
      .message(
        peer(index),
        .register(
          Register(
            name: "w\(index)", host: "h\(index)", dataEndpoint: "ipc:///\(index)",
            instructionSet: "scalar", threads: 1, memoryBytes: 1 << 40, softwareVersion: "t"))),
      now: now)
  }

  private func tell(
    _ state: inout ClusterState, _ index: Int, _ milliseconds: Double, now: Int
  ) -> [ClusterState.Effect] {
    state.handle(.message(peer(index), .workerSpeed(Made.speed(milliseconds))), now: now)
  }

  private func assigned(_ effects: [ClusterState.Effect]) -> [(peer: PeerIdentity, assign: Assign)]
  {
    effects.compactMap { effect in
      if case .send(.assign(let assign), let peer) = effect { (peer, assign) } else { nil }
    }
  }

  private func reports(_ effects: [ClusterState.Effect]) -> [String] {
    effects.compactMap { effect in
      if case .report(.workerWeighed(let name, let what)) = effect {
        "\(name) \(what)"
      } else {
        nil
      }
    }
  }

  /// Loads and probes what was ordered.
  private func load(
    _ state: inout ClusterState, _ orders: [(peer: PeerIdentity, assign: Assign)], now: Int
  ) throws {
    for (peer, assign) in orders {
      let ready = Ready(
        epoch: assign.epoch, stage: assign.stage, loadMilliseconds: 10, weightBytes: 1 << 20)
      _ = state.handle(.message(peer, .ready(ready)), now: now)
    }
    try #require(state.phase == .probing)
    _ = state.handle(.probed(epoch: orders[0].assign.epoch, nil), now: now)
    try #require(state.phase == .ready)
  }

  /// Two equal workers at work.
  private func ready(_ state: inout ClusterState) throws {
    for index in 0..<2 { _ = join(&state, index, now: 0) }
    #expect(state.message.contains("measure themselves"), "\(state.message)")
    #expect(assigned(tell(&state, 0, 10, now: 1)).isEmpty)
    let orders = assigned(tell(&state, 1, 10, now: 2))
    #expect(orders.count == 2)
    try load(&state, orders, now: 3)
  }

  private func beat(_ state: inout ClusterState, _ indices: [Int], now: Int) {
    for index in indices {
      let heartbeat = Heartbeat(epoch: state.epoch)
      _ = state.handle(.message(peer(index), .heartbeat(heartbeat)), now: now)
      _ = state.handle(.pulse(Pulse(epoch: state.epoch, worker: index)), now: now)
    }
  }

  @Test func workersAreToldWhatToMeasure() throws {
    var state = try state()
    let effects = join(&state, 0, now: 0)
    guard case .send(.welcome(let welcome), _)? = effects.first else {
      Issue.record("no welcome in \(effects)")
      return
    }
    let model = try #require(welcome.model)
    let config = try ModelConfig(json: model.text, from: "the coordinator")
    #expect(config.vision == state.config.vision && config.text == state.config.text)
    #expect(model.precision == "f32" && model.fingerprint == "f")
  }

  @Test func aPlanFollowsWhatIsAsked() throws {
    var state = try state()
    try ready(&state)
    let cut = { (state: ClusterState) in state.plan?.stages.map(\.blocks) ?? [] }
    let (short, before) = (cut(state), state.status.predictedImagesPerSecond)
    func ask(_ count: Int, answerTokens: Int, now: Int) -> [(peer: PeerIdentity, assign: Assign)] {
      for _ in 0..<count { state.mix.add(promptTokens: 16, answerTokens: answerTokens) }
      beat(&state, [0, 1], now: now)
      return assigned(state.handle(.tick, now: now))
    }
    var now = limits.settleMilliseconds + 10
    // Too few to believe them.
    #expect(ask(60, answerTokens: 400, now: now).isEmpty)
    #expect(state.status.predictedImagesPerSecond == before)
    now += limits.heartbeatMilliseconds
    let orders = ask(240, answerTokens: 400, now: now)
    #expect(orders.count == 2 && orders.allSatisfy { $0.assign.epoch == 2 })
    try load(&state, orders, now: now + 5)
    // Decoding weighs more now: the second stage has fewer blocks.
    #expect(cut(state)[1].count < short[1].count, "\(short) became \(cut(state))")
    #expect(state.status.predictedImagesPerSecond < before / 2)
    // What it was made for goes on: nothing changes any more.
    now += limits.settleMilliseconds + limits.heartbeatMilliseconds
    #expect(ask(64, answerTokens: 390, now: now).isEmpty && state.epoch == 2)
  }

  @Test func aJoinerIsWeighedAndTakenInWhenNothingIsUnderWay() throws {
    var state = try state()
    try ready(&state)
    #expect(state.status.predictedImagesPerSecond > 0)
    let before = state.status.predictedImagesPerSecond
    _ = join(&state, 2, now: 10)
    let said = reports(tell(&state, 2, 10, now: 20))
    #expect(said.count == 1 && said[0].contains("would make it"), "\(said)")
    let now = 10 + limits.settleMilliseconds
    beat(&state, [0, 1, 2], now: now)
    let orders = assigned(state.handle(.tick, now: now))
    #expect(orders.count == 3 && orders.allSatisfy { $0.assign.epoch == 2 })
    #expect(state.message.contains("takes over"), "\(state.message)")
    try load(&state, orders, now: now + 5)
    #expect(state.status.predictedImagesPerSecond > before * 1.2)
    #expect(state.status.nodes.map(\.state) == [.working, .working, .working])
  }

  @Test func aJoinerWaitsWhileTheChangeWouldNotPay() throws {
    var state = try state()
    try ready(&state)
    state.hasWork = true
    // What is under way would be gone through again for longer than the gain wins back in a minute.
    _ = state.handle(.message(peer(0), .workerSpeed(Made.speed(40_000))), now: 5)
    _ = state.handle(.message(peer(1), .workerSpeed(Made.speed(40_000))), now: 5)
    _ = join(&state, 2, now: 10)
    _ = tell(&state, 2, 40_000, now: 20)
    for step in 1...6 {
      let now = 500 * step + 2000
      beat(&state, [0, 1, 2], now: now)
      _ = state.handle(.moved, now: now)
      #expect(assigned(state.handle(.tick, now: now)).isEmpty)
    }
    // The work ends, and it comes in.
    state.hasWork = false
    beat(&state, [0, 1, 2], now: 6000)
    #expect(assigned(state.handle(.tick, now: 6000)).count == 3)
  }

  @Test func aWeakJoinerIsToldWhyItWaits() throws {
    var state = try state()
    try ready(&state)
    _ = join(&state, 2, now: 10)
    let said = reports(tell(&state, 2, 5000, now: 20))
    #expect(said.count == 1 && said[0].contains("left out"), "\(said)")
    #expect(state.message.contains("left out"), "\(state.message)")
    #expect(state.status.nodes.last?.note.contains("left out") ?? false)
    let now = 10 + 2 * limits.settleMilliseconds
    beat(&state, [0, 1, 2], now: now)
    #expect(assigned(state.handle(.tick, now: now)).isEmpty)
  }

  @Test func thoseLeftAfterALossAreReplanned() throws {
    var state = try state()
    try ready(&state)
    let effects = state.handle(.message(peer(1), .goodbye), now: 10)
    #expect(assigned(effects).map(\.peer) == [peer(0)])
    #expect(assigned(effects).first?.assign.stages.count == 1)
  }

  @Test func aGivenPlanIsObeyed() throws {
    var state = try state(.template)
    for index in 0..<2 { _ = join(&state, index, now: 0) }
    let orders = [0, 1].map { index in
      Ready(epoch: 1, stage: index, loadMilliseconds: 1, weightBytes: 1)
    }
    for (index, ready) in orders.enumerated() {
      _ = state.handle(.message(peer(index), .ready(ready)), now: 1)
    }
    _ = state.handle(.probed(epoch: 1, nil), now: 2)
    try #require(state.phase == .ready)
    for index in 0..<2 { _ = tell(&state, index, 10, now: 3) }
    // One that would treble the pace is told of, and waits.
    _ = join(&state, 2, now: 10)
    let said = reports(tell(&state, 2, 1, now: 20))
    #expect(said.count == 1 && said[0].contains("the plan is given"), "\(said)")
    let now = 10 + 2 * limits.settleMilliseconds
    beat(&state, [0, 1, 2], now: now)
    #expect(assigned(state.handle(.tick, now: now)).isEmpty)
  }

  @Test func whoSaysNothingCountsAsTheSlowestAfterAWhile() throws {
    var state = try state()
    _ = join(&state, 0, now: 0)
    _ = join(&state, 1, now: 0)
    #expect(assigned(tell(&state, 0, 10, now: 1)).isEmpty)
    let late = limits.measureMilliseconds + 1
    for index in 0..<2 {
      _ = state.handle(.message(peer(index), .heartbeat(Heartbeat(epoch: 0))), now: late)
    }
    #expect(!assigned(state.handle(.tick, now: late)).isEmpty)
  }

  @Test func speedsOfAnotherModelAreNotBelieved() throws {
    var state = try state()
    try ready(&state)
    var other = Made.speed(1)
    other.fingerprint = "g"
    let before = state.status.predictedImagesPerSecond
    #expect(state.handle(.message(peer(0), .workerSpeed(other)), now: 9).isEmpty)
    #expect(state.status.predictedImagesPerSecond == before)
  }
}
