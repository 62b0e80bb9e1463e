import Foundation
import Messaging
import PaliGemma

/// Pipelines that exist in numbers only: a discrete-event simulation of the scheduler's policy, of stages,
/// links and failures, and of one queue that several pipelines take their work from. From the same seed
/// always the same.
///
/// The policy is that of `Scheduler`, `StageExecutor` and `DecodeGroups`: as many prefills under way as
/// workers and one more, requests in flight up to the workload's number, decode steps of an equal share
/// for each decoding stage, prefills and decode steps in turn where decode steps start, first come first
/// served elsewhere. A failure ends a pipeline for the time of a recovery; what was under way is prefilled
/// again.
public struct PipelineSimulation {
  /// What is simulated.
  public struct Setup: Sendable {
    /// The stages of each pipeline.
    public var pipelines: [[SimulatedStage]]
    /// What requests are like.
    public var workload: Workload
    /// Requests in a prefill at most.
    public var prefillRequests: Int
    /// How far answers' lengths are from their mean: uniform within so much of it, 0 to 1.
    public var spread = 0.0
    /// Requests there are.
    public var requestCount = 1000
    /// The end, whether or not all are answered, in seconds.
    public var seconds = Double.infinity
    /// Cores of each machine that several stages share, by the stages' `host`.
    public var hostCores: [Int] = []
    /// Mean seconds between failures of one worker; infinite for none.
    public var failureSeconds = Double.infinity
    /// Seconds from a failure until the pipeline works again.
    public var recoverySeconds = 5.0
    /// Requests that a pipeline takes from the queue at once.
    public var claimCount = 64
    /// Seconds that one such transaction keeps the queue.
    public var claimSeconds = 0.0
    /// What is random is drawn from it.
    public var seed: UInt64 = 1

    /// A setup.
    public init(pipelines: [[SimulatedStage]], workload: Workload, prefillRequests: Int) {
      self.pipelines = pipelines
      self.workload = workload
      self.prefillRequests = max(1, prefillRequests)
    }
  }

  /// What came of it.
  public struct Outcome: Sendable, Equatable {
    /// Requests answered.
    public var answered = 0
    /// When the last one was, in seconds.
    public var seconds = 0.0
    /// Answers a second from the first tenth to the last, so without the filling and the emptying.
    public var steadyPerSecond = 0.0
    /// Half of the answers took at most so long, from the pipeline's taking them in.
    public var medianSeconds = 0.0
    /// Failures of workers.
    public var failures = 0
    /// Share of the time that each stage of the first pipeline was computing, of one worker.
    public var busy: [Double] = []
    /// Share of the time that the queue was in a transaction.
    public var queueBusy = 0.0

    /// Answers a second over all the time.
    public var perSecond: Double { seconds > 0 ? Double(answered) / seconds : 0 }
  }

  enum Event {
    /// A worker has computed what it had.
    case computed(pipeline: Int, life: Int, stage: Int, replica: Int, SimulatedPipeline.Item)
    /// Something has come to a stage.
    case arrived(pipeline: Int, life: Int, stage: Int, SimulatedPipeline.Item)
    /// Tokens have come to where decode steps start.
    case returned(pipeline: Int, life: Int, [Int], hasEnded: Bool, isStep: Bool)
    /// A pipeline's share of the queue has come.
    case claimed(pipeline: Int, count: Int)
    case failed(pipeline: Int)
    case recovered(pipeline: Int)
  }

  let setup: Setup
  var now = 0.0
  var random: SplitMix
  private var heap = EventQueue<Double, Event>()
  private var pipelines: [SimulatedPipeline]
  private var freeCores: [Int]
  private var left: Int
  private var queueFreeAt = 0.0
  private var queueSeconds = 0.0
  private var ends: [Double] = []
  private var durations: [Double] = []
  private var failures = 0

  /// Prepares; nothing has happened yet.
  public init(_ setup: Setup) {
    self.setup = setup
    random = SplitMix(seed: setup.seed)
    left = setup.requestCount
    freeCores = setup.hostCores
    pipelines = setup.pipelines.map { SimulatedPipeline($0, setup) }
  }

  /// Runs to the end.
  public mutating func run() -> Outcome {
    for index in pipelines.indices {
      claim(index)
      planFailure(index)
    }
    while let (time, event) = heap.pop(), time <= setup.seconds {
      now = time
      handle(event)
      if ends.count == setup.requestCount { break }
    }
    return outcome()
  }

  private mutating func handle(_ event: Event) {
    switch event {
    case .computed(let index, let life, let stage, let replica, let item):
      // Its cores are free whatever has become of the pipeline meanwhile.
      let place = pipelines[index].stages[stage]
      if place.host >= 0 { freeCores[place.host] += place.cores }
      if life == pipelines[index].life {
        pipelines[index].free(stage, replica)
        pass(index, stage, replica, item)
      }
      advance(place.host >= 0 ? nil : index)
    case .arrived(let index, let life, let stage, let item) where life == pipelines[index].life:
      pipelines[index].take(item, at: stage)
      advance(index)
    case .returned(let index, let life, let requests, let hasEnded, let isStep)
    where life == pipelines[index].life:
      if isStep { pipelines[index].stepsUnderWay -= 1 }
      pipelines[index].returned += requests
      pipelines[index].hasEnded = pipelines[index].hasEnded || hasEnded
      advance(index)
    case .claimed(let index, let count):
      pipelines[index].isClaiming = false
      for _ in 0..<count {
        let share = setup.spread * (2 * random.unit() - 1)
        let tokens = (setup.workload.answerTokens * (1 + share)).rounded()
        pipelines[index].enqueue(tokens: max(1, Int(tokens)))
      }
      advance(index)
    case .failed(let index):
      failures += 1
      pipelines[index].fail()
      heap.push(.recovered(pipeline: index), at: now + setup.recoverySeconds)
    case .recovered(let index):
      pipelines[index].isDown = false
      planFailure(index)
      advance(index)
    case .arrived, .returned: break
    }
  }

  /// Starts whatever can be started: in one pipeline, or in all when cores of a machine became free.
  private mutating func advance(_ only: Int?) {
    for index in only.map({ $0..<$0 + 1 }) ?? pipelines.indices {
      guard !pipelines[index].isDown else { continue }
      pipelines[index].admit(at: now)
      if pipelines[index].waitingCount < setup.claimCount { claim(index) }
      // The last stages first, as rows move on before new ones come in.
      for stage in pipelines[index].stages.indices.reversed() {
        let place = pipelines[index].stages[stage]
        for replica in 0..<place.replicas {
          if place.host >= 0, freeCores[place.host] < place.cores { break }
          guard let (item, seconds) = pipelines[index].start(stage, replica) else { continue }
          if place.host >= 0 { freeCores[place.host] -= place.cores }
          heap.push(
            .computed(
              pipeline: index, life: pipelines[index].life, stage: stage, replica: replica, item),
            at: now + seconds)
        }
      }
    }
  }

  /// What a stage has computed goes on.
  private mutating func pass(
    _ index: Int, _ stage: Int, _ replica: Int, _ item: SimulatedPipeline.Item
  ) {
    let life = pipelines[index].life
    guard stage == pipelines[index].stages.count - 1 else {
      let arrival = pipelines[index].send(item, from: stage, replica, at: now)
      return heap.push(
        .arrived(pipeline: index, life: life, stage: stage + 1, item), at: arrival)
    }
    let (going, done) = pipelines[index].answer(item)
    for begun in done {
      ends.append(now)
      durations.append(now - begun)
    }
    guard !going.isEmpty || !done.isEmpty else { return }
    let isStep = if case .step = item { true } else { false }
    heap.push(
      .returned(pipeline: index, life: life, going, hasEnded: !done.isEmpty, isStep: isStep),
      at: now + pipelines[index].stages[stage].latencySeconds)
  }

  /// Takes work from the queue, which gives to one at a time.
  private mutating func claim(_ index: Int) {
    guard left > 0, !pipelines[index].isClaiming else { return }
    let count = min(left, setup.claimCount)
    left -= count
    pipelines[index].isClaiming = true
    queueFreeAt = max(queueFreeAt, now) + setup.claimSeconds
    queueSeconds += setup.claimSeconds
    heap.push(.claimed(pipeline: index, count: count), at: queueFreeAt)
  }

  private mutating func planFailure(_ index: Int) {
    let workers = pipelines[index].stages.reduce(0) { $0 + $1.replicas }
    guard setup.failureSeconds.isFinite, workers > 0 else { return }
    heap.push(
      .failed(pipeline: index),
      at: now + random.exponential(setup.failureSeconds / Double(workers)))
  }

  private func outcome() -> Outcome {
    var outcome = Outcome()
    outcome.answered = ends.count
    outcome.seconds = ends.count == setup.requestCount ? ends.last ?? 0 : now
    outcome.failures = failures
    let durations = durations.sorted()
    outcome.medianSeconds = durations.isEmpty ? 0 : durations[durations.count / 2]
    let (first, last) = (ends.count / 5, ends.count * 9 / 10)
    if last > first, ends[last - 1] > ends[first] {
      outcome.steadyPerSecond = Double(last - 1 - first) / (ends[last - 1] - ends[first])
    }
    if outcome.seconds > 0 {
      outcome.busy = pipelines.first?.busy(outcome.seconds) ?? []
      outcome.queueBusy = queueSeconds / outcome.seconds
    }
    return outcome
  }
}

/// Random numbers from a seed, the same everywhere.
struct SplitMix {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  /// 0 to 1, 1 excluded.
  mutating func unit() -> Double {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return Double((mixed ^ (mixed >> 31)) >> 11) * 0x1p-53
  }

  /// Waiting times without memory.
  mutating func exponential(_ mean: Double) -> Double { -mean * log1p(-unit()) }
}
