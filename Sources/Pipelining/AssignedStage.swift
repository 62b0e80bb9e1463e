import Checkpoints
import Messaging
import PaliGemma
import Synchronization
import Tensors

/// A worker's stage under one plan: its weights, its executor, its ways to other workers.
final class AssignedStage {
  let assign: Assign
  let executor: StageExecutor
  /// Bytes of the checkpoint this stage uses.
  let weightByteCount: Int
  private let links: StageLinks
  private let results: Socket
  /// The worker that starts decode steps; nil when it is this one.
  private let embeddingWorker: Int?
  private let sendMilliseconds: Int

  /// Loads the weights that `assign` asks for and connects to the neighbours.
  ///
  /// - Throws: `Failure`, `ModelError`, `CheckpointError` or `MessagingError`.
  init(_ assign: Assign, configuration: WorkerConfiguration, in context: Context) throws {
    let directory = configuration.modelDirectory ?? assign.modelDirectory
    let config = try ModelConfig(directory: directory)
    guard config.fingerprint == assign.fingerprint else {
      throw Failure(
        code: "other_model",
        message: "the model in \(directory) is not the coordinator's; copy it there, or give this "
          + "worker the right folder with --model")
    }
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
    let section = try ModelSection(
      config: config, checkpoint: Checkpoint(directory: directory),
      blocks: plan.stages[assign.stage].blocks, precision: precision)
    weightByteCount = section.weightByteCount
    let limits = configuration.limits
    executor = StageExecutor(
      section: section, plan: plan, stage: assign.stage, epoch: assign.epoch, limits: limits)
    let next = assign.stage + 1 < plan.stages.count ? assign.stages[assign.stage + 1].workers : []
    let embedding =
      assign.stage == plan.embeddingStage ? [] : assign.stages[plan.embeddingStage].workers
    let highWaterMark = limits.messagesInFlight(stageCount: plan.stages.count)
    links = try StageLinks(
      next + embedding, in: context, highWaterMark: highWaterMark, configuration.links)
    var options = SocketOptions()
    options.sendHighWaterMark = limits.mailbox
    results = try Socket(
      .push, in: context, options: configuration.links.toCoordinator(options))
    try results.connect(
      Endpoints.reachable(
        assign.resultsEndpoint, asSeenFrom: configuration.coordinatorEndpoint))
    embeddingWorker = embedding.first?.worker
    sendMilliseconds = limits.sendMilliseconds
    self.assign = assign
  }

  /// Computes one micro-batch, if there is one, and sends what comes of it.
  ///
  /// - Parameters:
  ///   - waitingSince: since when the worker has had nothing to do, in nanoseconds.
  ///   - control: told of the work for heartbeats.
  /// - Returns: whether there was something to do.
  /// - Throws: `peer_lost` when a neighbour doesn't take what it should.
  func step(since waitingSince: UInt64, _ control: WorkerControl) throws(Failure) -> Bool {
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
        let bytes = try send(message)
        control.activity.withLock { $0.counters.sentBytes += UInt64(bytes) }
      } catch {
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

  /// - Returns: bytes sent.
  private func send(_ message: StageExecutor.Outgoing) throws(MessagingError) -> Int {
    let wait = Wait.milliseconds(sendMilliseconds)
    switch message {
    case .microBatch(let batch):
      guard batch.route.indices.contains(batch.stage) else { return 0 }
      return try links.send(.microBatch(batch), to: batch.route[batch.stage], wait: wait)
    case .tokens(let tokens):
      // Straight to the stage that starts the next step; the coordinator hears beside that path.
      var bytes = 0
      if let embeddingWorker {
        bytes = try links.send(.tokenBatch(tokens), to: embeddingWorker, wait: wait)
      } else {
        executor.receive(.tokenBatch(tokens))
      }
      let frames = try tokens.encode()
      try results.send(frames, wait: wait)
      return bytes + frames.reduce(0) { $0 + $1.byteCount }
    }
  }
}
