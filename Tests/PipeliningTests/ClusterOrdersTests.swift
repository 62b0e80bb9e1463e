import GoldenFixtures
import Messaging
import PaliGemma
import Testing

@testable import Pipelining

/// What clients order of a cluster: nodes go, and plans grow and shrink.
@Suite struct ClusterOrdersTests {
  /// A cluster that is played without sockets.
  struct Played {
    var state: ClusterState
    var now = 0
    private var phaseCount = 0

    init(vision: Int = 1, shards: Int = 2, names: [String] = []) throws {
      let config = try Golden("tiny-a").config
      var template = try ClusterTemplate.even(
        visionCount: vision, shardCount: shards, config: config)
      if !names.isEmpty {
        var stages = template.stages
        stages[0].workerNames = names
        template = try ClusterTemplate(stages: stages, config: config)
      }
      let setup = ClusterSetup(
        template: template, modelDirectory: "/m", precision: "f32", resultsEndpoint: "ipc:///r",
        fingerprint: "f")
      state = ClusterState(setup: setup, config: config, limits: Limits())
    }

    static func peer(_ index: Int) -> PeerIdentity { PeerIdentity([UInt8(index)]) }
    static let client = PeerIdentity([200])

    /// Worker `index` comes; it is on host `h<index / 2>`.
    mutating func join(_ index: Int, memory: Int = 1 << 40) -> [ClusterState.Effect] {
      now += 1
      let register = Register(
        name: "w\(index)", host: "h\(index / 2)", dataEndpoint: "ipc:///\(index)",
        instructionSet: "scalar", threads: 1, memoryBytes: memory, softwareVersion: "t")
      return state.handle(.message(Self.peer(index), .register(register)), now: now)
    }

    /// Lets everybody load and the probe come back.
    mutating func settle() throws {
      now += 1
      try #require(state.phase == .loading)
      for index in state.plan?.stages.flatMap(\.workers) ?? [] {
        let ready = Ready(epoch: state.epoch, stage: 0, loadMilliseconds: 1, weightBytes: 1)
        let peer = try #require(state.workers[index]?.peer)
        _ = state.handle(.message(peer, .ready(ready)), now: now)
      }
      try #require(state.phase == .probing)
      _ = state.handle(.probed(epoch: state.epoch, nil), now: now)
      try #require(state.phase == .ready)
    }

    /// Time passes, with everybody heard.
    mutating func rest(_ milliseconds: Int) -> [ClusterState.Effect] {
      var effects: [ClusterState.Effect] = []
      for _ in 0..<milliseconds / 250 {
        now += 250
        for (index, worker) in state.workers {
          let beat = ControlMessage.heartbeat(Heartbeat(epoch: state.epoch))
          effects += state.handle(.message(worker.peer, beat), now: now)
          _ = state.handle(.pulse(Pulse(epoch: state.epoch, worker: index)), now: now)
        }
        effects += state.handle(.tick, now: now)
      }
      return effects
    }

    mutating func order(_ order: ClusterOrder) -> [ClusterState.Effect] {
      now += 1
      return state.handle(.order(order, from: Self.client), now: now)
    }
  }

  private func answer(_ effects: [ClusterState.Effect]) throws -> OrderAnswer {
    let answers = effects.compactMap { effect -> OrderAnswer? in
      guard case .answer(let answer, Played.client) = effect else { return nil }
      return answer
    }
    try #require(answers.count == 1)
    return answers[0]
  }

  private func assigned(_ effects: [ClusterState.Effect]) -> [PeerIdentity] {
    effects.compactMap { if case .send(.assign, let peer) = $0 { peer } else { nil } }
  }

  private func told(_ effects: [ClusterState.Effect]) -> [PeerIdentity] {
    effects.compactMap { if case .send(.shutdown, let peer) = $0 { peer } else { nil } }
  }

  private func running(_ count: Int = 3) throws -> Played {
    var played = try Played()
    for index in 0..<count { _ = played.join(index) }
    try played.settle()
    return played
  }

  @Test func aDrainedWorkerGoesAndNoPlanUsesIt() throws {
    var played = try running(4)
    let effects = played.order(.drain(node: "w1"))
    #expect(effects.contains(.suspend(isDeath: false)))
    #expect(assigned(effects) == [0, 3, 2].map(Played.peer))
    #expect(told(effects) == [Played.peer(1)])
    let answer = try answer(effects)
    #expect(answer.isDone && answer.text.contains("plan 2 does without, over 3 workers"))
    #expect(played.state.status.nodes.map(\.state) == [.working, .leaving, .working, .working])
    try played.settle()
    // It didn't hear it: whenever it says that it lives, it is told again; no plan takes it in.
    let later = played.rest(5000)
    #expect(Set(told(later)) == [Played.peer(1)] && assigned(later).isEmpty)
    let gone = played.state.handle(.message(Played.peer(1), .goodbye), now: played.now)
    #expect(gone == [.report(.workerLost(name: "w1", reason: "left"))])
    #expect(played.state.status.nodes.map(\.worker) == ["w0", "w2", "w3"])
    #expect(played.state.phase == .ready)
  }

  @Test func withoutASpareThePlanIsOverThoseLeft() throws {
    var played = try running()
    let effects = played.order(.drain(node: "w2"))
    #expect(assigned(effects).count == 2 && told(effects) == [Played.peer(2)])
    #expect(try answer(effects).text.contains("slower"))
    try played.settle()
    // The same name once more is another process, and welcome.
    _ = played.state.handle(.message(Played.peer(2), .goodbye), now: played.now)
    _ = played.join(2)
    #expect(Set(assigned(played.rest(3000))).count == 3)
  }

  @Test func aMachineIsEmptiedWhole() throws {
    var played = try running(5)  // h0: w0 and w1, h1: w2 and w3, h2: w4
    let effects = played.order(.drain(node: "h0"))
    #expect(told(effects) == [0, 1].map(Played.peer))
    #expect(Set(assigned(effects)) == Set([2, 3, 4].map(Played.peer)))
  }

  @Test func aSpareGoesWithoutANewPlan() throws {
    var played = try running(4)
    let effects = played.order(.drain(node: "w3"))
    #expect(told(effects) == [Played.peer(3)] && assigned(effects).isEmpty)
    #expect(played.state.phase == .ready && !played.state.message.contains("w3"))
  }

  @Test func whatCannotBeDoneWithoutStays() throws {
    var played = try running()
    let unknown = try answer(played.order(.drain(node: "w9")))
    #expect(!unknown.isDone && unknown.text.contains("no node is called 'w9'"))
    // Three are enough, two are not, and the figures say so.
    var small = try Played()
    let need = MemoryNeed(config: small.state.config, precision: "f32", limits: Limits())
      .byteCount(of: 0..<small.state.config.blockCount, decodeStages: 1)
    for index in 0..<3 { _ = small.join(index, memory: need / 2) }
    try small.settle()
    _ = small.order(.drain(node: "w2"))
    let epoch = small.state.epoch
    let last = small.order(.drain(node: "h0"))
    let refusal = try answer(last)
    #expect(!refusal.isDone && refusal.text.contains("start another"))
    #expect(told(last).isEmpty && small.state.epoch == epoch)
    #expect(!small.state.status.nodes.contains { $0.worker == "w0" && $0.state == .leaving })
  }

  @Test func moreWorkersAreTakenInAtOnceOrWhenTheyCome() throws {
    var played = try running(4)
    let effects = played.order(.scale(workerCount: 4))
    let grown = try answer(effects)
    #expect(assigned(effects).count == 4 && grown.isDone)
    #expect(played.state.plan?.workerCount == 4)
    try played.settle()
    #expect(assigned(played.rest(3000)).isEmpty)
    let again = try answer(played.order(.scale(workerCount: 4)))
    #expect(again.isDone && again.text.contains("already"))

    let missing = played.order(.scale(workerCount: 6))
    #expect(assigned(missing).isEmpty && played.state.phase == .ready)
    #expect(try answer(missing).text.contains("start 2 more"))
    #expect(played.state.status.wantedWorkerCount == 6)
    _ = played.join(4)
    _ = played.rest(3000)
    if played.state.phase == .loading { try played.settle() }
    _ = played.join(5)
    // It was ordered: the model of four layers need not gain by it.
    #expect(Set(assigned(played.rest(3000))).count == 6)
    #expect(played.state.plan?.workerCount == 6)
  }

  @Test func fewerWorkersLeaveSparesThatStay() throws {
    var played = try running(3)
    let effects = played.order(.scale(workerCount: 2))
    #expect(assigned(effects).count == 2)
    try played.settle()
    #expect(assigned(played.rest(5000)).isEmpty && told(played.rest(1000)).isEmpty)
    #expect(played.state.status.nodes.filter { $0.state == .spare }.count == 1)
    let one = played.order(.scale(workerCount: 1))
    #expect(assigned(one).count == 1 && played.state.plan?.stages.count == 1)
  }

  @Test func whatCannotBePlannedIsRefused() throws {
    var played = try running()
    let many = try answer(played.order(.scale(workerCount: 300)))
    #expect(!many.isDone && many.text.contains("256"))
    #expect(played.state.status.wantedWorkerCount == 3)
    var named = try Played(names: ["w0"])
    for index in 0..<3 { _ = named.join(index) }
    try named.settle()
    let refusal = try answer(named.order(.scale(workerCount: 2)))
    #expect(!refusal.isDone && refusal.text.contains("cluster file"))
    var small = try Played()
    let need = MemoryNeed(config: small.state.config, precision: "f32", limits: Limits())
      .byteCount(of: 0..<small.state.config.blockCount, decodeStages: 1)
    for index in 0..<3 { _ = small.join(index, memory: need * 3 / 4) }
    try small.settle()
    let misfit = try answer(small.order(.scale(workerCount: 1)))
    #expect(!misfit.isDone && misfit.text.contains("MiB"), "\(misfit.text)")
    #expect(small.state.phase == .ready && small.state.status.wantedWorkerCount == 3)
  }

  @Test func whoComesIsToldWhatItWouldGain() throws {
    var played = try running()
    let advice = played.join(3).compactMap { effect -> String? in
      if case .report(.advice(let text)) = effect { text } else { nil }
    }
    #expect(advice.count == 1 && advice[0].contains("worker w3 is a spare"), "\(advice)")
    // What it says is what the order does.
    let words = advice[0].contains("cluster scale 4")
    let effects = played.order(.scale(workerCount: 4))
    #expect(try answer(effects).text.contains("faster") == words)
    #expect(advice[0].contains("faster") == advice[0].contains("by the model's operations"))
  }

  /// Where all have measured themselves the gain is what they measured, links included: by operations a
  /// fourth worker helps, and with links that carry little it doesn't.
  @Test func theGainIsAsMeasuredWhereAllHaveMeasured() throws {
    func gain(linkBytesPerSecond: Double, silent: Int? = nil) throws -> String {
      var played = try running(4)
      for index in 0..<4 where index != silent {
        var speed = Made.speed(10)
        speed.linkBytesPerSecond = linkBytesPerSecond
        let told = ControlMessage.workerSpeed(speed)
        _ = played.state.handle(.message(Played.peer(index), told), now: played.now)
      }
      return try answer(played.order(.scale(workerCount: 4))).text
    }
    let operations = try gain(linkBytesPerSecond: 0, silent: 3)
    #expect(operations.contains("by the model's operations"), "\(operations)")
    let measured = try gain(linkBytesPerSecond: 0)
    #expect(measured.contains("by what its workers measured"), "\(measured)")
    let narrow = try gain(linkBytesPerSecond: 1000)
    #expect(
      narrow.contains("by what its workers measured as fast as before"), "\(narrow)")
    #expect(measured != narrow)
  }

  /// What is said is what `plan` foresees for both plans.
  @Test func theGainIsTheForecasts() throws {
    var played = try running(4)
    for index in 0..<4 {
      let told = ControlMessage.workerSpeed(Made.speed(10 + 5 * Double(index)))
      _ = played.state.handle(.message(Played.peer(index), told), now: played.now)
    }
    let before = try #require(played.state.forecast?.imagesPerSecond)
    let text = try answer(played.order(.scale(workerCount: 4))).text
    let after = try #require(played.state.forecast?.imagesPerSecond)
    let percent = Int(((after / before - 1) * 100).rounded())
    let words =
      percent > 0 ? "\(percent) % faster" : percent < 0 ? "\(-percent) % slower" : "as fast"
    #expect(text.contains("by what its workers measured \(words)"), "\(text), \(percent) %")
  }
}
