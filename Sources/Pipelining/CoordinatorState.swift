import Messaging
import PaliGemma
import Tensors

/// The coordinator without its sockets and its clock: the cluster and the requests, as one pure value.
/// Events go in with the time, effects come out; a simulator plays it as well as the real loop does.
public struct CoordinatorState {
  /// Something that happened.
  public enum Event {
    /// A worker says something.
    case control(PeerIdentity, ControlMessage)
    /// A worker's connection is gone: a message could not be sent to it.
    case unreachable(PeerIdentity)
    /// The last stage, or one that failed, has results.
    case tokens(TokenBatch)
    /// A worker's way to the coordinator is open.
    case pulse(Pulse)
    /// A caller wants an answer.
    case submit(UInt64, PreparedRequest)
    /// A caller doesn't want it any more.
    case cancel(UInt64)
    /// A client orders something.
    case order(ClusterOrder, from: PeerIdentity)
    /// Time has passed.
    case tick
    /// The coordinator itself has stood still for so many milliseconds.
    case stoodStill(Int)
  }

  /// Something to be done.
  public enum Effect {
    case send(ControlMessage, PeerIdentity)
    /// A new plan: connect to these workers; what waits for others is dropped.
    case open([WorkerAddress], epoch: UInt64, workerCount: Int)
    /// There is no plan: drop what waits.
    case close
    case post(MicroBatch)
    case deliver([Scheduler.Event])
    case report(CoordinatorReport)
    /// What became of a client's order.
    case answer(OrderAnswer, PeerIdentity)
  }

  /// Ids of probes: above all ids that callers get.
  public static let firstProbe: UInt64 = 1 << 63

  /// The workers and the plan.
  public private(set) var cluster: ClusterState
  /// The requests.
  public private(set) var scheduler: Scheduler
  private let limits: Limits
  private let probeRequest: PreparedRequest
  private var probes: Set<UInt64> = []
  private var nextProbe = Self.firstProbe

  /// A coordinator that knows nobody.
  public init(setup: ClusterSetup, config: ModelConfig, limits: Limits) {
    cluster = ClusterState(setup: setup, config: config, limits: limits)
    scheduler = Scheduler(config: config, limits: limits)
    self.limits = limits
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    pixels.withBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 128) }
    probeRequest = PreparedRequest(
      pixels: pixels, textTokenIDs: [config.beginTokenID], sampling: Sampling(maximumTokens: 1))
  }

  /// Takes note of an event at time `now` (milliseconds of any steady clock).
  public mutating func handle(_ event: Event, now: Int) -> [Effect] {
    cluster.hasWork = scheduler.counts.active > 0
    switch event {
    case .control(let peer, let message):
      return apply(cluster.handle(.message(peer, message), now: now), now: now)
    case .unreachable(let peer):
      return apply(cluster.handle(.unreachable(peer), now: now), now: now)
    case .pulse(let pulse): return apply(cluster.handle(.pulse(pulse), now: now), now: now)
    case .tokens(let batch): return receive(batch, now: now)
    case .submit(let id, let request): return submit(request, id: id, now: now)
    case .cancel(let id):
      guard scheduler.cancel(id) else { return [] }
      return cluster.peers.map { .send(.cancel(epoch: cluster.epoch, requests: [id]), $0) }
    case .stoodStill(let milliseconds):
      return apply(cluster.handle(.stoodStill(milliseconds), now: now), now: now)
    case .order(let order, let client):
      return apply(cluster.handle(.order(order, from: client), now: now), now: now)
    case .tick:
      cluster.mix = scheduler.mix
      return apply(cluster.handle(.tick, now: now), now: now) + endOutage(now: now)
    }
  }

  /// The next micro-batch for the pipeline, if one is to be sent now.
  public mutating func nextMicroBatch(now: Int) -> MicroBatch? {
    guard cluster.phase == .ready, let batch = scheduler.nextMicroBatch() else { return nil }
    _ = cluster.handle(.moved, now: now)
    return batch
  }

  private mutating func submit(
    _ request: PreparedRequest, id: UInt64, now: Int
  ) -> [Effect] {
    if let failure = outage(now: now) { return [.deliver([.finished(id, .failure(failure))])] }
    do throws(Failure) { try scheduler.enqueue(request, id: id) } catch {
      return [.deliver([.finished(id, .failure(error))])]
    }
    return []
  }

  /// Why requests need wait no longer; nil while there is hope.
  private func outage(now: Int) -> Failure? {
    guard let since = cluster.outageSince, now - since >= limits.outageMilliseconds else {
      return nil
    }
    return Failure(
      code: "cluster_not_ready",
      message: "the cluster is \(cluster.phase.rawValue): \(cluster.message); start what is "
        + "missing with `palisade worker` and send this again")
  }

  private mutating func endOutage(now: Int) -> [Effect] {
    guard !scheduler.isIdle, let failure = outage(now: now) else { return [] }
    let events = scheduler.failAll(failure)
    return events.isEmpty ? [] : [.deliver(events)]
  }

  private mutating func receive(_ batch: TokenBatch, now: Int) -> [Effect] {
    guard batch.epoch == cluster.epoch else { return [] }
    var effects = apply(cluster.handle(.moved, now: now), now: now)
    var events: [Scheduler.Event] = []
    for event in scheduler.receive(batch) {
      guard event.request >= Self.firstProbe else {
        events.append(event)
        continue
      }
      guard case .finished(let id, let result) = event, probes.remove(id) != nil else { continue }
      let failure: Failure? = if case .failure(let failure) = result { failure } else { nil }
      if failure != nil || probes.isEmpty {
        effects += apply(
          cluster.handle(.probed(epoch: batch.epoch, failure), now: now), now: now)
      }
    }
    return events.isEmpty ? effects : [.deliver(events)] + effects
  }

  private mutating func apply(_ effects: [ClusterState.Effect], now: Int) -> [Effect] {
    var result: [Effect] = []
    for effect in effects {
      switch effect {
      case .send(.assign(var assign), let peer):
        if assign.keptEpoch > 0 { assign.keptRequests = scheduler.cachedRequests }
        result.append(.send(.assign(assign), peer))
      case .send(let message, let peer): result.append(.send(message, peer))
      case .report(let report): result.append(.report(report))
      case .answer(let answer, let client): result.append(.answer(answer, client))
      case .suspend(let isDeath):
        probes = []
        let events = scheduler.suspend(isDeath: isDeath)
        result.append(.close)
        if !events.isEmpty { result.append(.deliver(events)) }
      case .begin(let plan, let epoch, let keepsCaches, let ways):
        scheduler.begin(plan, epoch: epoch, keepsCaches: keepsCaches)
        result.append(.open(ways, epoch: epoch, workerCount: plan.workerCount))
        result += probe(plan)
      }
    }
    return result
  }

  /// A token for each replica of the widest stage, so that every worker shows that it works.
  private mutating func probe(_ plan: PipelinePlan) -> [Effect] {
    let count = plan.stages.map(\.workers.count).max() ?? 1
    return (0..<count).map { number in
      let id = nextProbe
      nextProbe += 1
      probes.insert(id)
      let route = plan.stages.map { $0.workers[number % $0.workers.count] }
      return .post(scheduler.probe(probeRequest, id: id, route: route))
    }
  }
}
