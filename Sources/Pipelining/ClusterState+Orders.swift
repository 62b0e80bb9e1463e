import Messaging
import PaliGemma

/// What people order of a running cluster: to let workers go, and to use more of them or fewer.
extension ClusterState {
  /// Why a worker ends that was drained.
  static let leaveText = "the node was drained: no plan uses it any more"

  mutating func follow(
    _ order: ClusterOrder, from client: PeerIdentity, now: Int
  ) -> [Effect] {
    switch order {
    case .drain(let node): drain(node, client, now: now)
    case .scale(let count): scale(to: count, client, now: now)
    }
  }

  // MARK: Drain

  /// Makes a plan without the workers of a name or of a machine, and tells them to end. Nothing is lost:
  /// what they had under way is computed anew by the others.
  private mutating func drain(_ node: String, _ client: PeerIdentity, now: Int) -> [Effect] {
    let named = workers.values.filter { $0.name == node }
    let leaving = (named.isEmpty ? workers.values.filter { $0.register.host == node } : named)
      .sorted { $0.index < $1.index }
    guard !leaving.isEmpty else {
      return refuse(
        "no worker and no node is called '\(node)'; `palisade cluster status` lists them", client)
    }
    let indices = Set(leaving.map(\.index))
    let rest = usable(now: now).filter { !indices.contains($0.index) }
    let isUsed = plan?.stages.contains { !indices.isDisjoint(with: $0.workers) } ?? false
    let choice = isUsed ? choose(rest, now: now) : nil
    if isUsed && choice == nil { return refuse(shortage(rest, without: node), client) }
    var effects: [Effect] = []
    for index in indices { workers[index]?.isLeaving = true }
    if let before = plan, let choice {
      effects += suspend("node '\(node)' is drained", isDeath: false, now: now)
      effects += assign(choice, now: now)
      effects.append(done(drainText(leaving, before, choice.plan), client))
    } else {
      effects.append(done(drainText(leaving, nil, nil), client))
    }
    effects += leaving.map { .send(.shutdown(reason: Self.leaveText), $0.peer) }
    // Among those that wait for a plan, it was counted.
    if phase == .gathering { effects += remake(now: now) }
    if phase == .ready { message = readyMessage }
    return effects
  }

  private func drainText(
    _ leaving: [ClusterWorker], _ before: PipelinePlan?, _ after: PipelinePlan?
  ) -> String {
    let names = leaving.map(\.name).joined(separator: ", ")
    guard let before, let after else { return "\(names): had no stage, and was told to end" }
    return "\(names): told to end; plan \(shown(epoch)) does without, over "
      + "\(after.workerCount) workers" + change(from: before, to: after)
  }

  /// Why those left can't do it, with figures, and what to do about it.
  private func shortage(_ rest: [ClusterWorker], without node: String) -> String {
    var why = "no plan can be made over the \(rest.count) workers left without '\(node)'"
    if wasReady, let reduced = setup.template.reduced(to: rest.count, config: config),
      let plan = plan(reduced, over: rest), let misfit = misfit(plan)
    {
      why += ": \(misfit)"
    }
    return why + "; start another with `palisade worker` first, then drain it"
  }

  // MARK: Scale

  private mutating func scale(
    to count: Int, _ client: PeerIdentity, now: Int
  ) -> [Effect] {
    guard count <= limits.workers else {
      return refuse("a cluster takes at most \(limits.workers) workers", client)
    }
    guard setup.planning == .template else {
      return refuse(
        "the plan is made from what the workers measure, over all there are; start more with "
          + "`palisade worker`, or let some go with `palisade cluster drain`", client)
    }
    guard setup.template.stages.allSatisfy(\.workerNames.isEmpty) else {
      return refuse(
        "the cluster file names the workers of its stages; change it there and start `serve` again",
        client)
    }
    guard let template = template(for: count) else {
      return refuse("the model has too few blocks for \(count) workers", client)
    }
    let present = usable(now: now)
    guard let wanted = plan(template, over: present) else {
      setup.template = template
      orderedCount = count
      let missing = max(1, count - present.count)
      let text =
        "\(count) workers are wanted and \(present.count) are there; start \(missing) more with "
        + "`palisade worker`: the plan takes them in when they have come"
      return [done(text, client)] + (phase == .gathering ? remake(now: now) : [])
    }
    if let misfit = misfit(wanted) {
      return refuse("the model does not fit \(count) workers: \(misfit)", client)
    }
    setup.template = template
    guard let before = plan else {
      return [done("\(count) workers are wanted", client)] + remake(now: now)
    }
    guard
      before.stages.map(\.blocks) != wanted.stages.map(\.blocks)
        || before.stages.map(\.workers.count) != wanted.stages.map(\.workers.count)
    else {
      orderedCount = nil
      return [done("the plan uses \(count) workers already", client)]
    }
    orderedCount = count
    let choice = Choice(plan: wanted, names: template.stages.map(\.name))
    let effects =
      suspend("\(count) workers are wanted", isDeath: false, now: now) + assign(choice, now: now)
    let text =
      "plan \(shown(epoch)) uses \(count) workers" + change(from: before, to: choice.plan)
    return effects + [done(text, client)]
  }

  /// The cut for so many workers whose slowest stage has the least to do; nil when none can be made.
  private func template(for count: Int) -> ClusterTemplate? {
    if count == 1 {
      let all = ClusterTemplate.Stage(name: "all", blocks: 0..<config.blockCount)
      return try? ClusterTemplate(stages: [all], config: config)
    }
    return (1..<count).compactMap { vision in
      try? ClusterTemplate.even(
        visionCount: vision, shardCount: count - vision, config: config)
    }.min { cost($0) < cost($1) }
  }

  /// Whether a plan is the one that somebody ordered.
  func isOrdered(_ plan: PipelinePlan) -> Bool { plan.workerCount == orderedCount }

  // MARK: What a change is worth

  private func cost(_ template: ClusterTemplate) -> Double {
    template.stages.map {
      cost(of: $0.blocks) / Double($0.replicaCount)
    }.max() ?? 0
  }

  private func cost(of blocks: Range<Int>) -> Double {
    let all = config.blocks
    return blocks.reduce(0) { $0 + config.operations(of: all[$1]) }
  }

  /// How much more of its work a plan does in the same time.
  struct Gain: Equatable {
    /// How much faster, less than 0 for slower.
    var percent: Int
    /// Where it is known from.
    var basis: String

    static let measured = "by what its workers measured"
    static let operations = "by the model's operations"

    var text: String {
      if percent == 0 { return "\(basis) as fast as before" }
      return "\(basis) \(abs(percent)) % \(percent > 0 ? "faster" : "slower")"
    }
  }

  /// By what the workers of both plans measured, links and requests in flight included, as `plan
  /// --what-if` has it; by operations where one of them has not said how fast it is.
  func gain(of plan: PipelinePlan, over before: PipelinePlan) -> Gain {
    if let new = predicted(plan), let old = predicted(before), old > 0 {
      return Gain(percent: Int(((new / old - 1) * 100).rounded()), basis: Gain.measured)
    }
    let (new, old) = (cost(plan), cost(before))
    return Gain(
      percent: new > 0 ? Int(((old / new - 1) * 100).rounded()) : 0, basis: Gain.operations)
  }

  /// Images a second that a plan should do; nil when one of its workers has not measured itself.
  private func predicted(_ plan: PipelinePlan) -> Double? {
    var nodes: [PlanNode] = []
    for worker in plan.stages.flatMap(\.workers).map({ workers[$0] }) {
      guard let worker, let speed = worker.speed else { return nil }
      nodes.append(
        PlanNode(
          index: worker.index, name: worker.name, host: worker.register.host,
          memoryBytes: worker.register.memoryBytes, speed: speed))
    }
    return PlanForecast(plan.stages, names: [], nodes: nodes, config: config, workload: workload)?
      .imagesPerSecond
  }

  private func change(from before: PipelinePlan, to plan: PipelinePlan) -> String {
    "; " + gain(of: plan, over: before).text
  }

  /// What those without a stage are good for; nil while nobody is.
  func advice(now: Int) -> String? {
    guard let plan, setup.planning == .template else { return nil }
    let spares = usable(now: now).filter { $0.stage == nil }
    guard let newest = spares.map(\.index).max().flatMap({ workers[$0] }) else { return nil }
    if plan.workerCount < setup.template.workerCount {
      return "worker \(newest.name) waits for the next plan, which is made when it pays"
    }
    let count = plan.workerCount + spares.count
    guard let template = template(for: count),
      let wanted = self.plan(template, over: usable(now: now)),
      case let gain = gain(of: wanted, over: plan), gain.percent > 0
    else {
      return "worker \(newest.name) is a spare: it takes the place of one that is lost; "
        + "\(count) workers would be no faster"
    }
    return "worker \(newest.name) is a spare: it takes the place of one that is lost; `palisade "
      + "cluster scale \(count)` uses it, \(gain.text)"
  }

  // MARK: Answers

  private func refuse(_ text: String, _ client: PeerIdentity) -> [Effect] {
    [.answer(OrderAnswer(isDone: false, text: text), client)]
  }

  private func done(_ text: String, _ client: PeerIdentity) -> Effect {
    .answer(OrderAnswer(isDone: true, text: text), client)
  }

  /// A row for each worker.
  var nodes: [NodeStatus] {
    let reasons = Dictionary(leftOut.map { ($0.name, $0.reason) }) { first, _ in first }
    return workers.values.sorted { $0.index < $1.index }.map { worker in
      let stage = worker.stage.flatMap { planNames.indices.contains($0) ? planNames[$0] : nil }
      let isResting = (strikes[worker.name]?.until ?? 0) > lastTry
      let state: NodeStatus.State =
        worker.isLeaving
        ? .leaving : plan != nil && stage != nil ? .working : isResting ? .resting : .spare
      return NodeStatus(
        worker: worker.name, node: worker.register.host, state: state,
        stage: state == .working ? stage ?? "" : "", threads: worker.register.threads,
        memoryBytes: worker.register.memoryBytes, workerIndex: worker.index, speed: worker.speed,
        note: state == .spare ? reasons[worker.name] ?? "" : "")
    }
  }
}

extension PipelinePlan {
  /// Workers in all stages together.
  var workerCount: Int { stages.reduce(0) { $0 + $1.workers.count } }
}
