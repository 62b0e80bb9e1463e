import Foundation
import Messaging
import Synchronization

/// A worker's line to its coordinator: one thread that registers, tells that the worker lives even
/// while the stage computes for seconds, and hands orders over.
final class WorkerControl: Sendable {
  /// What comes to the worker's main thread.
  enum Event: Sendable {
    case order(ControlMessage)
    case lost(Failure)
    case stop
  }
  /// What the stage is doing, for heartbeats.
  struct Activity {
    var epoch: UInt64 = 0
    var counters = Counters()
    var gauges = Gauges()
    var spans = Ring<TraceSpan>(capacity: MessageLimits.heartbeatSpanCount)
    var sequence: UInt64 = 0
    var busySince: UInt64?  // nanoseconds
  }

  let inbox: Mailbox<Event>
  private let outbox: Mailbox<ControlMessage>
  let activity = Mutex(Activity())
  private let registration: Register
  private let configuration: WorkerConfiguration
  private let gate: Gatekeeper
  private let isStopping = Atomic(false)

  init(
    _ configuration: WorkerConfiguration, registration: Register, in context: Context,
    gate: Gatekeeper
  ) throws(MessagingError) {
    self.configuration = configuration
    self.gate = gate
    self.registration = registration
    inbox = try Mailbox(capacity: configuration.limits.mailbox)
    outbox = try Mailbox(capacity: configuration.limits.mailbox)
    let thread = Thread { [self] in
      do throws(MessagingError) { try run(in: context) } catch {
        post(.lost(Failure(code: "coordinator_lost", message: "\(error)")))
      }
    }
    thread.name = "control"
    thread.start()
  }

  /// Sends the coordinator a message, soon.
  func send(_ message: ControlMessage) { _ = outbox.post(message) }

  /// Says goodbye and ends the thread.
  func stop() {
    isStopping.store(true, ordering: .releasing)
    send(.goodbye)
  }

  /// A full inbox means a main thread that has not looked for a thousand orders: it is stuck, and
  /// the coordinator finds that out by its micro-batches.
  private func post(_ event: Event) { _ = inbox.post(event) }

  private func run(in context: Context) throws(MessagingError) {
    var options = SocketOptions()
    options.identity = Endpoints.workerIdentity()
    options.isImmediate = false  // registration waits in the queue until the coordinator is there
    options.lingerMilliseconds = 500
    let socket = try Socket(
      .dealer, in: context, options: configuration.links.toCoordinator(options))
    try socket.connect(configuration.coordinatorEndpoint)
    try socket.send(ControlMessage.register(registration).encode())
    var poller = Poller()
    _ = poller.add(socket)
    _ = poller.add(fileDescriptor: outbox.wakeup)
    var (lastHeard, lastBeat) = (Clock.milliseconds, 0)
    var welcome: Welcome?
    var clock = ClockOffset()
    while true {
      while let frames = try socket.receive() {
        guard let message = try? ControlMessage.decode(frames) else { continue }
        lastHeard = Clock.milliseconds
        if case .welcome(let greeting) = message { welcome = greeting }
        if case .heartbeatReply(let reply) = message {
          clock.exchanged(
            sent: reply.echoNanoseconds, coordinator: reply.coordinatorNanoseconds,
            received: Clock.nanoseconds)
          continue
        }
        // At once, while the main thread computes or loads: neighbours connect meanwhile.
        if case .assign(let assign) = message {
          try gate.admit(
            workers: assign.stages.flatMap(\.workers).map(\.publicKey).filter { !$0.isEmpty })
        }
        post(.order(message))
      }
      for message in outbox.takeAll() { try socket.send(message.encode()) }
      if isStopping.load(ordering: .acquiring) { return }
      let now = Clock.milliseconds
      if let silence = silence(welcome, now - lastHeard) {
        post(.lost(silence))
        return
      }
      let interval = welcome?.heartbeatMilliseconds ?? configuration.limits.heartbeatMilliseconds
      if welcome != nil, now - lastBeat >= interval {
        lastBeat = now
        // A full queue means a silent coordinator, which the check above finds.
        try? socket.send(ControlMessage.heartbeat(heartbeat(clock)).encode())
      }
      _ = try poller.wait(.milliseconds(max(1, min(interval, interval - (now - lastBeat)))))
    }
  }

  /// Why the coordinator counts as lost after `milliseconds` of silence; nil while it doesn't.
  private func silence(_ welcome: Welcome?, _ milliseconds: Int) -> Failure? {
    let endpoint = configuration.coordinatorEndpoint
    if let welcome {
      guard milliseconds > welcome.silenceMilliseconds else { return nil }
      return Failure(
        code: "coordinator_lost",
        message: "the coordinator at \(endpoint) has said nothing for \(milliseconds) ms; "
          + "look at its log, start it again, then this worker")
    }
    guard milliseconds > configuration.patienceMilliseconds else { return nil }
    return Failure(
      code: "no_coordinator",
      message: "no coordinator answered at \(endpoint) in \(milliseconds / 1000) s; "
        + "start one with `palisade serve`, or check the endpoint and the network")
  }

  private func heartbeat(_ clock: ClockOffset) -> Heartbeat {
    let residentBytes = ProcessMemory.residentBytes
    let (spans, heartbeat) = activity.withLock { activity in
      let now = Clock.nanoseconds
      let busy = activity.busySince.map { now - min(now, $0) } ?? 0
      // Until the clocks are aligned, spans wait; what the ring has no room for is counted.
      let spans = clock.isAligned ? activity.spans.takeAll() : []
      var (counters, gauges) = (activity.counters, activity.gauges)
      // A stage that computes for seconds is busy all the while, not only when it is done.
      counters.busyNanoseconds += busy
      counters.droppedSpans = activity.spans.droppedCount
      gauges.residentBytes = residentBytes
      return (
        spans,
        Heartbeat(
          epoch: activity.epoch, counters: counters, gauges: gauges,
          busySequence: activity.sequence, busyMilliseconds: Int(busy / 1_000_000),
          sentNanoseconds: now, roundTripNanoseconds: clock.roundTripNanoseconds)
      )
    }
    var complete = heartbeat
    complete.spans = spans.compactMap(clock.shifted)
    return complete
  }
}
