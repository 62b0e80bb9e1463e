import Checkpoints
import Foundation
import Messaging
import PaliGemma
import Synchronization
import Tensors

/// The process that runs a stage: receive, forward, send, on the calling thread.
public final class Worker {
  private let configuration: WorkerConfiguration
  private let context: Context
  private let gate: Gatekeeper
  private let data: Socket
  private let control: WorkerControl
  /// Gives others the weights that this worker has; nil where they couldn't reach it.
  private let weights: ModelDoor?
  private var hasAllWeights = false
  private let report: (WorkerReport) -> Void
  private let gateReports: Mailbox<GateReport>
  private var stage: AssignedStage?
  private var number = 0
  /// How fast this process is with which model.
  private var measured: (model: ModelNumbers, speed: WorkerSpeed)?
  /// Whether everything that came was read in this turn.
  private var hasReadAll = false

  /// Binds the data endpoint and starts the line to the coordinator.
  ///
  /// - Parameters:
  ///   - configuration: what to connect to.
  ///   - report: called on the worker's thread with what happens.
  /// - Throws: when the endpoint can't be bound.
  public init(
    _ configuration: WorkerConfiguration, report: @escaping (WorkerReport) -> Void
  ) throws(MessagingError) {
    self.configuration = configuration
    self.report = report
    context = try Context()
    var options = SocketOptions()
    options.receiveHighWaterMark = configuration.limits.messagesInFlight(workerCount: 64)
    let gateReports = try Mailbox<GateReport>(capacity: configuration.limits.mailbox)
    gate = try configuration.links.gatekeeper(in: context) { _ = gateReports.post($0) }
    self.gateReports = gateReports
    data = try Socket(
      .pull, in: context, options: configuration.links.listening(at: .data, options))
    try data.bind(configuration.dataEndpoint)
    let endpoint = try data.lastEndpoint()
    report(.listening(endpoint: endpoint))
    let weights = try Self.door(beside: endpoint, configuration) { _ = gateReports.post($0) }
    self.weights = weights
    var registration = Register(
      name: configuration.name, host: ProcessInfo.processInfo.hostName,
      dataEndpoint: configuration.advertisedEndpoint
        ?? Endpoints.advertised(endpoint, toward: configuration.coordinatorEndpoint),
      instructionSet: Kernels.instructionSet, threads: configuration.threadCount,
      memoryBytes: Int(clamping: ProcessInfo.processInfo.physicalMemory),
      softwareVersion: configuration.softwareVersion)
    registration.weightsEndpoint =
      weights.map {
        configuration.advertisedWeights
          ?? Endpoints.advertised($0.endpoint, toward: configuration.coordinatorEndpoint)
      } ?? ""
    control = try WorkerControl(
      configuration, registration: registration, in: context,
      gates: [gate] + (weights.map { [$0.gate] } ?? []))
  }

  /// Where other workers get what this one has. Behind a translation of addresses they don't reach it,
  /// unless somebody says where.
  private static func door(
    beside endpoint: String, _ configuration: WorkerConfiguration,
    report: @escaping @Sendable (GateReport) -> Void
  ) throws(MessagingError) -> ModelDoor? {
    guard configuration.advertisedEndpoint == nil || configuration.advertisedWeights != nil
    else { return nil }
    return try ModelDoor(
      SharedSource(nil),
      endpoint: configuration.weightsEndpoint ?? Endpoints.beside(endpoint, suffix: "weights"),
      configuration.links, configuration.limits, uploads: configuration.limits.uploads
    ) { told in
      if case .gate(let gateReport) = told { report(gateReport) }
    }
  }

  /// A handle that ends `run` from another thread.
  public struct StopHandle: Sendable {
    fileprivate let control: WorkerControl
    /// Ends the worker after the micro-batch it computes.
    public func stop() { control.leave(.stop) }
  }

  /// Ends `run` from another thread, a signal handler's for instance.
  public var stopHandle: StopHandle { StopHandle(control: control) }

  /// Works until the coordinator or a `StopHandle` says stop.
  ///
  /// - Throws: `coordinator_lost`, `no_coordinator`, or why the stage could not be loaded.
  public func run() throws(Failure) {
    defer { control.stop() }
    var poller = Poller()
    _ = poller.add(data)
    _ = poller.add(fileDescriptor: control.inbox.wakeup)
    var waitingSince = Clock.nanoseconds
    while try takeOrders() {
      receive()
      watchNeighbours()
      let start = Clock.nanoseconds
      if step(since: waitingSince) {
        waitingSince = Clock.nanoseconds
        continue
      }
      // What waits in vain counts as waiting, loading as neither.
      if stage?.isPaused ?? true { waitingSince = start }
      let before = Clock.milliseconds
      _ = try? poller.wait(.milliseconds(configuration.limits.heartbeatMilliseconds))
      // Who was stopped has not heard the others, and they are not to blame.
      if Clock.milliseconds - before > 2 * configuration.limits.heartbeatMilliseconds {
        stage?.beginHearing()
      }
    }
  }

  /// Takes what the coordinator ordered; false when told to end.
  private func takeOrders() throws(Failure) -> Bool {
    control.isInterrupted.store(false, ordering: .releasing)
    for gateReport in gateReports.takeAll() { report(.gate(gateReport)) }
    let events = control.takeEvents()
    for (index, event) in events.enumerated() {
      switch event {
      case .stop: return false
      case .lost(let failure): throw failure
      case .away(let milliseconds): report(.away(milliseconds: milliseconds))
      case .back: report(.back)
      case .order(.shutdown(let reason)):
        report(.told(reason: reason))
        return false
      case .order(.welcome(let welcome)):
        // A new number is a new beginning: what others route to the old one is not for this worker.
        if number != welcome.worker { pause() }
        number = welcome.worker
        report(.welcomed(worker: welcome.worker))
        measure(welcome)
      case .order(.assign(let assign)):
        // Loading may take minutes: not for an order that another has followed.
        let isLast = !events[(index + 1)...].contains {
          if case .order(.assign) = $0 { true } else { false }
        }
        if isLast { try load(assign) }
      case .order(.reset(let epoch)) where stage?.assign.epoch == epoch:
        pause()
        report(.reset)
      case .order(.cancel(let epoch, let requests)) where stage?.assign.epoch == epoch:
        stage?.executor.cancel(requests)
      case .order: break
      }
    }
    return true
  }

  /// Finds out how fast this process is with the coordinator's model, and tells it.
  private func measure(_ welcome: Welcome) {
    guard let model = welcome.model else { return }
    if let measured, measured.model == model { return control.tell(measured.speed) }
    let start = Clock.milliseconds
    do {
      guard let precision = Precision(rawValue: model.precision) else { return }
      let config = try ModelConfig(json: model.text, from: "the coordinator")
      let speed = try SpeedCache.speed(
        of: config, fingerprint: model.fingerprint, precision: precision,
        program: configuration.softwareVersion, isFresh: configuration.isMeasuredAnew)
      measured = (model, speed)
      control.tell(speed)
      report(.measured(speed, milliseconds: Clock.milliseconds - start))
    } catch {
      let reason = (error as? Failure)?.message ?? "\(error)"
      report(.trouble("could not measure how fast this machine is: \(reason)"))
    }
  }

  private func load(_ assign: Assign) throws(Failure) {
    if let stage, stage.assign.epoch == assign.epoch, !stage.isPaused {
      return sayReady(stage, milliseconds: 0)
    }
    // What is held already is not loaded again; anything else goes first, to make room.
    let wanted = LoadedStage(
      blocks: assign.stages[assign.stage].blocks, precision: assign.precision,
      fingerprint: assign.fingerprint)
    if stage?.loaded != wanted {
      stage = nil
      control.loaded.withLock { $0 = nil }
    }
    let isKept = stage != nil
    let start = Clock.milliseconds
    control.loadingEpoch.store(assign.epoch, ordering: .releasing)
    defer { control.loadingEpoch.store(0, ordering: .releasing) }
    do {
      let loaded = try AssignedStage(
        assign, previous: stage, configuration: configuration, in: context
      ) {
        let model = try StageModel(assign, configuration: configuration, in: context, fetchHooks)
        weights?.offer(model.source)
        hasAllWeights = model.hasAllWeights
        return model
      }
      let blocks = assign.stages[assign.stage].blocks
      let milliseconds = Clock.milliseconds - start
      stage = loaded
      loaded.beginHearing()
      control.loaded.withLock { $0 = wanted }
      control.activity.withLock { activity in
        activity = WorkerControl.Activity(epoch: assign.epoch)
        activity.pulse = (loaded.receivers, number)
      }
      sayReady(loaded, milliseconds: milliseconds)
      report(
        .ready(
          stage: assign.stage, blocks: blocks, weightBytes: loaded.weightByteCount,
          milliseconds: milliseconds, areWeightsKept: isKept))
    } catch is FetchInterrupted {
      // Something else was ordered; what has come stays in the cache.
    } catch {
      let failure = (error as? Failure) ?? Failure(code: "load_failed", message: "\(error)")
      control.send(.workerFailure(WorkerFailure(epoch: assign.epoch, failure: failure)))
      throw failure
    }
  }

  private var fetchHooks: ModelFetch.Hooks {
    ModelFetch.Hooks(
      isInterrupted: { [control] in control.hasNews },
      progress: { [control] done, all in
        control.activity.withLock { activity in
          (activity.gauges.fetchedBytes, activity.gauges.fetchBytes) = (done, all)
        }
      }, report: report)
  }

  private func sayReady(_ stage: AssignedStage, milliseconds: Int) {
    var ready = Ready(
      epoch: stage.assign.epoch, stage: stage.assign.stage, loadMilliseconds: milliseconds,
      weightBytes: stage.weightByteCount)
    ready.hasAllWeights = hasAllWeights
    control.send(.ready(ready))
  }

  /// - Returns: whether there was something to do.
  private func step(since waitingSince: UInt64) -> Bool {
    guard let stage else { return false }
    do throws(Failure) { return try stage.step(since: waitingSince, control) } catch {
      // A neighbour is gone: this plan is over, but this worker is sound and waits for the next.
      report(.trouble(error.message))
      control.send(.workerFailure(WorkerFailure(epoch: stage.assign.epoch, failure: error)))
      pause()
      return true
    }
  }

  /// Ends what the stage does, and keeps what it holds.
  private func pause() {
    stage?.isPaused = true
    control.activity.withLock { activity in
      (activity.pulse, activity.silentWorkers) = (nil, [])
    }
  }

  /// Tells the coordinator whom it should hear of and doesn't.
  private func watchNeighbours() {
    guard hasReadAll, let stage else { return }
    let silent = stage.silentWorkers(configuration.limits.linkSilenceMilliseconds)
    control.activity.withLock { $0.silentWorkers = silent }
  }

  private func receive() {
    hasReadAll = false
    // Bounded by the scheduler's admission; the number here only keeps orders from waiting.
    for _ in 0..<configuration.limits.requestsInFlight {
      do throws(MessagingError) {
        guard let delivery = try data.take() else {
          hasReadAll = true
          return
        }
        let (frames, sender) = (delivery.frames, gate.sender(delivery.senderKey, at: .data))
        // Before a byte of it is looked at: nobody of this plan.
        guard sender.mayBe(.worker) || sender.mayBe(.coordinator) else { continue }
        let bytes = frames.reduce(0) { $0 + $1.byteCount }
        control.activity.withLock { $0.counters.receivedBytes += UInt64(bytes) }
        let message = try StageMessage.decode(frames)
        if case .pulse(let pulse) = message {
          stage?.hear(pulse)
        } else {
          stage?.executor.receive(message)
        }
      } catch { report(.trouble("dropped a message: \(error)")) }
    }
  }
}
