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
    /// The coordinator is silent; it may come back.
    case away(milliseconds: Int)
    case back
    case stop

    /// Whether it may end what the main thread does.
    var isNews: Bool {
      switch self {
      case .order(.welcome), .order(.cancel): false
      default: true
      }
    }
  }
  /// What the stage is doing, for heartbeats.
  struct Activity {
    var epoch: UInt64 = 0
    var counters = Counters()
    var gauges = Gauges()
    var spans = Ring<TraceSpan>(capacity: MessageLimits.heartbeatSpanCount)
    var sequence: UInt64 = 0
    var busySince: UInt64?  // nanoseconds
    /// Who is to hear that the way to them is open, and under which number this worker.
    var pulse: (workers: [WorkerAddress], own: Int)?
    /// Workers that should send here and are not heard.
    var silentWorkers: [Int] = []
  }

  let inbox: Mailbox<Event>
  private let outbox: Mailbox<ControlMessage>
  let activity = Mutex(Activity())
  /// What the worker holds, for its introduction.
  let loaded = Mutex<LoadedStage?>(nil)
  /// Whether an order came that ends what the main thread does: sending to somebody who takes nothing.
  let isInterrupted = Atomic(false)
  /// The plan whose weights the main thread loads now; 0 for none. Its order, said again, is no news.
  let loadingEpoch = Atomic<UInt64>(0)
  /// Events with news that were left for the main thread, and those that it took.
  private let posted = Atomic(0)
  private let taken = Atomic(0)
  private let registration: Register
  private let configuration: WorkerConfiguration
  private let gates: [Gatekeeper]
  private let isStopping = Atomic(false)

  init(
    _ configuration: WorkerConfiguration, registration: Register, in context: Context,
    gates: [Gatekeeper]
  ) throws(MessagingError) {
    self.configuration = configuration
    self.gates = gates
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
  private func post(_ event: Event) {
    if case .order(.assign(let assign)) = event,
      assign.epoch == loadingEpoch.load(ordering: .acquiring)
    {
      return
    }
    if event.isNews { isInterrupted.store(true, ordering: .releasing) }
    leave(event)
  }

  /// Leaves an event for the main thread, whatever that does.
  func leave(_ event: Event) {
    if inbox.post(event), event.isNews { posted.add(1, ordering: .releasing) }
  }

  /// What has come for the main thread.
  func takeEvents() -> [Event] {
    let events = inbox.takeAll()
    taken.add(events.count { $0.isNews }, ordering: .releasing)
    return events
  }

  /// Whether something waits for the main thread that may end what it does.
  var hasNews: Bool { posted.load(ordering: .acquiring) > taken.load(ordering: .acquiring) }

  /// The introduction, with what the worker holds now.
  private var introduction: ControlMessage {
    var register = registration
    register.loaded = loaded.withLock { $0 }
    return .register(register)
  }

  /// Tells the coordinator how fast this worker is, once the way to it is known too.
  func tell(_ speed: WorkerSpeed) { send(.workerSpeed(speed)) }

  private func run(in context: Context) throws(MessagingError) {
    var options = SocketOptions()
    options.identity = Endpoints.workerIdentity()
    options.isImmediate = false  // registration waits in the queue until the coordinator is there
    options.lingerMilliseconds = 500
    let socket = try Socket(
      .dealer, in: context, options: configuration.links.toCoordinator(options))
    try socket.connect(configuration.coordinatorEndpoint)
    try socket.send(introduction.encode())
    var poller = Poller()
    _ = poller.add(socket)
    _ = poller.add(fileDescriptor: outbox.wakeup)
    var line = Line(now: Clock.milliseconds)
    var links = PulseLinks()
    var lastTurn = Clock.milliseconds
    while true {
      line.forgive(Clock.milliseconds - lastTurn, limits: configuration.limits)
      lastTurn = Clock.milliseconds
      while let frames = try socket.receive() {
        guard let message = try? ControlMessage.decode(frames) else { continue }
        if line.isAway { post(.back) }
        if !line.take(message, now: Clock.milliseconds) { continue }
        if case .linkEcho(let sent) = message {
          line.probing.take(sent, now: Clock.nanoseconds)
          continue
        }
        if case .registerAgain = message {
          if line.mayRegister(now: Clock.milliseconds) { try socket.send(introduction.encode()) }
          continue
        }
        // At once, while the main thread computes or loads: neighbours connect meanwhile.
        if case .assign(let assign) = message {
          let keys = assign.stages.flatMap(\.workers).map(\.publicKey).filter { !$0.isEmpty }
          for gate in gates { try gate.admit(workers: keys) }
        }
        post(.order(message))
      }
      try sendWaiting(&line, socket)
      if isStopping.load(ordering: .acquiring) { return }
      let now = Clock.milliseconds
      if let failure = silence(&line, now: now) {
        post(.lost(failure))
        return
      }
      if line.welcome == nil, line.mayRegister(now: now, after: line.retryMilliseconds) {
        try? socket.send(introduction.encode())
      }
      let interval =
        line.welcome?.heartbeatMilliseconds ?? configuration.limits.heartbeatMilliseconds
      if line.welcome != nil, now - line.lastBeat >= interval {
        line.lastBeat = now
        // A full queue means a silent coordinator, which the check above finds.
        try? socket.send(ControlMessage.heartbeat(heartbeat(line.clock)).encode())
        links.pulse(activity.withLock { ($0.epoch, $0.pulse) }, in: context, configuration.links)
      }
      _ = try poller.wait(.milliseconds(max(1, min(interval, interval - (now - line.lastBeat)))))
    }
  }

  /// Sends what the main thread has for the coordinator.
  private func sendWaiting(_ line: inout Line, _ socket: borrowing Socket) throws(MessagingError) {
    for message in outbox.takeAll() {
      if case .workerSpeed(let speed) = message {
        line.speed = speed
      } else {
        try socket.send(message.encode())
      }
    }
    try tellSpeed(&line, socket)
  }

  /// Times the way to the coordinator, then says how fast the worker is.
  private func tellSpeed(_ line: inout Line, _ socket: borrowing Socket) throws(MessagingError) {
    guard line.welcome?.model != nil, line.speed != nil else { return }
    if let probe = line.probing.next(now: Clock.nanoseconds) { try? socket.send(probe.encode()) }
    guard line.probing.isDone, var speed = line.speed else { return }
    line.speed = nil
    line.probing.fill(&speed)
    try socket.send(ControlMessage.workerSpeed(speed).encode())
  }

  /// Why the coordinator counts as lost; nil while there is hope. One that was there and is silent is
  /// waited for as long as one that hasn't come yet, with the weights kept.
  private func silence(_ line: inout Line, now: Int) -> Failure? {
    let endpoint = configuration.coordinatorEndpoint
    let milliseconds = now - line.lastHeard
    guard let welcome = line.welcome else {
      guard milliseconds > configuration.patienceMilliseconds else { return nil }
      return Failure(
        code: "no_coordinator",
        message: "no coordinator answered at \(endpoint) in \(milliseconds / 1000) s; "
          + ConnectionTrial.advice(
            endpoint, options: configuration.links.toCoordinator(SocketOptions())))
    }
    guard milliseconds > welcome.silenceMilliseconds else { return nil }
    if !line.isAway {
      line.isAway = true
      post(.away(milliseconds: milliseconds))
    }
    guard milliseconds > max(configuration.patienceMilliseconds, welcome.silenceMilliseconds) else {
      return nil
    }
    return Failure(
      code: "coordinator_lost",
      message: "the coordinator at \(endpoint) has said nothing for \(milliseconds) ms; "
        + "look at its log, start it again, then this worker")
  }

  private func heartbeat(_ clock: ClockOffset) -> Heartbeat {
    let residentBytes = ProcessMemory.residentBytes
    let (spans, heartbeat) = activity.withLock { activity in
      let now = Clock.nanoseconds
      let busy = activity.busySince.map { now - min(now, $0) } ?? 0
      // Until the clocks are aligned, spans wait; what the ring has no room for is counted.
      let spans = clock.isAligned ? activity.spans.takeAll() : []
      var (counters, gauges) = (activity.counters, activity.gauges)
      let silent = activity.silentWorkers
      // A stage that computes for seconds is busy all the while, not only when it is done.
      counters.busyNanoseconds += busy
      counters.droppedSpans = activity.spans.droppedCount
      gauges.residentBytes = residentBytes
      return (
        spans,
        Heartbeat(
          epoch: activity.epoch, counters: counters, gauges: gauges,
          busySequence: activity.sequence, busyMilliseconds: Int(busy / 1_000_000),
          sentNanoseconds: now, roundTripNanoseconds: clock.roundTripNanoseconds,
          silentWorkers: silent)
      )
    }
    var complete = heartbeat
    complete.spans = spans.compactMap(clock.shifted)
    return complete
  }
}

/// What the control thread knows of its line to the coordinator.
private struct Line {
  var welcome: Welcome?
  var clock = ClockOffset()
  /// What the way to the coordinator is like, and what waits to be told with it.
  var probing = LinkProbing()
  var speed: WorkerSpeed?
  var lastHeard: Int
  var lastBeat = 0
  var isAway = false
  /// An introduction, or the answer, may be lost.
  let retryMilliseconds = 2000
  private var lastRegistered: Int

  init(now: Int) { (lastHeard, lastRegistered) = (now, now) }

  /// A turn takes a heartbeat at the most, unless the process stood still: then the coordinator is not
  /// to blame for what wasn't heard.
  mutating func forgive(_ milliseconds: Int, limits: Limits) {
    if milliseconds > 2 * limits.heartbeatMilliseconds { lastHeard += milliseconds }
  }

  /// Takes note of a message.
  ///
  /// - Returns: whether it is an order for others.
  mutating func take(_ message: ControlMessage, now: Int) -> Bool {
    lastHeard = now
    isAway = false
    switch message {
    case .welcome(let greeting):
      welcome = greeting
      probing = LinkProbing()
    case .heartbeatReply(let reply):
      // One without a heartbeat only asks whether the connection stands.
      if reply.echoNanoseconds > 0 {
        clock.exchanged(
          sent: reply.echoNanoseconds, coordinator: reply.coordinatorNanoseconds,
          received: Clock.nanoseconds)
      }
      return false
    default: break
    }
    return true
  }

  /// Heartbeats that waited for a coordinator ask for as many introductions; one is enough.
  mutating func mayRegister(now: Int, after milliseconds: Int = 300) -> Bool {
    guard now - lastRegistered >= milliseconds else { return false }
    lastRegistered = now
    clock = ClockOffset()
    return true
  }
}

/// The control thread's own ways to the workers that this one sends to: a stage that computes for
/// seconds is heard all the while.
private struct PulseLinks {
  private var epoch: UInt64 = 0
  private var links: StageLinksBox?

  /// Sends a pulse to everybody this worker sends to.
  mutating func pulse(
    _ state: (epoch: UInt64, pulse: (workers: [WorkerAddress], own: Int)?), in context: Context,
    _ protection: Links
  ) {
    guard let pulse = state.pulse else {
      links = nil
      return
    }
    if epoch != state.epoch || links == nil {
      epoch = state.epoch
      links = StageLinksBox(
        try? StageLinks(pulse.workers, in: context, highWaterMark: 8, protection))
    }
    links?.links?.pulse(Pulse(epoch: epoch, worker: pulse.own))
  }
}

/// Noncopyable links can't be in an optional of a copyable struct; a small class owns them.
private final class StageLinksBox {
  let links: StageLinks?
  init(_ links: consuming StageLinks?) { self.links = links }
}
