import Foundation
import Messaging
import PaliGemma
import Tensors

/// What the coordinator's thread owns: the sockets, the cluster's state, the scheduler.
final class CoordinatorLoop {
  /// Where it listens, with the real port.
  let endpoint: String
  private let context: Context
  private let router: Socket
  private let results: Socket
  private var state: ClusterState
  private var way: FirstStages?
  private var scheduler: Scheduler?
  private let config: ModelConfig
  private let limits: Limits
  private let submissions: SubmissionQueue
  private let replies: Mailbox<(PeerIdentity, ServerMessage)>
  private let clients: AsyncStream<ClientEvent>.Continuation
  private let reports: AsyncStream<CoordinatorReport>.Continuation
  /// When each client was last heard, in milliseconds; they ask for the status every second.
  private var clientHeard: [PeerIdentity: Int] = [:]
  /// Requests that came before the cluster was ever ready.
  private var early: [(id: UInt64, request: PreparedRequest)] = []
  private var wasReady = false
  private var probesLeft = 0
  private var lastPublished = 0
  private var publishedEpoch: UInt64 = 0

  /// Ids of probes: above all ids that callers get.
  private static let firstProbe: UInt64 = 1 << 63

  init(
    _ configuration: Coordinator.Configuration, config: ModelConfig,
    submissions: SubmissionQueue, replies: Mailbox<(PeerIdentity, ServerMessage)>,
    clients: AsyncStream<ClientEvent>.Continuation,
    reports: AsyncStream<CoordinatorReport>.Continuation
  ) throws(MessagingError) {
    limits = configuration.limits
    self.config = config
    self.submissions = submissions
    self.replies = replies
    self.clients = clients
    self.reports = reports
    context = try Context()
    var options = SocketOptions()
    options.sendHighWaterMark = limits.mailbox
    options.receiveHighWaterMark = limits.mailbox
    router = try Socket(.router, in: context, options: options)
    try router.bind(configuration.endpoint)
    endpoint = try router.lastEndpoint()
    results = try Socket(.pull, in: context, options: options)
    try results.bind(Endpoints.beside(endpoint, suffix: "results"))
    let setup = ClusterSetup(
      template: configuration.template, modelDirectory: configuration.modelDirectory,
      precision: configuration.precision.rawValue, resultsEndpoint: try results.lastEndpoint(),
      fingerprint: config.fingerprint)
    state = ClusterState(setup: setup, config: config, limits: limits)
    reports.yield(.listening(endpoint: endpoint))
  }

  private var now: Int { Clock.milliseconds }

  func run() {
    var poller = Poller()
    _ = poller.add(router)
    _ = poller.add(results)
    _ = poller.add(fileDescriptor: submissions.mailbox.wakeup)
    _ = poller.add(fileDescriptor: replies.wakeup)
    while takeCommands() {
      receiveControl()
      receiveResults()
      sendReplies()
      apply(state.handle(.tick, now: now))
      dropSilentClients()
      pump()
      if now - lastPublished >= limits.publishMilliseconds { publish() }
      // A message the first stage didn't take at once is tried again soon.
      let isBlocked = way?.isBlocked ?? false
      _ = try? poller.wait(.milliseconds(isBlocked ? 2 : limits.heartbeatMilliseconds / 2))
    }
    for peer in state.peers {
      try? send(.shutdown(reason: "the coordinator was stopped"), to: peer)
    }
  }

  // MARK: Callers

  /// Takes callers' commands; false when told to stop.
  private func takeCommands() -> Bool {
    for command in submissions.takeAll() {
      switch command {
      case .submit(let id, let request): submit(request, id: id)
      case .cancel(let id):
        early.removeAll { $0.id == id }
        if scheduler?.cancel(id) ?? false { cancelInStages(id) }
      case .stop: return false
      case .wake: break
      }
    }
    return true
  }

  private func submit(_ request: PreparedRequest, id: UInt64) {
    guard state.phase == .ready, scheduler != nil else {
      // Before the first start requests wait for the workers; after a loss they are told.
      if !wasReady && early.count < limits.requestsWaiting {
        early.append((id, request))
      } else {
        submissions.finish(
          id,
          .failure(
            Failure(
              code: wasReady ? "cluster_not_ready" : "overloaded",
              message: "the cluster is \(state.phase.rawValue): \(state.message); start what is "
                + "missing with `palisade worker` and send this again")))
      }
      return
    }
    do throws(Failure) { try scheduler?.enqueue(request, id: id) } catch {
      submissions.finish(id, .failure(error))
    }
  }

  private func cancelInStages(_ id: UInt64) {
    for peer in state.peers {
      try? send(.cancel(epoch: state.epoch, requests: [id]), to: peer)
    }
  }

  private func sendReplies() {
    for (peer, message) in replies.takeAll() {
      do throws(MessagingError) {
        try router.send(message.encode(), to: peer)
      } catch {
        // The client is gone, or doesn't read: its answer has nobody to go to.
        reports.yield(.dropped("a reply: \(error)"))
      }
    }
  }

  // MARK: Workers and clients

  private func receiveControl() {
    for _ in 0..<limits.mailbox {
      do throws(MessagingError) {
        guard let (peer, frames) = try router.receiveFromPeer() else { return }
        if Endpoints.isClient(peer) {
          try receiveClient(ClientMessage.decode(frames), from: peer)
        } else {
          let message = try ControlMessage.decode(frames)
          if case .heartbeat(let heartbeat) = message, let worker = state.worker(peer) {
            // What a new plan's first heartbeat tells is dropped until the plan itself was told.
            if state.epoch != publishedEpoch { publish() }
            submissions.telemetry.heard(heartbeat, from: worker)
          }
          apply(state.handle(.message(peer, message), now: now))
        }
      } catch { reports.yield(.dropped("a message: \(error)")) }
    }
  }

  private func receiveClient(
    _ message: ClientMessage, from peer: PeerIdentity
  ) throws(MessagingError) {
    // One more client than there is room for is not remembered, and so never counts as gone.
    if clientHeard[peer] != nil || clientHeard.count < limits.clients { clientHeard[peer] = now }
    if case .status = message {
      publish()
      try router.send(ServerMessage.status(submissions.telemetry.status).encode(), to: peer)
    } else if case .trace(let spanCount) = message {
      let trace = submissions.telemetry.trace(spanCount: spanCount)
      try router.send(ServerMessage.trace(trace).encode(), to: peer)
    } else if case .dropped = clients.yield(.message(message, from: peer)),
      case .submit(let submit) = message
    {
      try router.send(ServerMessage.reply(Reply(tag: submit.tag, isBusy: true)).encode(), to: peer)
    }
  }

  private func dropSilentClients() {
    let now = now
    for (peer, heard) in clientHeard where now - heard > limits.clientSilenceMilliseconds {
      // When the buffer is full the client is looked at again at the next turn.
      if case .dropped = clients.yield(.gone(peer)) { return }
      clientHeard[peer] = nil
    }
  }

  private func send(_ message: ControlMessage, to peer: PeerIdentity) throws(MessagingError) {
    var message = message
    if case .heartbeatReply(var reply) = message {
      reply.coordinatorNanoseconds = Clock.nanoseconds
      message = .heartbeatReply(reply)
    }
    try router.send(message.encode(), to: peer)
  }

  private func apply(_ effects: [ClusterState.Effect]) {
    for effect in effects {
      switch effect {
      case .send(let message, let peer):
        // A peer that can't be reached is found out by its silence.
        try? send(message, to: peer)
      case .report(let report):
        reports.yield(report)
        if case .ready = report { admitEarly() }
      case .begin(let plan, let epoch, let firstStage):
        begin(plan, epoch: epoch, firstStage: firstStage)
      case .end(let failure): end(failure)
      }
    }
  }

  // MARK: The pipeline

  private func begin(_ plan: PipelinePlan, epoch: UInt64, firstStage: [WorkerAddress]) {
    do throws(MessagingError) {
      way = try FirstStages(firstStage, in: context, limits: limits, stageCount: plan.stages.count)
    } catch {
      let failure = Failure(code: "worker_lost", message: "\(error)")
      apply(state.handle(.probed(epoch: epoch, failure), now: now))
      return
    }
    var scheduler = Scheduler(config: config, plan: plan, epoch: epoch, limits: limits)
    // One micro-batch at a time, so that each replica of the first stage gets one.
    probesLeft = firstStage.count
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    pixels.withBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 128) }
    for probe in 0..<firstStage.count {
      let request = PreparedRequest(
        pixels: pixels, textTokenIDs: [config.beginTokenID],
        sampling: Sampling(maximumTokens: 1))
      try? scheduler.enqueue(request, id: Self.firstProbe + UInt64(probe))
      if let batch = scheduler.nextMicroBatch() { way?.post(batch) }
    }
    self.scheduler = scheduler
  }

  private func admitEarly() {
    wasReady = true
    let waiting = early
    early = []
    for (id, request) in waiting { submit(request, id: id) }
  }

  private func end(_ failure: Failure) {
    if let events = scheduler?.failAll(failure) { deliver(events) }
    scheduler = nil
    way = nil
  }

  private func receiveResults() {
    for _ in 0..<limits.mailbox {
      do throws(MessagingError) {
        guard let frames = try results.receive() else { return }
        let batch = try TokenBatch.decode(frames)
        submissions.telemetry.received(batch)
        if let events = scheduler?.receive(batch) { deliver(events) }
      } catch { reports.yield(.dropped("a result: \(error)")) }
    }
  }

  private func deliver(_ events: [Scheduler.Event]) {
    submissions.deliver(events.filter { $0.request < Self.firstProbe })
    for case .finished(let id, let result) in events where id >= Self.firstProbe {
      probesLeft -= 1
      if case .failure(let failure) = result {
        apply(state.handle(.probed(epoch: state.epoch, failure), now: now))
      } else if probesLeft == 0 {
        apply(state.handle(.probed(epoch: state.epoch, nil), now: now))
      }
    }
  }

  /// Shows how the cluster is to whoever wants to know.
  private func publish() {
    (lastPublished, publishedEpoch) = (now, state.epoch)
    submissions.telemetry.publish(
      state.status, epoch: state.epoch, inFlight: scheduler?.counts.active ?? 0)
  }

  /// Sends as many prefills as the pipeline takes.
  private func pump() {
    way?.flush()
    while !(way?.isBlocked ?? true), let batch = scheduler?.nextMicroBatch() { way?.post(batch) }
  }
}
