import Foundation
import Messaging
import PaliGemma
import Tensors

/// What the coordinator's thread owns: the sockets, the clock, and the state that says what to do.
final class CoordinatorLoop {
  /// Where it listens, with the real port.
  let endpoint: String
  private let context: Context
  private let links: Links
  private let gate: Gatekeeper
  private var watch: DoorWatch
  private var memory: ClientMemory
  private let router: Socket
  private let results: Socket
  private let model: ModelDoor
  private var state: CoordinatorState
  private var way: FirstStages?
  private let limits: Limits
  private let submissions: SubmissionQueue
  private let replies: Mailbox<(PeerIdentity, ServerMessage)>
  private let clients: AsyncStream<ClientEvent>.Continuation
  private let reports: AsyncStream<CoordinatorReport>.Continuation
  /// When each client was last heard, in milliseconds; they ask for the status every second.
  private var clientHeard: [PeerIdentity: Int] = [:]
  private var lastPublished = 0
  private var publishedEpoch: UInt64 = 0
  private var lastPulse = 0
  private var lastTurn = 0

  init(
    _ configuration: Coordinator.Configuration, config: ModelConfig,
    submissions: SubmissionQueue, replies: Mailbox<(PeerIdentity, ServerMessage)>,
    clients: AsyncStream<ClientEvent>.Continuation,
    reports: AsyncStream<CoordinatorReport>.Continuation
  ) throws(MessagingError) {
    limits = configuration.limits
    self.submissions = submissions
    self.replies = replies
    self.clients = clients
    self.reports = reports
    context = try Context()
    links = configuration.links
    gate = try links.gatekeeper(in: context) { reports.yield(.gate($0)) }
    watch = DoorWatch(gate) { reports.yield(.gate($0)) }
    memory = ClientMemory(limits)
    var options = SocketOptions()
    options.sendHighWaterMark = limits.mailbox
    options.receiveHighWaterMark = limits.mailbox
    router = try Socket(.router, in: context, options: links.listening(at: .control, options))
    try router.bind(configuration.endpoint)
    endpoint = try router.lastEndpoint()
    results = try Socket(.pull, in: context, options: links.listening(at: .results, options))
    try results.bind(
      configuration.resultsEndpoint ?? Endpoints.beside(endpoint, suffix: "results"))
    let boundResults = try results.lastEndpoint()
    var setup = ClusterSetup(
      template: configuration.template, modelDirectory: configuration.modelDirectory,
      precision: configuration.precision.rawValue,
      resultsEndpoint: Endpoints.told(boundResults, as: configuration.advertised),
      fingerprint: config.fingerprint, firstEpoch: Self.firstEpoch)
    setup.planning = configuration.planning
    setup.model = ModelNumbers(
      text: config.json, fingerprint: config.fingerprint,
      precision: configuration.precision.rawValue)
    setup.encoding = configuration.encoding
    model = try ModelDoor(
      configuration, config: config,
      endpoint: configuration.weightsEndpoint ?? Endpoints.beside(endpoint, suffix: "model"),
      report: { reports.yield($0) })
    // A whole endpoint that leads to the results leads nowhere else.
    let host = configuration.advertised.flatMap { $0.hasPrefix("tcp://") ? nil : $0 }
    setup.modelEndpoint = Endpoints.told(model.endpoint, as: host)
    state = CoordinatorState(setup: setup, config: config, limits: limits)
    reports.yield(.listening(endpoint: endpoint))
    if configuration.advertised != nil {
      reports.yield(.advertised(results: boundResults, as: setup.resultsEndpoint))
    }
  }

  private var now: Int { Clock.milliseconds }

  /// Seconds since 1970 in the upper bits: a million plans each second before two lives could meet.
  private static var firstEpoch: UInt64 { UInt64(max(0, time(nil))) << 20 }

  func run() {
    var poller = Poller()
    _ = poller.add(router)
    _ = poller.add(results)
    _ = poller.add(fileDescriptor: submissions.mailbox.wakeup)
    _ = poller.add(fileDescriptor: replies.wakeup)
    lastTurn = now
    while takeCommands() {
      noticeStandstill()
      receiveControl()
      receiveResults()
      sendReplies()
      apply(.tick)
      dropSilentClients()
      pump()
      if now - lastPublished >= limits.publishMilliseconds { publish() }
      // A message the first stage didn't take at once is tried again soon.
      let isBlocked = way?.isBlocked ?? false
      _ = try? poller.wait(.milliseconds(isBlocked ? 2 : limits.heartbeatMilliseconds / 2))
    }
    for peer in state.cluster.peers {
      try? send(.shutdown(reason: "the coordinator was stopped"), to: peer)
    }
  }

  /// A turn takes half a heartbeat at the most, unless the process or its machine stood still.
  private func noticeStandstill() {
    let pause = now - lastTurn
    lastTurn = now
    guard pause > 2 * limits.heartbeatMilliseconds else { return }
    apply(.stoodStill(pause))
    for peer in clientHeard.keys { clientHeard[peer]? += pause }
  }

  // MARK: Callers

  /// Takes callers' commands; false when told to stop.
  private func takeCommands() -> Bool {
    for command in submissions.takeAll() {
      switch command {
      case .submit(let id, let request): apply(.submit(id, request))
      case .cancel(let id): apply(.cancel(id))
      case .stop: return false
      case .wake: break
      }
    }
    return true
  }

  private func sendReplies() {
    for (peer, message) in replies.takeAll() {
      if case .reply(let reply) = message { memory.release(reply.tag, of: peer) }
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
        guard let (peer, delivery) = try router.takeFromPeer() else { return }
        guard let sender = watch.sender(of: delivery, from: peer, now: now) else { continue }
        do throws(MessagingError) { try receive(delivery, from: peer, sender) } catch {
          reports.yield(.dropped("a message: \(error)"))
          // That the peer itself can't be answered now is no fault of its message.
          if error.isOfTheMessage { watch.refuse(peer, now: now) }
        }
      } catch { reports.yield(.dropped("a message: \(error)")) }
    }
  }

  private func receive(
    _ delivery: Delivery, from peer: PeerIdentity, _ sender: Sender
  ) throws(MessagingError) {
    let isClient = Endpoints.isClient(peer)
    // Before a byte of the message is read: may its sender say such things?
    guard sender.mayBe(isClient ? .client : .worker) else {
      return watch.refuse(peer, now: now)
    }
    if isClient {
      let message = try ClientMessage.decode(delivery.frames)
      if case .order(let order) = message { return follow(order, from: peer, sender) }
      return try receiveClient(message, from: peer)
    }
    var message = try ControlMessage.decode(delivery.frames)
    if case .register(var register) = message {
      register.publicKey = delivery.senderKey ?? ""
      message = .register(register)
    }
    if case .linkProbe(let sent, _) = message {
      return try send(.linkEcho(sentNanoseconds: sent), to: peer)
    }
    if case .heartbeat(let heartbeat) = message, let worker = state.cluster.worker(peer) {
      // What a new plan's first heartbeat tells is dropped until the plan itself was told.
      if state.cluster.epoch != publishedEpoch { publish() }
      submissions.telemetry.heard(heartbeat, from: worker)
    }
    apply(.control(peer, message))
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
    } else if case .submit(let submit) = message {
      if memory.take(submit, from: peer) {
        guard case .dropped = clients.yield(.message(message, from: peer)) else { return }
        memory.release(submit.tag, of: peer)
      }
      try router.send(ServerMessage.reply(Reply(tag: submit.tag, isBusy: true)).encode(), to: peer)
    } else {
      clients.yield(.message(message, from: peer))
    }
  }

  /// Does what a client orders of the cluster; who it was stays in the log.
  private func follow(_ order: ClusterOrder, from peer: PeerIdentity, _ sender: Sender) {
    var name = "a client"
    if case .known(_, let own) = sender { name = "client \(own)" }
    reports.yield(.ordered(order, by: name))
    apply(.order(order, from: peer))
    publish()
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

  /// Tells the state what happened, and does what it says.
  private func apply(_ event: CoordinatorState.Event) {
    for effect in state.handle(event, now: now) {
      switch effect {
      case .send(let message, let peer):
        do throws(MessagingError) { try send(message, to: peer) } catch {
          // A full queue is found out by the peer's silence.
          if error.code == .unreachable { apply(.unreachable(peer)) }
        }
      case .report(let report): reports.yield(report)
      case .answer(let answer, let client):
        // A client that is gone meanwhile asks again.
        try? router.send(ServerMessage.orderAnswer(answer).encode(), to: client)
      case .open(let workers, let epoch, let workerCount):
        way = try? FirstStages(
          workers, epoch: epoch, in: context, limits: limits, workerCount: workerCount,
          links)
      case .close: way = nil
      case .post(let batch): way?.post(batch)
      case .deliver(let events): submissions.deliver(events)
      }
    }
  }

  // MARK: The pipeline

  private func receiveResults() {
    for _ in 0..<limits.mailbox {
      do throws(MessagingError) {
        guard let delivery = try results.take() else { return }
        guard gate.sender(delivery.senderKey, at: .results).mayBe(.worker) else { continue }
        switch try StageMessage.decode(delivery.frames) {
        case .tokenBatch(let batch):
          submissions.telemetry.received(state.scheduler.fresh(batch))
          apply(.tokens(batch))
        case .pulse(let pulse): apply(.pulse(pulse))
        case .microBatch: reports.yield(.dropped("a micro-batch among results"))
        }
      } catch { reports.yield(.dropped("a result: \(error)")) }
    }
  }

  /// Shows how the cluster is to whoever wants to know.
  private func publish() {
    (lastPublished, publishedEpoch) = (now, state.cluster.epoch)
    submissions.telemetry.publish(
      state.cluster.status, epoch: state.cluster.epoch, inFlight: state.scheduler.counts.active)
  }

  /// Sends as many micro-batches as the pipeline takes.
  private func pump() {
    if now - lastPulse >= limits.heartbeatMilliseconds {
      lastPulse = now
      way?.pulse()
    }
    way?.flush()
    while !(way?.isBlocked ?? true), let batch = state.nextMicroBatch(now: now) { way?.post(batch) }
  }
}
