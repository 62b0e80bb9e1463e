import Messaging
import PaliGemma

/// What the coordinator knows of its workers, and what it does about it: a pure value, driven by
/// messages and a clock, so that tests can play any order of events.
///
/// gathering → loading → probing → ready; a lost worker leads back to gathering under a new epoch.
public struct ClusterState {
  /// How far the cluster is.
  public enum Phase: String, Sendable {
    case gathering, loading, probing, ready
  }

  /// Something that happened.
  public enum Event {
    case message(PeerIdentity, ControlMessage)
    case tick
    /// The probes went through all stages, or one of them failed.
    case probed(epoch: UInt64, Failure?)
  }

  /// Something to be done.
  public enum Effect: Equatable {
    case send(ControlMessage, PeerIdentity)
    /// All stages are loaded: open the way to the first ones and send probes.
    case begin(PipelinePlan, epoch: UInt64, firstStage: [WorkerAddress])
    /// The pipeline is gone: everything under way fails so.
    case end(Failure)
    case report(CoordinatorReport)
  }

  struct Worker {
    let index: Int
    let peer: PeerIdentity
    let register: Register
    var lastSeen: Int
    var stage: Int?
    var isReady = false
  }

  /// How far the cluster is.
  public private(set) var phase = Phase.gathering
  /// Why it isn't further, in words.
  public private(set) var message: String
  /// Counts plans; a message of an older one is late.
  public private(set) var epoch: UInt64 = 0
  private(set) var workers: [Int: Worker] = [:]
  private let setup: ClusterSetup
  private let config: ModelConfig
  private let limits: Limits
  private var plan: PipelinePlan?
  private var phaseStart = 0
  private var nextIndex = 0

  /// A cluster without workers.
  public init(setup: ClusterSetup, config: ModelConfig, limits: Limits) {
    self.setup = setup
    self.config = config
    self.limits = limits
    message = "waiting for \(setup.template.workerCount) workers"
  }

  /// Takes note of an event at time `now` (milliseconds of any steady clock).
  public mutating func handle(_ event: Event, now: Int) -> [Effect] {
    switch event {
    case .message(let peer, let message): return handle(message, from: peer, now: now)
    case .tick: return checkSilence(now: now)
    case .probed(let epoch, let failure):
      guard epoch == self.epoch, phase == .probing else { return [] }
      if let failure { return end(failure, now: now) }
      enter(.ready, "all stages answered a probe", now: now)
      return [.report(.ready(epoch: epoch))]
    }
  }

  private mutating func enter(_ phase: Phase, _ message: String, now: Int) {
    (self.phase, self.message, phaseStart) = (phase, message, now)
  }

  /// The number of the worker that `peer` is.
  func worker(_ peer: PeerIdentity) -> Int? {
    workers.values.first { $0.peer == peer }?.index
  }

  private mutating func handle(
    _ message: ControlMessage, from peer: PeerIdentity, now: Int
  ) -> [Effect] {
    if case .register(let register) = message { return admit(register, from: peer, now: now) }
    guard let index = worker(peer) else { return [] }
    workers[index]?.lastSeen = now
    switch message {
    case .heartbeat(let heartbeat):
      let reply = HeartbeatReply(epoch: epoch, echoNanoseconds: heartbeat.sentNanoseconds)
      return [.send(.heartbeatReply(reply), peer)]
    case .ready(let ready) where ready.epoch == epoch && phase == .loading:
      workers[index]?.isReady = true
      return beginWhenLoaded(now: now)
    case .workerFailure(let failure) where failure.failure.code == AssignedStage.peerLost:
      // The one who says so is sound; whoever it can't reach is found out by silence.
      guard plan != nil, failure.epoch == epoch else { return [] }
      return end(
        Failure(code: "worker_lost", message: failure.failure.message), now: now)
    case .workerFailure(let failure) where failure.epoch == epoch:
      return lose(index, "failed: \(failure.failure.message)", now: now)
    case .goodbye: return lose(index, "left", now: now)
    default: return []
    }
  }

  private mutating func admit(
    _ register: Register, from peer: PeerIdentity, now: Int
  ) -> [Effect] {
    var effects: [Effect] = []
    if let old = worker(peer) { effects += lose(old, "registered anew", now: now) }
    guard workers.count < limits.workers else {
      return effects + [
        .send(.shutdown(reason: "the cluster has \(workers.count) workers already"), peer)
      ]
    }
    let index = nextIndex
    nextIndex += 1
    workers[index] = Worker(index: index, peer: peer, register: register, lastSeen: now)
    effects += [
      .send(
        .welcome(
          Welcome(
            worker: index, heartbeatMilliseconds: limits.heartbeatMilliseconds,
            silenceMilliseconds: limits.silenceMilliseconds)), peer),
      .report(.workerJoined(name: register.name, endpoint: register.dataEndpoint)),
    ]
    return effects + assignWhenComplete(now: now)
  }

  /// Makes a plan when enough workers are there.
  private mutating func assignWhenComplete(now: Int) -> [Effect] {
    guard phase == .gathering else { return [] }
    let present = workers.values.sorted { $0.index < $1.index }
    guard let places = setup.template.filled(from: present.map { ($0.index, $0.register.name) })
    else {
      let missing = setup.template.missingNames(among: present.map(\.register.name))
      message =
        "\(workers.count) workers have come, \(setup.template.workerCount) are wanted"
        + (missing.isEmpty ? "" : ", one of them named \(missing.joined(separator: " or "))")
      return []
    }
    let stages = zip(setup.template.stages, places).map {
      PipelinePlan.Stage(blocks: $0.blocks, workers: $1)
    }
    guard let plan = try? PipelinePlan(stages: stages, config: config) else { return [] }
    self.plan = plan
    epoch += 1
    enter(.loading, "workers are loading their weights", now: now)
    let assignments = plan.stages.map { stage in
      StageAssignment(blocks: stage.blocks, workers: stage.workers.map(address))
    }
    var effects: [Effect] = []
    for (stage, place) in plan.stages.enumerated() {
      for index in place.workers {
        workers[index]?.stage = stage
        workers[index]?.isReady = false
        guard let peer = workers[index]?.peer else { continue }
        let assign = Assign(
          epoch: epoch, modelDirectory: setup.modelDirectory, precision: setup.precision,
          stage: stage, stages: assignments, resultsEndpoint: setup.resultsEndpoint,
          maximumMicroBatches: limits.messagesInFlight(stageCount: plan.stages.count),
          fingerprint: setup.fingerprint)
        effects.append(.send(.assign(assign), peer))
      }
    }
    return effects + [.report(.assigned(epoch: epoch, stages: stageNames()))]
  }

  private func address(_ index: Int) -> WorkerAddress {
    let register = workers[index]?.register
    return WorkerAddress(
      worker: index, endpoint: register?.dataEndpoint ?? "", publicKey: register?.publicKey ?? "")
  }

  private mutating func beginWhenLoaded(now: Int) -> [Effect] {
    guard let plan, plan.stages.flatMap(\.workers).allSatisfy({ workers[$0]?.isReady ?? false })
    else { return [] }
    enter(.probing, "a probe goes through all stages", now: now)
    return [.begin(plan, epoch: epoch, firstStage: plan.stages[0].workers.map(address))]
  }

  private mutating func checkSilence(now: Int) -> [Effect] {
    var effects: [Effect] = []
    for (index, worker) in workers.sorted(by: { $0.key < $1.key })
    where now - worker.lastSeen > limits.silenceMilliseconds {
      let seconds = Double(now - worker.lastSeen) / 1000
      effects += lose(index, "said nothing for \((seconds * 10).rounded() / 10) s", now: now)
    }
    if phase == .probing, now - phaseStart > limits.probeMilliseconds {
      effects += end(
        Failure(
          code: "worker_lost", message: "no probe came back in \(limits.probeMilliseconds) ms"),
        now: now)
    }
    return effects
  }

  /// Forgets a worker; if the plan had it, the plan ends. This is where recovery will go: a spare
  /// takes the place, and what was under way is replayed.
  private mutating func lose(_ index: Int, _ reason: String, now: Int) -> [Effect] {
    guard let worker = workers.removeValue(forKey: index) else { return [] }
    let name = worker.register.name
    var effects: [Effect] = [
      .send(.shutdown(reason: "the coordinator gave this worker up: it \(reason)"), worker.peer),
      .report(.workerLost(name: name, reason: reason)),
    ]
    guard let stage = worker.stage, plan != nil else { return effects }
    effects += end(
      Failure(
        code: "worker_lost",
        message: "worker '\(name)' (stage \(setup.template.stages[stage].name)) \(reason); "
          + "start another with `palisade worker` and run the request again"), now: now)
    return effects
  }

  /// Ends the plan: everybody drops what the epoch had, and workers are gathered anew.
  private mutating func end(_ failure: Failure, now: Int) -> [Effect] {
    plan = nil
    enter(.gathering, failure.message, now: now)
    var effects: [Effect] = [.end(failure)]
    for index in workers.keys.sorted() {
      workers[index]?.stage = nil
      workers[index]?.isReady = false
      if let peer = workers[index]?.peer { effects.append(.send(.reset(epoch: epoch), peer)) }
    }
    return effects + assignWhenComplete(now: now)
  }

  private func stageNames() -> [String] {
    zip(setup.template.stages, plan?.stages ?? []).map { stage, place in
      let names = place.workers.compactMap { workers[$0]?.register.name }.joined(separator: ", ")
      return
        "\(stage.name) (blocks \(stage.blocks.lowerBound)–\(stage.blocks.upperBound - 1)): \(names)"
    }
  }

  /// What to show of the cluster: a row per worker of the plan, to be filled in by `Telemetry`.
  public var status: Status {
    var rows: [StageStatus] = []
    for (index, (stage, place)) in zip(setup.template.stages, plan?.stages ?? []).enumerated() {
      for worker in place.workers.compactMap({ workers[$0] }) {
        var row = StageStatus(
          name: stage.name, stage: index, blocks: stage.blocks, worker: worker.register.name,
          workerIndex: worker.index, node: worker.register.host)
        row.instructionSet = worker.register.instructionSet
        row.threads = worker.register.threads
        row.memoryBytes = worker.register.memoryBytes
        rows.append(row)
      }
    }
    return Status(state: phase.rawValue, message: message, stages: rows)
  }

  /// All workers there are, for a last message.
  var peers: [PeerIdentity] { workers.values.sorted { $0.index < $1.index }.map(\.peer) }
}

/// What a coordinator tells its cluster to be.
public struct ClusterSetup: Sendable {
  /// The stages to fill.
  public var template: ClusterTemplate
  /// The checkpoint's folder as the workers see it.
  public var modelDirectory: String
  /// Precision of the arithmetic.
  public var precision: String
  /// Where the last stage sends tokens.
  public var resultsEndpoint: String
  /// A hash of the configuration, so that a worker with another model says so.
  public var fingerprint: String

  /// A setup.
  public init(
    template: ClusterTemplate, modelDirectory: String, precision: String,
    resultsEndpoint: String, fingerprint: String
  ) {
    self.template = template
    self.modelDirectory = modelDirectory
    self.precision = precision
    self.resultsEndpoint = resultsEndpoint
    self.fingerprint = fingerprint
  }
}

/// Something the coordinator's user may want to read or log.
public enum CoordinatorReport: Sendable, Equatable {
  /// The coordinator listens.
  case listening(endpoint: String)
  /// A worker has registered.
  case workerJoined(name: String, endpoint: String)
  /// A worker is gone.
  case workerLost(name: String, reason: String)
  /// A plan was made.
  case assigned(epoch: UInt64, stages: [String])
  /// A token has gone through all stages.
  case ready(epoch: UInt64)
  /// What the gatekeeper of its endpoints did.
  case gate(GateReport)
  /// A message that could not be read was dropped.
  case dropped(String)
}
