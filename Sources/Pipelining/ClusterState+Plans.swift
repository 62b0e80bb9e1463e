import Messaging
import PaliGemma

/// Making plans from the workers there are.
extension ClusterState {
  /// Workers that may have a stage now. One that has just fallen silent may be the next to be lost:
  /// when the coordinator's own network is gone all are, one after the other.
  func usable(now: Int) -> [ClusterWorker] {
    workers.values.filter { worker in
      isHeard(worker.index, now: now) && !worker.isLeaving
        && strikes[worker.name]?.until ?? now <= now
    }.sorted { $0.index < $1.index }
  }

  /// The pipeline is gone; `cause` says why.
  mutating func suspend(_ cause: String, isDeath: Bool, now: Int) -> [Effect] {
    guard plan != nil else { return [] }
    plan = nil
    enter(.gathering, cause, now: now)
    return [.suspend(isDeath: isDeath)]
  }

  /// Makes a plan if one can be made: the template's, or over those left once it was complete.
  mutating func remake(now: Int) -> [Effect] {
    guard plan == nil else { return [] }
    let present = usable(now: now)
    guard let choice = choose(present, now: now) else { return wait(present, now: now) }
    return assign(choice, now: now)
  }

  /// A better plan, where there is one that pays.
  mutating func growWhenItPays(now: Int) -> [Effect] {
    if case .measured = setup.planning { return growAsMeasured(now: now) }
    guard let plan, now - phaseStart >= limits.settleMilliseconds,
      let choice = choose(usable(now: now), now: now),
      choice.plan.stages.map(\.blocks) != plan.stages.map(\.blocks)
        || choice.plan.stages.map(\.workers.count) != plan.stages.map(\.workers.count),
      isOrdered(choice.plan) || cost(choice.plan) <= limits.gainShare * cost(plan)
    else { return [] }
    let cause =
      isOrdered(choice.plan)
      ? "the plan for \(setup.template.workerCount) workers, as ordered, takes over"
      : "a plan that is \(gain(of: choice.plan, over: plan).text) takes over"
    return suspend(cause, isDeath: false, now: now)
      + assign(choice, now: now)
  }

  struct Choice {
    var plan: PipelinePlan
    var names: [String]
  }

  /// The slowest stage's operations.
  func cost(_ plan: PipelinePlan) -> Double {
    let blocks = config.blocks
    return plan.stages.map { stage in
      stage.blocks.reduce(0) { $0 + config.operations(of: blocks[$1]) }
        / Double(stage.workers.count)
    }.max() ?? 0
  }

  mutating func choose(_ present: [ClusterWorker], now: Int) -> Choice? {
    if case .measured = setup.planning { return chooseAsMeasured(present, now: now) }
    var templates = [setup.template]
    if wasReady, let reduced = setup.template.reduced(to: present.count, config: config) {
      templates.append(reduced)
    }
    for template in templates {
      guard let plan = plan(template, over: present),
        template == setup.template || misfit(plan) == nil
      else { continue }
      return Choice(plan: plan, names: template.stages.map(\.name))
    }
    return nil
  }

  /// A template's stages with workers for them; nil when these are not enough.
  func plan(_ template: ClusterTemplate, over present: [ClusterWorker]) -> PipelinePlan? {
    guard
      let places = template.filled(
        from: present.map { ($0.index, $0.name) }, holding: { workers[$0]?.loaded?.blocks })
    else { return nil }
    let stages = zip(template.stages, places).map {
      PipelinePlan.Stage(blocks: $0.blocks, workers: $1)
    }
    return try? PipelinePlan(stages: stages, config: config)
  }

  /// The machine whose memory a plan doesn't fit, with the figures; nil when all fit.
  func misfit(_ plan: PipelinePlan) -> String? {
    var needs: [String: Int] = [:]
    for stage in plan.stages {
      let need = MemoryNeed(config: config, precision: setup.precision, limits: limits)
        .byteCount(of: stage.blocks, decodeStages: plan.decodeStageCount)
      for index in stage.workers { needs[workers[index]?.register.host ?? "", default: 0] += need }
    }
    for (host, need) in needs.sorted(by: { $0.key < $1.key }) {
      let memory =
        workers.values.filter { $0.register.host == host }
        .map(\.register.memoryBytes).max() ?? 0
      if memory > 0, need > memory {
        return
          "\(host) would hold \(need >> 20) MiB of weights and caches and has \(memory >> 20) MiB"
      }
    }
    return nil
  }

  private mutating func wait(_ present: [ClusterWorker], now: Int) -> [Effect] {
    let missing = setup.template.missingNames(among: present.map(\.name))
    var text =
      "\(present.count) workers have come, \(setup.wantedWorkerCount) are wanted"
      + (missing.isEmpty ? "" : ", one of them named \(missing.joined(separator: " or "))")
    if wasReady, let reduced = setup.template.reduced(to: present.count, config: config),
      let plan = plan(reduced, over: present), let misfit = misfit(plan)
    {
      text = "the model does not fit the \(present.count) workers left: \(misfit)"
    }
    if let reason = whyNoneIsMeasured(present, now: now) { text = reason }
    let resting = workers.values.filter { strikes[$0.name]?.until ?? 0 > now }.map(\.name).sorted()
    if !resting.isEmpty { text += "; \(resting.joined(separator: ", ")) rest after their losses" }
    let isNew = message != text
    message = text
    guard isNew else { return [] }
    // What they still compute is for nobody; what they hold may be of use yet.
    var effects: [Effect] = []
    for index in workers.keys.sorted() where workers[index]?.stage != nil {
      workers[index]?.stage = nil
      workers[index]?.isReady = false
      if let peer = workers[index]?.peer { effects.append(.send(.reset(epoch: epoch), peer)) }
    }
    return effects
  }

  mutating func assign(_ choice: Choice, now: Int) -> [Effect] {
    let plan = choice.plan
    if isOrdered(plan) { orderedCount = nil }
    keepsCaches = canKeepCaches(plan)
    (self.plan, planNames) = (plan, choice.names)
    epoch += 1
    let cause = message
    enter(
      .loading,
      wasReady
        ? "\(cause); workers load for plan \(shown(epoch))" : "workers are loading their weights",
      now: now)
    let assignments = plan.stages.map { stage in
      StageAssignment(blocks: stage.blocks, workers: stage.workers.map(address))
    }
    for index in workers.keys {
      workers[index]?.stage = nil
      workers[index]?.isReady = false
    }
    (orders, lastOrder) = ([:], now)
    var effects: [Effect] = []
    for (stage, place) in plan.stages.enumerated() {
      for index in place.workers {
        guard var worker = workers[index] else { continue }
        var assign = Assign(
          epoch: epoch, modelDirectory: setup.modelDirectory, precision: setup.precision,
          stage: stage, stages: assignments, resultsEndpoint: setup.resultsEndpoint,
          maximumMicroBatches: limits.messagesInFlight(workerCount: plan.workerCount),
          fingerprint: setup.fingerprint, keptEpoch: keepsCaches ? worker.assignedEpoch : 0,
          encoding: setup.encoding, modelEndpoint: setup.modelEndpoint)
        assign.weightSources = weightSources(of: place.blocks, for: index, in: plan)
        if worker.loaded?.blocks != place.blocks { worker.pace = WorkerPace() }
        worker.stage = stage
        worker.assignedEpoch = epoch
        worker.microBatches = 0
        worker.loaded = LoadedStage(
          blocks: place.blocks, precision: setup.precision, fingerprint: setup.fingerprint)
        workers[index] = worker
        orders[index] = assign
        effects.append(.send(.assign(assign), worker.peer))
      }
    }
    foresee()
    return effects + [.report(.assigned(epoch: shown(epoch), stages: stageNames()))]
  }

  /// Workers of the plan that have weights of some of these blocks, those with the most first: they
  /// know each other's keys.
  private func weightSources(
    of blocks: Range<Int>, for index: Int, in plan: PipelinePlan
  ) -> [WorkerAddress] {
    let others = plan.stages.flatMap(\.workers).filter { $0 != index }
    let able = others.compactMap { other -> (count: Int, address: WorkerAddress)? in
      guard let worker = workers[other], !worker.register.weightsEndpoint.isEmpty,
        let count = worker.given?.clamped(to: blocks).count, count > 0
      else { return nil }
      return (
        count,
        WorkerAddress(
          worker: other, endpoint: worker.register.weightsEndpoint,
          publicKey: worker.register.publicKey)
      )
    }
    return able.sorted { ($1.count, $0.address.worker) < ($0.count, $1.address.worker) }
      .prefix(limits.weightSources).map(\.address)
  }

  /// Whether all decoder layers stay where they are, with what requests have left there.
  func canKeepCaches(_ plan: PipelinePlan) -> Bool {
    plan.stages.allSatisfy { stage in
      config.decoderLayers(in: stage.blocks).isEmpty && !stage.blocks.contains(config.headIndex)
        || stage.workers.allSatisfy { index in
          workers[index].map { $0.assignedEpoch > 0 && $0.loaded?.blocks == stage.blocks } ?? false
        }
    }
  }

  private func stageNames() -> [String] {
    zip(planNames, plan?.stages ?? []).map { name, place in
      let names = place.workers.compactMap { workers[$0]?.name }.joined(separator: ", ")
      return
        "\(name) (blocks \(place.blocks.lowerBound)–\(place.blocks.upperBound - 1)): \(names)"
    }
  }

  var readyMessage: String {
    let spares = workers.values.filter { $0.stage == nil && !$0.isLeaving }.map(\.name).sorted()
    let reasons = leftOut.map { "; worker '\($0.name)' \($0.reason)" }.joined()
    return "all stages answered a probe"
      + (spares.isEmpty ? "" : "; spare: \(spares.joined(separator: ", "))") + reasons
  }

  /// What to show of the cluster: a row per worker of the plan, to be filled in by `Telemetry`.
  public var status: Status {
    var rows: [StageStatus] = []
    for (index, (name, place)) in zip(planNames, plan?.stages ?? []).enumerated() {
      for worker in place.workers.compactMap({ workers[$0] }) {
        var row = StageStatus(
          name: name, stage: index, blocks: place.blocks, worker: worker.name,
          workerIndex: worker.index, node: worker.register.host)
        row.instructionSet = worker.register.instructionSet
        row.threads = worker.register.threads
        row.memoryBytes = worker.register.memoryBytes
        rows.append(row)
      }
    }
    var status = Status(state: phase.rawValue, message: message + fetching, stages: rows)
    status.nodes = nodes
    status.wantedWorkerCount = setup.wantedWorkerCount
    status.encoding = setup.encoding
    if let plan {
      status.batchWindow = limits.batchWindow(
        decodeStages: plan.decodeStageCount, workerCount: plan.workerCount)
    }
    fillInPlanning(&status)
    return status
  }

  /// How far workers are that fetch their weights, while they load.
  private var fetching: String {
    guard phase == .loading else { return "" }
    let parts = workers.values.filter { $0.stage != nil && $0.fetch.all > 0 }
      .sorted { $0.index < $1.index }.map { worker in
        "\(worker.name) \(Int(100 * Double(worker.fetch.done) / Double(worker.fetch.all))) %"
      }
    return parts.isEmpty ? "" : "; fetching: \(parts.joined(separator: ", "))"
  }
}
