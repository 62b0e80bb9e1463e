import Messaging
import PaliGemma

/// Plans from what the workers measured, and what is said about them.
extension ClusterState {
  var planner: Planner {
    Planner(
      config: config, precision: setup.precision, workload: workload, limits: limits)
  }

  /// What plans are made for.
  var workload: Workload {
    Workload(
      promptTokens: plannedMix.promptTokens, answerTokens: plannedMix.answerTokens,
      encoding: setup.encoding, limits: limits)
  }

  /// Takes note of how fast a worker is, and says what it would bring.
  mutating func weigh(_ speed: WorkerSpeed, of index: Int, now: Int) -> [Effect] {
    guard speed.fingerprint == setup.fingerprint, speed.precision == setup.precision,
      let name = workers[index]?.name
    else { return [] }
    workers[index]?.speed = speed
    foresee()
    if phase == .gathering { return remake(now: now) }
    guard workers[index]?.stage == nil, let forecast,
      let result = measuredPlan(usable(now: now), now: now)
    else { return [] }
    let (before, after) = (forecast.imagesPerSecond, result.forecast.imagesPerSecond)
    var what =
      result.leftOut.first { $0.index == index }?.reason
      ?? "would make it \(Self.short(after)) images/s, \(Self.short(before)) now"
    if setup.planning == .template { what += "; the plan is given, so it waits as a spare" }
    if phase == .ready { message = readyMessage }
    return [.report(.workerWeighed(name: name, what: what))]
  }

  /// The best plan over those there are; nil while not enough have measured themselves.
  mutating func measuredPlan(_ present: [ClusterWorker], now: Int) -> Planner.Result? {
    guard let nodes = nodes(present, now: now), !nodes.isEmpty else { return nil }
    if let planned, planned.nodes == nodes, planned.mix == plannedMix { return planned.result }
    guard let result = try? planner.plan(nodes) else { return nil }
    planned = (nodes, plannedMix, result)
    return result
  }

  mutating func chooseAsMeasured(_ present: [ClusterWorker], now: Int) -> Choice? {
    guard wasReady || present.count >= setup.wantedWorkerCount,
      let result = measuredPlan(present, now: now),
      let plan = try? PipelinePlan(stages: result.stages, config: config)
    else { return nil }
    return Choice(plan: plan, names: result.names)
  }

  /// Plans are made for what is asked, once enough was answered to know.
  mutating func followMix() {
    guard mix.isApart(from: plannedMix, imageRows: config.imageTokenCount) else { return }
    plannedMix = mix
    foresee()
  }

  /// A better plan, when it is better by enough, and what the change costs is won back soon.
  mutating func growAsMeasured(now: Int) -> [Effect] {
    guard plan != nil, now - phaseStart >= limits.settleMilliseconds, let forecast,
      let choice = chooseAsMeasured(usable(now: now), now: now), let result = planned?.result
    else { return [] }
    let (before, after) = (forecast.imagesPerSecond, result.forecast.imagesPerSecond)
    guard before <= limits.gainShare * after else { return [] }
    if hasWork {
      let lost = before * changeSeconds(choice.plan, result.forecast)
      guard lost <= (after - before) * Double(limits.paybackMilliseconds) / 1000 else { return [] }
    }
    let cause = "a plan for \(Self.short(after)) images/s takes over, \(Self.short(before)) before"
    return suspend(cause, isDeath: false, now: now) + assign(choice, now: now)
  }

  /// How long a change takes: the loading of what isn't held, and the prefills that are gone through again.
  private func changeSeconds(_ plan: PipelinePlan, _ forecast: PlanForecast) -> Double {
    let memory = MemoryNeed(config: config, precision: setup.precision, limits: limits)
    let rate = loadBytesPerSecond > 0 ? loadBytesPerSecond : Self.loadBytesPerSecondAtLeast
    let loading =
      plan.stages.flatMap { stage in
        stage.workers.map { index in
          workers[index]?.loaded?.blocks == stage.blocks
            ? 0 : Double(stage.blocks.reduce(0) { $0 + memory.weightByteCount(of: $1) }) / rate
        }
      }.max() ?? 0
    let replays =
      canKeepCaches(plan)
      ? 0
      : Double(workload.requestsInFlight(decodeStages: plan.decodeStageCount))
        / max(1e-9, forecast.imagesPerSecond)
    return loading + replays
  }

  /// A slow disk, until something has been loaded.
  private static let loadBytesPerSecondAtLeast = 200e6

  /// The workers as the planner wants them: all that have said how fast they are, and those that had
  /// time enough and count as the slowest.
  private func nodes(_ present: [ClusterWorker], now: Int) -> [PlanNode]? {
    let known = present.compactMap(\.speed)
    var hosts: [String: (free: Int, count: Int)] = [:]
    for worker in present {
      let free = worker.speed.map(\.freeBytes).flatMap { $0 > 0 ? $0 : nil }
      let own = min(free ?? .max, worker.register.memoryBytes)
      let before = hosts[worker.register.host] ?? (0, 0)
      hosts[worker.register.host] = (max(before.free, own), before.count + 1)
    }
    var nodes: [PlanNode] = []
    for worker in present {
      var speed = worker.speed
      if speed == nil {
        guard now - worker.joined >= limits.measureMilliseconds else { continue }
        let slowest = known.max { $0.prefillSeconds < $1.prefillSeconds }
        speed = slowest ?? WorkerSpeed(guessing: config, threads: worker.register.threads)
      }
      guard let speed, let host = hosts[worker.register.host] else { continue }
      nodes.append(
        PlanNode(
          index: worker.index, name: worker.name, host: worker.register.host,
          memoryBytes: host.free / host.count, speed: speed, loaded: worker.loaded?.blocks))
    }
    return wasReady || nodes.count >= setup.wantedWorkerCount ? nodes : nil
  }

  /// What the present plan should do, anew.
  mutating func foresee() {
    forecast = nil
    guard let plan else { return }
    // Of one that says nothing, what the plan was made with.
    let guessed = Dictionary(
      (planned?.nodes ?? []).map { ($0.index, $0.speed) }
    ) { first, _ in first }
    let nodes = workers.values.sorted { $0.index < $1.index }.compactMap { worker in
      (worker.speed ?? guessed[worker.index]).map {
        PlanNode(
          index: worker.index, name: worker.name, host: worker.register.host,
          memoryBytes: worker.register.memoryBytes, speed: $0)
      }
    }
    forecast = PlanForecast(
      plan.stages, names: planNames, nodes: nodes, config: config, workload: workload)
  }

  /// Who has no stage, and why, by the last plan that was made from measurement.
  var leftOut: [(name: String, reason: String)] {
    (planned?.result.leftOut ?? []).compactMap { left in
      workers[left.index].flatMap { $0.stage == nil ? ($0.name, left.reason) : nil }
    }
  }

  /// Why there is no plan yet though enough workers have come.
  func whyNoneIsMeasured(_ present: [ClusterWorker], now: Int) -> String? {
    guard case .measured = setup.planning, present.count >= setup.wantedWorkerCount,
      !present.isEmpty
    else { return nil }
    guard let nodes = nodes(present, now: now) else {
      return "\(present.count) workers have come and measure themselves"
    }
    do throws(Failure) {
      _ = try planner.plan(nodes)
      return nil
    } catch { return error.message }
  }

  /// What the plan should do, and what others need for plans of their own.
  func fillInPlanning(_ status: inout Status) {
    status.modelNumbers = setup.model?.text ?? ""
    // A guess is no prediction.
    let used = plan?.stages.flatMap(\.workers) ?? []
    guard used.allSatisfy({ workers[$0]?.speed != nil }) else { return }
    status.predictedImagesPerSecond = forecast?.imagesPerSecond ?? 0
    status.predictedBottleneck = forecast?.bottleneck ?? ""
  }

  static func short(_ rate: Double) -> String { "\(Double(Int(rate * 100)) / 100)" }
}

extension ClusterSetup {
  /// Workers that the first plan waits for.
  var wantedWorkerCount: Int {
    switch planning {
    case .template: template.workerCount
    case .measured(let minimum): max(1, minimum)
    }
  }
}

extension WorkerSpeed {
  /// A guess for a machine that says nothing: a tenth of what a core of 2020 does.
  init(guessing config: ModelConfig, threads: Int) {
    self.init()
    self.threads = max(1, threads)
    cores = max(1, threads)
    let rate = 5e9 * Double(self.threads)
    let rows = Double(config.imageTokenCount) + 16
    func seconds(_ block: Block) -> Double {
      config.operations(of: block, answerTokenCount: 0) / rate
    }
    patchSeconds = seconds(.patchEmbedding)
    visionSeconds = seconds(.visionLayer(0))
    projectorSeconds = seconds(.projector)
    prefillSeconds = seconds(.decoderLayer(0)) / rows
    steps = [
      Step(
        rows: 1, layerSeconds: prefillSeconds, headSeconds: seconds(.languageHead),
        hopSeconds: 1e-4)
    ]
  }
}
