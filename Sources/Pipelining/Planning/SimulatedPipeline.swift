/// One pipeline of a simulation: who waits where.
struct SimulatedPipeline {
  /// A micro-batch.
  enum Item {
    case prefill(number: Int, [Int])
    case step([Int])

    var requests: [Int] {
      switch self {
      case .prefill(_, let requests), .step(let requests): requests
      }
    }
  }
  private struct Prefill {
    /// The replica of each stage.
    var route: [Int]
    /// Requests without their first token.
    var left: Int
  }
  private struct Request {
    var tokensLeft: Int
    var begun = 0.0
    var prefill = -1
  }

  let stages: [SimulatedStage]
  /// Counts failures: what belongs to an earlier life is lost.
  private(set) var life = 0
  var isDown = false
  var isClaiming = false
  /// Requests whose token waits for its decode step, and whether some have ended since the last one:
  /// their caches are released by the next step, which may be an empty one.
  var returned: [Int] = []
  var hasEnded = false
  /// Decode steps whose tokens have not come back to where they start.
  var stepsUnderWay = 0
  private let embedding: Int
  private let decodeStages: Int
  private let workers: Int
  private let prefillRequests: Int
  private let inFlightMaximum: Int
  private var requests: [Int: Request] = [:]
  private var nextRequest = 0
  private var nextPrefill = 0
  private var waiting: [Int] = []
  private var waitingFirst = 0
  /// Requests with the stages; those of them that decode, or will; prefills with their requests.
  private var inFlight: Set<Int> = []
  private var decoding: Set<Int> = []
  private var prefills: [Int: Prefill] = [:]
  private var queues: [[[Item]]]
  private var isBusy: [[Bool]]
  private var linkFreeAt: [[Double]]
  private var turns: [ReplicaTurns]
  private var busySeconds: [Double]
  private var lastWasStep = false

  init(_ stages: [SimulatedStage], _ setup: PipelineSimulation.Setup) {
    self.stages = stages
    embedding = stages.firstIndex(where: \.decodes) ?? max(0, stages.count - 1)
    decodeStages = max(1, stages.count - embedding)
    workers = stages.reduce(0) { $0 + $1.replicas }
    prefillRequests = setup.prefillRequests
    inFlightMaximum = setup.workload.requestsInFlight(decodeStages: decodeStages)
    queues = stages.map { Array(repeating: [], count: $0.replicas) }
    isBusy = stages.map { Array(repeating: false, count: $0.replicas) }
    linkFreeAt = stages.map { Array(repeating: 0, count: $0.replicas) }
    turns = stages.map { _ in ReplicaTurns() }
    busySeconds = Array(repeating: 0, count: stages.count)
  }

  var waitingCount: Int { waiting.count - waitingFirst }

  mutating func enqueue(tokens: Int) {
    requests[nextRequest] = Request(tokensLeft: tokens)
    waiting.append(nextRequest)
    nextRequest += 1
  }

  /// Lets requests in, as `Scheduler.nextMicroBatch` does.
  mutating func admit(at now: Double) {
    while prefills.count < workers + 1, inFlight.count < inFlightMaximum, waitingCount > 0 {
      let count = min(prefillRequests, inFlightMaximum - inFlight.count, waitingCount)
      let chosen = Array(waiting[waitingFirst..<waitingFirst + count])
      waitingFirst += count
      if waitingFirst > 4096 {
        waiting.removeFirst(waitingFirst)
        waitingFirst = 0
      }
      for id in chosen {
        if requests[id]?.begun == 0 { requests[id]?.begun = now }
        requests[id]?.prefill = nextPrefill
      }
      inFlight.formUnion(chosen)
      prefills[nextPrefill] = Prefill(route: nextRoute(), left: count)
      take(.prefill(number: nextPrefill, chosen), at: 0)
      nextPrefill += 1
    }
  }

  /// A replica of each stage, as `Scheduler` chooses it.
  private mutating func nextRoute() -> [Int] {
    let prefills = prefills.values
    return stages.indices.map { stage in
      turns[stage].next(of: 0..<stages[stage].replicas) { replica in
        prefills.count { $0.route[stage] == replica }
      }
    }
  }

  /// Something comes to a stage: to the worker on its route; stages that decode have one.
  mutating func take(_ item: Item, at stage: Int) {
    var replica = 0
    if case .prefill(let number, _) = item { replica = prefills[number]?.route[stage] ?? 0 }
    queues[stage][replica].append(item)
  }

  /// The next thing a worker computes, as `StageExecutor.step` chooses it; nil when it is busy or has
  /// nothing to do.
  mutating func start(_ stage: Int, _ replica: Int) -> (Item, seconds: Double)? {
    guard !isBusy[stage][replica] else { return nil }
    var item: Item
    let mayStep = stepsUnderWay < DecodeGroups.stepsUnderWay(stageCount: decodeStages)
    let wantsStep = stage == embedding && ((!returned.isEmpty && mayStep) || hasEnded)
    if !queues[stage][replica].isEmpty, !(wantsStep && !lastWasStep) {
      item = queues[stage][replica].removeFirst()
      if stage == embedding {
        lastWasStep = false
        if case .prefill(_, let requests) = item { decoding.formUnion(requests) }
      }
    } else if wantsStep {
      (lastWasStep, hasEnded) = (true, false)
      let share = mayStep ? max(1, (decoding.count + decodeStages - 1) / decodeStages) : 0
      let group = Array(returned.prefix(share))
      returned.removeFirst(group.count)
      if !group.isEmpty { stepsUnderWay += 1 }
      item = .step(group)
    } else {
      return nil
    }
    let seconds: Double
    switch item {
    case .prefill(_, let requests):
      seconds =
        stages[stage].prefillSeconds + Double(requests.count) * stages[stage].requestSeconds
    case .step(let requests):
      seconds = requests.isEmpty ? 0 : stages[stage].stepSeconds(requests.count)
    }
    isBusy[stage][replica] = true
    busySeconds[stage] += seconds
    return (item, seconds)
  }

  mutating func free(_ stage: Int, _ replica: Int) { isBusy[stage][replica] = false }

  /// When something sent now arrives: after what the link has to carry before it.
  mutating func send(_ item: Item, from stage: Int, _ replica: Int, at now: Double) -> Double {
    let link = stages[stage].linkSeconds
    let each: Double =
      switch item {
      case .prefill: link.prefill
      case .step: link.step
      }
    linkFreeAt[stage][replica] =
      max(now, linkFreeAt[stage][replica]) + each * Double(item.requests.count)
    return linkFreeAt[stage][replica] + stages[stage].latencySeconds
  }

  /// The last stage has chosen tokens.
  ///
  /// - Returns: who goes on, and since when those had been here that are answered.
  mutating func answer(_ item: Item) -> (going: [Int], done: [Double]) {
    var (going, done): ([Int], [Double]) = ([], [])
    for id in item.requests {
      guard var request = requests[id] else { continue }
      if let left = prefills[request.prefill]?.left {
        prefills[request.prefill]?.left -= 1
        if left <= 1 { prefills[request.prefill] = nil }
        request.prefill = -1
      }
      request.tokensLeft -= 1
      requests[id] = request
      if request.tokensLeft > 0 {
        going.append(id)
      } else {
        done.append(request.begun)
        requests[id] = nil
        inFlight.remove(id)
        decoding.remove(id)
      }
    }
    return (going, done)
  }

  /// A worker dies: what was under way stands in line again, in front.
  mutating func fail() {
    life += 1
    isDown = true
    let again = inFlight.sorted()
    for id in again { requests[id]?.prefill = -1 }
    waiting = again + waiting[waitingFirst...]
    (waitingFirst, inFlight, decoding, prefills, returned) = (0, [], [], [:], [])
    (hasEnded, stepsUnderWay) = (false, 0)
    for stage in stages.indices {
      for replica in 0..<stages[stage].replicas {
        queues[stage][replica] = []
        isBusy[stage][replica] = false
        linkFreeAt[stage][replica] = 0
      }
    }
  }

  /// Share of `seconds` that one worker of each stage was computing.
  func busy(_ seconds: Double) -> [Double] {
    zip(stages, busySeconds).map { $1 / seconds / Double($0.replicas) }
  }
}
