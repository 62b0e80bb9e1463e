import Messaging
import PaliGemma

/// What the coordinator knows of its workers, and what it does about it: a pure value, driven by
/// messages and a clock, so that tests can play any order of events.
///
/// gathering → loading → probing → ready. A worker lost to its stage leads back to loading under a new
/// epoch, with a spare in its place or a plan over those left, and to gathering only while no plan can be
/// made. Times are milliseconds of any steady clock.
public struct ClusterState {
  /// How far the cluster is.
  public enum Phase: String, Sendable {
    case gathering, loading, probing, ready
  }

  /// Something that happened.
  public enum Event {
    case message(PeerIdentity, ControlMessage)
    /// The peer's connection is gone.
    case unreachable(PeerIdentity)
    /// The last stage's way to the coordinator is open.
    case pulse(Pulse)
    case tick
    /// The coordinator itself has stood still for so many milliseconds.
    case stoodStill(Int)
    /// The probes went through all stages, or one of them failed.
    case probed(epoch: UInt64, Failure?)
    /// Something moved: a token came, or a micro-batch was sent.
    case moved
    /// A client orders something.
    case order(ClusterOrder, from: PeerIdentity)
  }

  /// Something to be done.
  public enum Effect: Equatable {
    case send(ControlMessage, PeerIdentity)
    /// The pipeline is gone: what is under way has to wait for the next.
    case suspend(isDeath: Bool)
    /// All stages are loaded: open the ways in and send probes.
    case begin(PipelinePlan, epoch: UInt64, keepsCaches: Bool, ways: [WorkerAddress])
    /// What became of a client's order.
    case answer(OrderAnswer, PeerIdentity)
    case report(CoordinatorReport)
  }

  /// How far the cluster is.
  public private(set) var phase = Phase.gathering
  /// Why it isn't further, in words.
  public internal(set) var message: String
  /// Counts plans; a message of an older one is late.
  public internal(set) var epoch: UInt64
  /// Since when there is no pipeline; nil while there is one, and before the first.
  public private(set) var outageSince: Int?
  /// Whether anything is under way; said by whoever has the requests.
  public var hasWork = false
  /// What requests have lately been like; said by whoever has them.
  public var mix = RequestMix()
  /// What plans are made for: `mix` as it was when it was last believed.
  var plannedMix = RequestMix()
  var workers: [Int: ClusterWorker] = [:]
  /// Its template changes when a client orders more or fewer workers.
  var setup: ClusterSetup
  /// The workers of a plan that was ordered and has not been made yet: it needn't pay.
  var orderedCount: Int?
  let config: ModelConfig
  let limits: Limits
  var plan: PipelinePlan?
  var planNames: [String] = []
  var keepsCaches = false
  var wasReady = false
  private(set) var phaseStart = 0
  private var nextIndex = 0
  var strikes: [String: WorkerStrikes] = [:]
  var lastTry = 0
  /// When something last moved, the longest rest that ended by itself, and the stalls in a row.
  var lastMove = 0
  var longestRest = 0
  var stalls = 0
  var resultsHeard: [Int: Int] = [:]
  var slowReported: Set<Int> = []
  /// What each worker of the plan was told, and when it was told last.
  var orders: [Int: Assign] = [:]
  var lastOrder = 0
  /// What the present plan should do.
  var forecast: PlanForecast?
  /// The last plan made from measurement, and for whom.
  var planned: (nodes: [PlanNode], mix: RequestMix, result: Planner.Result)?
  /// How fast weights were loaded lately, and how many answers' tokens there are.
  var loadBytesPerSecond = 0.0

  /// A cluster without workers.
  public init(setup: ClusterSetup, config: ModelConfig, limits: Limits) {
    self.setup = setup
    self.config = config
    self.limits = limits
    epoch = setup.firstEpoch
    message = "waiting for \(setup.wantedWorkerCount) workers"
  }

  /// Takes note of an event at time `now`.
  public mutating func handle(_ event: Event, now: Int) -> [Effect] {
    switch event {
    case .message(let peer, let message): return handle(message, from: peer, now: now)
    case .unreachable(let peer):
      if let index = worker(peer), workers[index]?.unreachableSince == nil {
        workers[index]?.unreachableSince = now
      }
      return []
    case .pulse(let pulse):
      if pulse.epoch == epoch { resultsHeard[pulse.worker] = now }
      return []
    case .tick: return tick(now: now)
    case .stoodStill(let milliseconds):
      forgive(milliseconds)
      return []
    case .moved:
      moved(now: now)
      stalls = 0
      return []
    case .order(let order, let client): return follow(order, from: client, now: now)
    case .probed(let epoch, let failure):
      guard epoch == self.epoch, phase == .probing else { return [] }
      if let failure {
        return suspend(failure.message, isDeath: false, now: now) + remake(now: now)
      }
      enter(.ready, readyMessage, now: now)
      (outageSince, wasReady) = (nil, true)
      return [.report(.ready(epoch: shown(epoch)))]
    }
  }

  /// The coordinator was stopped, or swapped out, or its machine asleep: what it didn't hear meanwhile
  /// says nothing of others.
  private mutating func forgive(_ milliseconds: Int) {
    for index in workers.keys {
      workers[index]?.lastSeen += milliseconds
      if workers[index]?.unreachableSince != nil {
        workers[index]?.unreachableSince? += milliseconds
      }
    }
    for index in resultsHeard.keys { resultsHeard[index]? += milliseconds }
    lastMove += milliseconds
    phaseStart += milliseconds
    lastOrder += milliseconds
  }

  mutating func enter(_ phase: Phase, _ message: String, now: Int) {
    (self.phase, self.message, phaseStart) = (phase, message, now)
    if phase != .ready, wasReady, outageSince == nil { outageSince = now }
  }

  /// A plan's number for people: the first of this coordinator is 1.
  func shown(_ epoch: UInt64) -> UInt64 { epoch - setup.firstEpoch }

  /// The number of the worker that `peer` is.
  func worker(_ peer: PeerIdentity) -> Int? {
    workers.values.first { $0.peer == peer }?.index
  }

  private mutating func handle(
    _ message: ControlMessage, from peer: PeerIdentity, now: Int
  ) -> [Effect] {
    if case .register(let register) = message { return admit(register, from: peer, now: now) }
    guard let index = worker(peer) else {
      // A worker given up, or another coordinator's: it may come in again.
      if case .heartbeat = message { return [.send(.registerAgain, peer)] }
      return []
    }
    workers[index]?.lastSeen = now
    workers[index]?.unreachableSince = nil
    switch message {
    case .heartbeat where workers[index]?.isLeaving ?? false:
      // It didn't hear it.
      return [.send(.shutdown(reason: Self.leaveText), peer)]
    case .heartbeat(let heartbeat):
      workers[index]?.takeFetch(heartbeat.gauges, now: now)
      let reply = HeartbeatReply(epoch: epoch, echoNanoseconds: heartbeat.sentNanoseconds)
      return [.send(.heartbeatReply(reply), peer)] + judge(heartbeat, of: index, now: now)
    case .workerSpeed(let speed): return weigh(speed, of: index, now: now)
    case .ready(let ready) where ready.epoch == epoch && phase == .loading:
      let isNews = workers[index]?.isReady == false && ready.weightBytes > 0
      workers[index]?.isReady = true
      let own = workers[index]?.loaded?.blocks
      workers[index]?.given = ready.hasAllWeights ? 0..<config.blockCount : own
      if ready.loadMilliseconds > 0, ready.weightBytes > 0 {
        loadBytesPerSecond = Double(ready.weightBytes) * 1000 / Double(ready.loadMilliseconds)
      }
      let report = CoordinatorReport.loaded(
        name: workers[index]?.name ?? "", byteCount: ready.weightBytes,
        milliseconds: ready.loadMilliseconds)
      return (isNews ? [.report(report)] : []) + beginWhenLoaded(now: now)
    case .workerFailure(let failure) where failure.epoch == epoch && plan != nil:
      // The one who can't reach its neighbour is sound; the neighbour is found out by its silence.
      if failure.failure.code == AssignedStage.peerLost { return [] }
      return lose(index, .failed(failure.failure.message), now: now)
    case .goodbye: return lose(index, .left, now: now)
    default: return []
    }
  }

  private mutating func admit(
    _ register: Register, from peer: PeerIdentity, now: Int
  ) -> [Effect] {
    if let known = worker(peer).flatMap({ workers[$0] }), known.register == register {
      // It didn't hear its welcome.
      return [.send(welcome(known.index), peer)]
    }
    // The same process once more, which lost its line to the coordinator or was given up; or another
    // at its address, so that it must have ended without a word.
    let replaced = workers.values.sorted { $0.index < $1.index }.filter {
      $0.peer == peer || $0.register.dataEndpoint == register.dataEndpoint
    }
    guard workers.count - replaced.count < limits.workers else {
      return [.send(.shutdown(reason: "the cluster has \(workers.count) workers already"), peer)]
    }
    let index = nextIndex
    nextIndex += 1
    var worker = ClusterWorker(index: index, peer: peer, register: register, lastSeen: now)
    if let loaded = register.loaded, loaded.fingerprint == setup.fingerprint,
      loaded.precision == setup.precision
    {
      worker.loaded = loaded
      worker.given = loaded.blocks
    }
    worker.joined = now
    workers[index] = worker
    var effects: [Effect] = [
      .send(welcome(index), peer),
      .report(.workerJoined(name: register.name, endpoint: register.dataEndpoint)),
    ]
    // After the new one has come, which may take the place at once.
    for old in replaced {
      effects += lose(old.index, old.peer == peer ? .left : .dead, now: now)
    }
    if phase == .gathering { return effects + remake(now: now) }
    if phase == .ready {
      message = readyMessage
      effects += advice(now: now).map { [.report(.advice($0))] } ?? []
    }
    return effects
  }

  private func welcome(_ index: Int) -> ControlMessage {
    .welcome(
      Welcome(
        worker: index, heartbeatMilliseconds: limits.heartbeatMilliseconds,
        silenceMilliseconds: limits.silenceMilliseconds, model: setup.model))
  }

  private mutating func beginWhenLoaded(now: Int) -> [Effect] {
    guard let plan, plan.stages.flatMap(\.workers).allSatisfy({ workers[$0]?.isReady ?? false })
    else { return [] }
    enter(.probing, "a probe goes through all stages", now: now)
    // The change of plans was no rest.
    lastMove = now
    for index in plan.stages.flatMap(\.workers) { resultsHeard[index] = now }
    var ways = plan.stages[0].workers
    if plan.embeddingStage > 0 { ways += plan.stages[plan.embeddingStage].workers }
    return [
      .begin(plan, epoch: epoch, keepsCaches: keepsCaches, ways: ways.map(address))
    ]
  }

  func address(_ index: Int) -> WorkerAddress {
    let register = workers[index]?.register
    return WorkerAddress(
      worker: index, endpoint: register?.dataEndpoint ?? "", publicKey: register?.publicKey ?? "")
  }

  /// All workers there are, for a last message.
  var peers: [PeerIdentity] { workers.values.sorted { $0.index < $1.index }.map(\.peer) }
}
