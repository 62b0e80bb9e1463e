import Messaging

/// Finding out who is dead, silent, slow or cut off.
extension ClusterState {
  mutating func moved(now: Int) {
    if hasWork, lastMove > 0 { longestRest = max(longestRest, now - lastMove) }
    lastMove = now
  }

  mutating func tick(now: Int) -> [Effect] {
    var effects: [Effect] = []
    for index in workers.keys.sorted() {
      guard let worker = workers[index] else { continue }
      let silence = now - worker.lastSeen
      if let since = worker.unreachableSince, now - since >= limits.deadMilliseconds {
        effects += lose(index, .dead, now: now)
      } else if silence > limits.silenceMilliseconds {
        let loss =
          worker.unreachableSince == nil ? WorkerLoss.silent(milliseconds: silence) : .dead
        effects += lose(index, loss, now: now)
      } else if silence * 2 > limits.heartbeatMilliseconds * 3,
        now - worker.lastPoke >= limits.heartbeatMilliseconds / 2
      {
        // Whether its connection still stands: sending says so.
        workers[index]?.lastPoke = now
        effects.append(.send(.heartbeatReply(HeartbeatReply(epoch: epoch)), worker.peer))
      }
    }
    effects += checkPlan(now: now)
    guard now - lastTry >= limits.heartbeatMilliseconds else { return effects }
    lastTry = now
    switch phase {
    case .gathering: return effects + remake(now: now)
    case .ready:
      followMix()
      return effects + growWhenItPays(now: now)
    case .loading, .probing: return effects
    }
  }

  private mutating func checkPlan(now: Int) -> [Effect] {
    switch phase {
    case .gathering: return []
    case .loading:
      let late = orders.keys.sorted().filter { workers[$0]?.isReady == false }
      // Weights that still come are a sign of life, however slow the way is.
      let worst = late.first {
        now - max(phaseStart, workers[$0]?.fetchMoved ?? 0) > limits.loadMilliseconds
      }
      if let worst {
        let how = "its stage has not loaded in \(limits.loadMilliseconds / 1000) s"
        return lose(worst, .slow(how), now: now)
      }
      guard now - lastOrder >= limits.silenceMilliseconds else { return [] }
      // An order may be lost, or its answer; who has done it already says so again.
      lastOrder = now
      return late.compactMap { index in
        guard let peer = workers[index]?.peer, let order = orders[index] else { return nil }
        return .send(.assign(order), peer)
      }
    case .probing, .ready:
      if phase == .probing, now - phaseStart > limits.probeMilliseconds {
        return suspend(
          "no probe came back in \(limits.probeMilliseconds) ms", isDeath: false, now: now)
          + remake(now: now)
      }
      if let last = plan?.stages.last?.workers.first, let heard = resultsHeard[last],
        now - heard > limits.linkSilenceMilliseconds, isHeard(last, now: now)
      {
        return lose(last, .unheard(by: "the coordinator"), now: now)
      }
      return checkStall(now: now)
    }
  }

  /// Everybody lives and has nothing to do, and yet requests are under way: a message was lost.
  private mutating func checkStall(now: Int) -> [Effect] {
    guard hasWork || phase == .probing, let plan else {
      lastMove = now
      return []
    }
    let base = max(limits.stallMilliseconds, 3 * longestRest)
    let wait = min(base << min(stalls, 8), limits.stallMillisecondsMaximum)
    guard now - lastMove > wait else { return [] }
    // Only when all have said so since; one that is silent is found out by that.
    guard plan.stages.flatMap(\.workers).allSatisfy({ isHeard($0, now: now) }) else { return [] }
    stalls += 1
    let rest = now - lastMove
    return [.report(.stalled(milliseconds: rest))]
      + suspend("nothing moved for \(rest) ms: a message was lost", isDeath: false, now: now)
      + remake(now: now)
  }

  /// Whether a worker was heard so lately that it may be taken to live.
  func isHeard(_ index: Int, now: Int) -> Bool {
    guard let worker = workers[index] else { return false }
    return worker.unreachableSince == nil
      && now - worker.lastSeen <= 2 * limits.heartbeatMilliseconds
  }

  /// What a heartbeat says of its sender, and of those that send to it.
  mutating func judge(_ heartbeat: Heartbeat, of index: Int, now: Int) -> [Effect] {
    guard heartbeat.epoch == epoch, var worker = workers[index], worker.stage != nil, plan != nil,
      phase == .probing || phase == .ready
    else { return [] }
    let (counters, gauges) = (heartbeat.counters, heartbeat.gauges)
    if heartbeat.busyMilliseconds > 0 || gauges.queueLength > 0 || gauges.waitingTokens > 0
      || counters.microBatches != worker.microBatches
    {
      moved(now: now)
    }
    worker.microBatches = counters.microBatches
    worker.pace.take(heartbeat, limits: limits)
    workers[index] = worker
    let deadline = worker.pace.deadlineMilliseconds(limits)
    if heartbeat.busyMilliseconds > deadline {
      let how =
        "one micro-batch has taken \(heartbeat.busyMilliseconds) ms, \(deadline) are allowed"
      return lose(index, .slow(how), now: now)
    }
    for other in heartbeat.silentWorkers
    where workers[other]?.stage != nil && isHeard(other, now: now) {
      // The receiver's end is given up: its address is what doesn't work.
      return lose(index, .unheard(by: "worker \(workers[other]?.name ?? "")"), now: now)
    }
    if heartbeat.silentWorkers.contains(WorkerAddress.coordinator) {
      return lose(index, .unheard(by: "the coordinator"), now: now)
    }
    return judgePace(worker, now: now)
  }

  private mutating func judgePace(_ worker: ClusterWorker, now: Int) -> [Effect] {
    guard worker.pace.slowCount >= 2, let plan else {
      if worker.pace.slowCount == 0 { slowReported.remove(worker.index) }
      return []
    }
    // When all are slow together, the machine is busy and nobody is to blame.
    let others = plan.stages.flatMap(\.workers).filter { $0 != worker.index }
      .compactMap { workers[$0]?.pace.factor }.sorted()
    if !others.isEmpty, worker.pace.factor < 3 * others[others.count / 2] { return [] }
    let how = "its micro-batches take \(Int(worker.pace.factor)) times longer than usual"
    let spares = usable(now: now).filter { $0.stage == nil }
    if !spares.isEmpty { return lose(worker.index, .slow(how), now: now) }
    guard slowReported.insert(worker.index).inserted else { return [] }
    message = "worker '\(worker.name)' is slow: \(how); start another worker to take its place"
    return [.report(.workerSlow(name: worker.name, how: how))]
  }

  /// Takes a worker out of its stage: for good where it is gone, for a while where it is not.
  mutating func lose(_ index: Int, _ loss: WorkerLoss, now: Int) -> [Effect] {
    guard let worker = workers[index] else { return [] }
    // That one who was told to go is gone is no loss, however it went.
    let loss = worker.isLeaving ? .left : loss
    let effects: [Effect] = [.report(.workerLost(name: worker.name, reason: loss.text))]
    switch loss {
    case .slow, .unheard:
      strike(worker.name, now: now)
      // It lives, so it is at fault in its own right, and doesn't come back at once.
      let earliest = now + limits.backoffMilliseconds
      let until = max(earliest, strikes[worker.name]?.until ?? 0)
      strikes[worker.name]?.until = until
    case .failed, .dead, .silent:
      strike(worker.name, now: now)
      workers[index] = nil
    case .left: workers[index] = nil
    }
    slowReported.remove(index)
    guard worker.stage != nil, plan != nil else { return effects }
    let cause = "worker '\(worker.name)' \(loss.text)"
    return effects + suspend(cause, isDeath: loss.isDeath, now: now) + remake(now: now)
  }

  private mutating func strike(_ name: String, now: Int) {
    if strikes.count >= 4 * limits.workers {
      strikes = strikes.filter { now - $0.value.last <= limits.strikeMilliseconds }
    }
    strikes[name, default: WorkerStrikes()].add(now: now, limits: limits)
  }
}

extension WorkerAddress {
  /// Stands for the coordinator where workers are numbered.
  static let coordinator = 0xFFFF_FFFF
}
