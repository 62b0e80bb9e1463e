import Messaging
import PaliGemma

@testable import Pipelining

/// The workers' side of the simulator, and what lies between.
extension Simulation {
  var isChaos: Bool { now < Self.chaosMilliseconds }

  /// Something bad: a crash, a hang, a cut, or an order in the midst of it.
  mutating func fault() {
    let index = random.int(0...processes.count - 1)
    switch random.int(0...3) {
    case 0:
      processes[index].isAlive = false
      push(.start(index), after: random.int(100...8000))
    case 1: processes[index].hangsUntil = now + random.int(200...9000)
    case 2: cutUntil[index] = now + random.int(200...8000)
    default: command(index)
    }
  }

  /// Somebody drains a worker, or wants another number of them.
  private mutating func command(_ index: Int) {
    let order: ClusterOrder =
      random.chance(500)
      ? .drain(node: "w\(index)") : .scale(workerCount: random.int(1...processes.count))
    if !isDown { apply(state.handle(.order(order, from: PeerIdentity([255, 255])), now: now)) }
  }

  mutating func start(_ index: Int) {
    let life = processes[index].life + 1
    processes[index] = Process(worker: FakeWorker(config: config), life: life)
    register(index)
    push(.beat(index, life: life), after: limits.heartbeatMilliseconds)
  }

  private mutating func register(_ index: Int) {
    let name = "w\(index)"
    var register = Register(
      name: name, host: name, dataEndpoint: address(index),
      instructionSet: "i", threads: 1, memoryBytes: 0, softwareVersion: "s")
    // What it holds stays when a coordinator is gone.
    if processes[index].worker.assign != nil {
      register.loaded = LoadedStage(
        blocks: processes[index].worker.blocks, precision: "f32", fingerprint: "f")
    }
    toCoordinator(index, .register(register))
  }

  /// Where a process takes micro-batches.
  private func address(_ index: Int) -> String {
    areAddressesFixed ? "\(index)" : "\(index)-\(processes[index].life)"
  }

  /// Control messages keep their order, and are lost now and then.
  private mutating func toCoordinator(_ index: Int, _ message: ControlMessage) {
    guard !(isChaos && random.chance(lossPerThousand)) else { return }
    let at = max(processes[index].controlReady.back, now + random.int(1...10))
    processes[index].controlReady.back = at
    heap.push(.toCoordinator(index, message), at: at)
  }

  mutating func send(_ message: ControlMessage, to peer: PeerIdentity) {
    let index = Int(peer.bytes[0]) - 1
    let process = processes[index]
    guard process.isAlive, peer == self.peer(index) else {
      for effect in state.handle(.unreachable(peer), now: now) {
        if case .send = effect { error = "an unreachable peer leads to sending" }
      }
      return
    }
    guard !(isChaos && random.chance(lossPerThousand)) else { return }
    let at = max(process.controlReady.there, now + random.int(1...10))
    processes[index].controlReady.there = at
    heap.push(.toWorker(index, life: process.life, message), at: at)
  }

  mutating func order(_ index: Int, _ message: ControlMessage) {
    switch message {
    case .welcome(let welcome):
      processes[index].number = welcome.worker
      if isMeasured {
        let milliseconds = Double(10 + 20 * (index % 2) + 200 * (index % 5 / 4))
        toCoordinator(index, .workerSpeed(Made.speed(milliseconds)))
      }
    case .registerAgain: register(index)
    case .assign(let assign):
      processes[index].worker.take(assign)
      processes[index].heard = [:]
      let ready = Ready(
        epoch: assign.epoch, stage: assign.stage, loadMilliseconds: 1, weightBytes: 1)
      toCoordinator(index, .ready(ready))
    case .cancel(let epoch, let requests):
      processes[index].worker.cancel(requests, epoch: epoch)
    case .shutdown:
      processes[index].isAlive = false
      push(.start(index), after: random.int(100...3000))
    default: break
    }
  }

  mutating func beat(_ index: Int) {
    let process = processes[index]
    push(.beat(index, life: process.life), after: limits.heartbeatMilliseconds)
    guard process.number >= 0 else { return register(index) }
    var heartbeat = Heartbeat(epoch: process.worker.assign?.epoch ?? 0)
    heartbeat.counters.microBatches = process.worker.microBatches
    heartbeat.gauges.queueLength = process.worker.queue.count
    heartbeat.gauges.waitingTokens = process.worker.waiting
    heartbeat.silentWorkers = silent(index)
    if let assign = process.worker.assign {
      let pulse = Pulse(epoch: assign.epoch, worker: process.number)
      if !isDown { _ = state.handle(.pulse(pulse), now: now) }
    }
    toCoordinator(index, .heartbeat(heartbeat))
  }

  /// Whom a worker should hear of and doesn't: pulses are not played one by one.
  private mutating func silent(_ index: Int) -> [Int] {
    guard let assign = processes[index].worker.assign else { return [] }
    let embedding =
      assign.stages.firstIndex { $0.blocks.contains(config.tokenEmbeddingIndex) } ?? 0
    var senders = assign.stage > 0 ? assign.stages[assign.stage - 1].workers : []
    if assign.stage == embedding, assign.stage < assign.stages.count - 1 {
      senders += assign.stages.last?.workers ?? []
    }
    var silent: [Int] = []
    for sender in senders {
      let other = processIndex(sender.endpoint)
      let isOpen =
        other.map { processes[$0].hangsUntil <= now } ?? false
        && cutUntil[index] ?? 0 <= now
      if isOpen || processes[index].heard[sender.worker] == nil {
        processes[index].heard[sender.worker] = now
      }
      let heard = processes[index].heard[sender.worker] ?? now
      if now - heard > limits.linkSilenceMilliseconds { silent.append(sender.worker) }
    }
    return silent
  }

  /// Whose data endpoint it is; nil when that life is over.
  private func processIndex(_ endpoint: String) -> Int? {
    processes.indices.first {
      processes[$0].isAlive && endpoint == address($0)
    }
  }

  /// Sends between stages: lost, doubled, late, and not in order.
  private mutating func toStage(_ endpoint: String, _ event: (Int, Int) -> Event) {
    guard let index = processIndex(endpoint), cutUntil[index] ?? 0 <= now else { return }
    if isChaos, random.chance(lossPerThousand) { return }
    let copies = isChaos && random.chance(lossPerThousand) ? 2 : 1
    for _ in 0..<copies {
      push(event(index, processes[index].life), after: random.int(1...15))
    }
  }

  mutating func post(_ batch: MicroBatch) {
    guard let endpoint = endpoint(batch.route[batch.stage]) else { return }
    var batch = batch
    batch.tensor = nil
    toStage(endpoint) { .rows($0, life: $1, FakeWorker.Message(batch: batch, rows: [])) }
  }

  private func endpoint(_ number: Int) -> String? {
    state.cluster.workers[number]?.register.dataEndpoint
  }

  mutating func wake(_ index: Int) {
    guard !processes[index].isBusy else { return }
    processes[index].isBusy = true
    push(.step(index, life: processes[index].life), after: random.int(1...8))
  }

  mutating func step(_ index: Int) {
    guard let messages = processes[index].worker.step(),
      let assign = processes[index].worker.assign
    else { return }
    if isDeadly(processes[index].worker) {
      processes[index].isAlive = false
      push(.start(index), after: random.int(100...3000))
      return
    }
    for message in messages {
      switch message {
      case .next(let next):
        let number = next.batch.route[next.batch.stage]
        guard
          let address = assign.stages[next.batch.stage].workers.first(where: { $0.worker == number }
          )
        else { continue }
        toStage(address.endpoint) { .rows($0, life: $1, next) }
      case .tokens(let tokens): answer(index, tokens, assign)
      }
    }
    wake(index)
  }

  private func isDeadly(_ worker: FakeWorker) -> Bool {
    guard let poison, worker.blocks.contains(poison.block) else { return false }
    return worker.computed.contains { segment in
      segment.request == poison.request
        && (segment.position..<segment.position + segment.rowCount).contains(poison.row)
    }
  }

  private mutating func answer(_ index: Int, _ tokens: TokenBatch, _ assign: Assign) {
    let embedding =
      assign.stages.firstIndex { $0.blocks.contains(config.tokenEmbeddingIndex) } ?? 0
    if embedding == assign.stage {
      processes[index].worker.receive(tokens)
    } else if let address = assign.stages[embedding].workers.first {
      toStage(address.endpoint) { .tokens($0, life: $1, tokens) }
    }
    guard !(isChaos && random.chance(lossPerThousand)) else { return }
    let copies = isChaos && random.chance(lossPerThousand) ? 2 : 1
    for _ in 0..<copies { push(.results(tokens), after: random.int(1...15)) }
  }
}
