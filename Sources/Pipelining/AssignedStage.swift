import Checkpoints
import Messaging
import PaliGemma
import Synchronization
import Tensors

/// A worker's stage under one plan: its weights, its executor, its ways to other workers.
final class AssignedStage {
  let assign: Assign
  /// What is held, for the coordinator.
  let loaded: LoadedStage
  /// Whether its plan is over; the weights are kept for the next.
  var isPaused = false
  let executor: StageExecutor
  /// Bytes of the checkpoint this stage uses.
  let weightByteCount: Int
  /// Keeps what was fetched for it in the cache.
  private let lease: TensorLease?
  private let links: StageLinks
  private let results: Socket
  /// The worker that starts decode steps; nil when it is this one.
  private let embeddingWorker: Int?
  private let sendMilliseconds: Int
  /// Whoever hears this worker's pulses, and when each that should be heard here was heard last.
  let receivers: [WorkerAddress]
  private var heard: [Int: Int]

  /// Loads the weights that `assign` asks for from `model`, unless `previous` has them, and connects to
  /// the neighbours.
  ///
  /// - Throws: `Failure`, `ModelError`, `CheckpointError` or `MessagingError`.
  init(
    _ assign: Assign, previous: AssignedStage?, configuration: WorkerConfiguration,
    in context: Context, model: () throws -> StageModel
  ) throws {
    let model = previous == nil ? try model() : nil
    guard let config = model?.config ?? previous?.executor.section.config else {
      throw Failure(code: "load_failed", message: "there is no model")
    }
    lease = model?.lease ?? previous?.lease
    guard let precision = Precision(rawValue: assign.precision) else {
      throw Failure(code: "unsupported", message: "precision '\(assign.precision)' is unknown here")
    }
    let plan = try PipelinePlan(
      stages: assign.stages.map {
        PipelinePlan.Stage(blocks: $0.blocks, workers: $0.workers.map(\.worker))
      }, config: config)
    guard plan.stages.indices.contains(assign.stage) else {
      throw Failure(code: "invalid_plan", message: "there is no stage \(assign.stage)")
    }
    let blocks = plan.stages[assign.stage].blocks
    loaded = LoadedStage(
      blocks: blocks, precision: assign.precision,
      fingerprint: assign.fingerprint)
    let section =
      try model.map {
        try ModelSection(
          config: config, checkpoint: $0.checkpoint, blocks: blocks, precision: precision)
      } ?? previous?.executor.section
    guard let section else { throw Failure(code: "load_failed", message: "there is no model") }
    weightByteCount = section.weightByteCount
    let limits = configuration.limits
    executor = StageExecutor(
      section: section, plan: plan, stage: assign.stage, epoch: assign.epoch, limits: limits,
      previous: previous?.executor,
      keptRequests: previous?.assign.epoch == assign.keptEpoch ? assign.keptRequests : [])
    let next = assign.stage + 1 < plan.stages.count ? assign.stages[assign.stage + 1].workers : []
    let embedding =
      assign.stage == plan.embeddingStage ? [] : assign.stages[plan.embeddingStage].workers
    let highWaterMark = limits.messagesInFlight(workerCount: plan.workerCount)
    links = try StageLinks(
      next + embedding, in: context, highWaterMark: highWaterMark, configuration.links)
    let results = WorkerAddress(
      worker: WorkerAddress.coordinator,
      endpoint: Endpoints.reachable(
        assign.resultsEndpoint, asSeenFrom: configuration.coordinatorEndpoint))
    receivers = next + embedding + [results]
    let now = Clock.milliseconds
    heard = Dictionary(uniqueKeysWithValues: Self.senders(assign, plan).map { ($0, now) })
    var options = SocketOptions()
    options.sendHighWaterMark = limits.mailbox
    self.results = try Socket(
      .push, in: context, options: configuration.links.toCoordinator(options))
    try self.results.connect(results.endpoint)
    embeddingWorker = embedding.first?.worker
    sendMilliseconds = limits.sendMilliseconds
    self.assign = assign
  }

  /// Whose pulses a stage should hear.
  private static func senders(_ assign: Assign, _ plan: PipelinePlan) -> Set<Int> {
    var senders = Set(
      assign.stage > 0
        ? assign.stages[assign.stage - 1].workers.map(\.worker) : [WorkerAddress.coordinator])
    if assign.stage == plan.embeddingStage {
      senders.insert(WorkerAddress.coordinator)
      if assign.stage < plan.stages.count - 1, let last = assign.stages.last?.workers {
        senders.formUnion(last.map(\.worker))
      }
    }
    return senders
  }

  /// Computes one micro-batch, if there is one, and sends what comes of it.
  ///
  /// - Parameters:
  ///   - waitingSince: since when the worker has had nothing to do, in nanoseconds.
  ///   - control: told of the work for heartbeats.
  /// - Returns: whether there was something to do.
  /// - Throws: `peer_lost` when a neighbour doesn't take what it should.
  func step(since waitingSince: UInt64, _ control: WorkerControl) throws(Failure) -> Bool {
    if isPaused { return false }
    let start = Clock.nanoseconds
    let gauges = executor.gauges
    control.activity.withLock { activity in
      activity.busySince = start
      activity.gauges = gauges
    }
    let messages = executor.step()
    let span = executor.takeSpan()
    control.activity.withLock { activity in
      activity.busySince = nil
      guard let span else { return }
      activity.counters.count(span)
      activity.counters.waitingNanoseconds += start - min(start, waitingSince)
    }
    guard let messages else { return false }
    for message in messages {
      do throws(MessagingError) {
        let bytes = try send(message, control)
        control.activity.withLock { $0.counters.sentBytes += UInt64(bytes) }
      } catch {
        if control.isInterrupted.load(ordering: .acquiring) { return true }
        throw Failure(
          code: Self.peerLost, message: "\(Self.peer(of: message)) takes no messages: \(error)")
      }
    }
    if var sent = span {
      let end = sent.startNanoseconds + sent.busyNanoseconds
      let now = Clock.nanoseconds
      sent.sendingNanoseconds = StageMeter.bounded(now - min(now, end))
      let (after, vision) = (executor.gauges, executor.visionCounts)
      control.activity.withLock { activity in
        activity.spans.append(sent)
        activity.gauges = after
        activity.counters.visionCacheHits = vision.hits
        activity.counters.visionCacheMisses = vision.misses
      }
    }
    return true
  }

  /// The code of the failure when a neighbour doesn't take what it should.
  static let peerLost = "peer_lost"

  private static func peer(of message: StageExecutor.Outgoing) -> String {
    switch message {
    case .microBatch(let batch):
      batch.route.indices.contains(batch.stage)
        ? "worker \(batch.route[batch.stage]), the next stage," : "the next stage"
    case .tokens: "the coordinator, or the stage that starts decode steps,"
    }
  }

  /// Takes note of a pulse.
  func hear(_ pulse: Pulse) {
    if pulse.epoch == assign.epoch, heard[pulse.worker] != nil {
      heard[pulse.worker] = Clock.milliseconds
    }
  }

  /// Workers that should be heard here and aren't; to be asked when everything that came is read.
  func silentWorkers(_ milliseconds: Int) -> [Int] {
    let now = Clock.milliseconds
    return isPaused ? [] : heard.filter { now - $0.value > milliseconds }.keys.sorted()
  }

  /// The main thread was elsewhere, loading: what it didn't hear meanwhile says nothing.
  func beginHearing() {
    let now = Clock.milliseconds
    for worker in heard.keys { heard[worker] = now }
  }

  /// - Returns: bytes sent.
  private func send(
    _ message: StageExecutor.Outgoing, _ control: WorkerControl
  ) throws(MessagingError) -> Int {
    switch message {
    case .microBatch(var batch):
      guard batch.route.indices.contains(batch.stage) else { return 0 }
      batch.encoding = assign.encoding
      return try untilTaken(control) { wait throws(MessagingError) in
        try links.send(.microBatch(batch), to: batch.route[batch.stage], wait: wait)
      }
    case .tokens(let tokens):
      // Straight to the stage that starts the next step; the coordinator hears beside that path.
      var bytes = 0
      if let embeddingWorker {
        bytes = try untilTaken(control) { wait throws(MessagingError) in
          try links.send(.tokenBatch(tokens), to: embeddingWorker, wait: wait)
        }
      } else {
        executor.receive(.tokenBatch(tokens))
      }
      let frames = try tokens.encode()
      return try untilTaken(control) { wait throws(MessagingError) in
        try results.send(frames, wait: wait)
        return bytes + frames.reduce(0) { $0 + $1.byteCount }
      }
    }
  }

  /// Sends as soon as the receiver takes it, unless an order comes meanwhile that makes it idle.
  private func untilTaken(
    _ control: WorkerControl, _ send: (Wait) throws(MessagingError) -> Int
  ) throws(MessagingError) -> Int {
    let deadline = Clock.milliseconds + sendMilliseconds
    while true {
      do throws(MessagingError) { return try send(.milliseconds(20)) } catch {
        guard error.code == .timedOut, Clock.milliseconds < deadline,
          !control.isInterrupted.load(ordering: .acquiring)
        else { throw error }
      }
    }
  }
}
