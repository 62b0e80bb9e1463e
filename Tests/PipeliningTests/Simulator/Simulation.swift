import Messaging
import PaliGemma
import Tensors

@testable import Pipelining

/// Random numbers from a seed, the same in every run.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = FakeModel.mix(seed, 0x5EED) }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return FakeModel.mix(state, 1)
  }
  mutating func int(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next() % UInt64(range.count))
  }
  mutating func chance(_ perThousand: Int) -> Bool { int(0...999) < perThousand }
}

/// A cluster in one thread: the real `CoordinatorState`, workers that compute with `FakeModel`, a clock
/// and a network that a seed rules: messages between stages are dropped, doubled, delayed and overtake
/// each other, control messages are dropped and delayed, workers crash and hang, links are cut.
struct Simulation {
  /// A request that kills the worker which computes a certain row of it in a certain block.
  struct Poison {
    var request: UInt64
    var block: Int
    var row: Int
  }
  enum Event {
    case toCoordinator(Int, ControlMessage)
    case toWorker(Int, life: Int, ControlMessage)
    case rows(Int, life: Int, FakeWorker.Message)
    case tokens(Int, life: Int, TokenBatch)
    case results(TokenBatch)
    case step(Int, life: Int)
    case beat(Int, life: Int)
    case submit(UInt64)
    case fault
    case crash
    case restart
    case start(Int)
    case tick
  }
  struct Process {
    var worker: FakeWorker
    var life = 0
    var isAlive = true
    var isBusy = false
    var hangsUntil = 0
    var number = -1
    var heard: [Int: Int] = [:]
    var controlReady = (there: 0, back: 0)
  }

  let config: ModelConfig
  let limits = Limits()
  var random: SeededRandom
  var state: CoordinatorState
  var now = 0
  var heap = EventQueue<Int, Event>()
  var processes: [Process] = []
  var cutUntil: [Int: Int] = [:]  // a worker's data endpoint
  var requests: [UInt64: PreparedRequest] = [:]
  var streamed: [UInt64: [Int32]] = [:]
  var ended: [UInt64: Result<Completion, Failure>] = [:]
  var error: String?
  var faultsLeft: Int
  let lossPerThousand: Int
  /// Whether a process that is started again listens where the one before did.
  let areAddressesFixed: Bool
  let isMeasured: Bool
  var poison: Poison?
  /// Whether the coordinator is dead, and how many lives it has had.
  var isDown = false
  var coordinatorLife: UInt64 = 0
  private let setup: ClusterSetup
  /// What clients have asked and not heard the end of: after a crash they ask again.
  private var asked: Set<UInt64> = []
  /// Requests that were taken for poison.
  var condemned: Set<UInt64> = []

  static let chaosMilliseconds = 6000
  static let endMilliseconds = 400_000

  /// A cluster and its fate, as `seed` has them: calm if nothing is to be lost or broken by itself,
  /// poisoned if one of the requests is to kill workers.
  init(
    seed: UInt64, config: ModelConfig, pixels: Tensor, isCalm: Bool = false,
    isPoisoned: Bool = false, crashes: Bool = false
  ) throws {
    self.config = config
    random = SeededRandom(seed)
    areAddressesFixed = seed % 4 == 3
    let shards = random.int(1...3)
    var setup = ClusterSetup(
      template: try .even(
        visionCount: random.int(1...2), shardCount: shards, config: config),
      modelDirectory: "/m", precision: "f32", resultsEndpoint: "r", fingerprint: "f",
      firstEpoch: seed << 20)
    // One in twenty plans by measurement: it grows and shrinks as workers come and go.
    if seed % 20 == 7 { setup.planning = .measured(minimum: setup.template.workerCount) }
    isMeasured = setup.planning != .template
    self.setup = setup
    state = CoordinatorState(setup: setup, config: config, limits: limits)
    let (faults, loss) = (random.int(0...4), random.chance(500) ? 0 : random.int(1...20))
    (faultsLeft, lossPerThousand) = isCalm ? (0, 0) : (faults, loss)
    let spares = random.int(0...1)
    for index in 0..<setup.template.workerCount + spares {
      processes.append(Process(worker: FakeWorker(config: config)))
      push(.start(index), after: random.int(0...50))
    }
    for id in 1...UInt64(random.int(2...8)) {
      var sampling = Sampling(maximumTokens: random.int(1...6))
      sampling.seed = id
      requests[id] = PreparedRequest(
        pixels: pixels, textTokenIDs: [2, Int32(id) + 3], sampling: sampling)
      push(.submit(id), after: random.int(0...1500))
    }
    for _ in 0..<faultsLeft { push(.fault, after: random.int(0...4000)) }
    push(.tick, after: 1)
    if crashes {
      // Of its own numbers, so that all else is as in the same seed without.
      var own = SeededRandom(seed ^ 0xC4A5_4000)
      for _ in 0..<own.int(1...2) { push(.crash, after: own.int(1...3000)) }
    }
    if isPoisoned { poison = makePoison() }
  }

  /// Some block and some row that the request does reach: its last token is not fed back.
  private mutating func makePoison() -> Poison? {
    let id = UInt64(random.int(1...requests.count))
    guard let request = requests[id] else { return nil }
    let prompt = config.imageTokenCount + request.textTokenIDs.count
    let row = prompt - 1 + random.int(0...request.sampling.maximumTokens - 1)
    return Poison(
      request: id, block: random.int(config.tokenEmbeddingIndex...config.blockCount - 1), row: row)
  }

  mutating func push(_ event: Event, after milliseconds: Int) {
    heap.push(event, at: now + milliseconds)
  }

  /// Runs to the end.
  ///
  /// - Returns: what went wrong; nil when all is well.
  mutating func run() -> String? {
    while error == nil, ended.count < requests.count {
      guard let (time, event) = heap.pop() else { return "nothing left to happen" }
      now = time
      guard now < Self.endMilliseconds else {
        let left = requests.keys.filter { ended[$0] == nil }.sorted()
        return "no end for \(left): \(state.cluster.phase) \(state.cluster.message)"
      }
      handle(event)
      while error == nil, !isDown, let batch = state.nextMicroBatch(now: now) { post(batch) }
    }
    return error ?? check()
  }

  private func check() -> String? {
    for (id, request) in requests {
      let expected = FakeModel.answer(request)
      switch ended[id] {
      case .success where id == poison?.request: return "poison was swallowed"
      case .success(let completion):
        let tokens = completion.tokens.map(\.tokenID)
        if tokens != expected { return "request \(id): \(tokens), not \(expected)" }
        if streamed[id] != expected { return "request \(id) streamed \(streamed[id] ?? [])" }
      case .failure(let failure)
      where failure.code == "poison_request" && (id == poison?.request || faultsLeft >= 2):
        continue
      case .failure(let failure): return "request \(id): \(failure)"
      case nil: return "request \(id) has no end"
      }
    }
    return nil
  }

  private mutating func handle(_ event: Event) {
    switch event {
    case .tick:
      push(.tick, after: limits.heartbeatMilliseconds / 2)
      if !isDown { apply(state.handle(.tick, now: now)) }
    case .submit(let id): submit(id)
    case .crash: crash()
    case .restart: restart()
    case .toCoordinator(let index, let message):
      if !isDown { apply(state.handle(.control(peer(index), message), now: now)) }
    case .results(let tokens): if !isDown { take(tokens) }
    case .fault: fault()
    case .start(let index): start(index)
    case .toWorker(let index, let life, let message):
      deliver(event, index, life) { $0.order(index, message) }
    case .rows(let index, let life, let message):
      deliver(event, index, life) { simulation in
        simulation.processes[index].worker.receive(message)
        simulation.wake(index)
      }
    case .tokens(let index, let life, let tokens):
      deliver(event, index, life) { simulation in
        simulation.processes[index].worker.receive(tokens)
        simulation.wake(index)
      }
    case .step(let index, let life):
      deliver(event, index, life) { simulation in
        simulation.processes[index].isBusy = false
        simulation.step(index)
      }
    case .beat(let index, let life): deliver(event, index, life) { $0.beat(index) }
    }
  }

  /// A client asks as long as it has no answer; one whose coordinator is away tries again.
  private mutating func submit(_ id: UInt64) {
    guard ended[id] == nil, let request = requests[id] else { return }
    guard !isDown else { return push(.submit(id), after: random.int(50...1000)) }
    asked.insert(id)
    apply(state.handle(.submit(id, request), now: now))
  }

  /// The coordinator's process dies, and all it knew with it.
  private mutating func crash() {
    guard !isDown else { return }
    isDown = true
    push(.restart, after: random.int(100...5000))
  }

  /// Another takes its place: it knows nobody, workers find it and tell what they hold, clients ask anew.
  private mutating func restart() {
    isDown = false
    coordinatorLife += 1
    var setup = setup
    setup.firstEpoch += coordinatorLife << 10
    state = CoordinatorState(setup: setup, config: config, limits: limits)
    for id in asked.sorted() where ended[id] == nil {
      streamed[id] = nil
      push(.submit(id), after: random.int(1...1500))
    }
    asked = []
  }

  private mutating func take(_ tokens: TokenBatch) {
    let isLate = tokens.epoch != state.cluster.epoch
    let effects = state.handle(.tokens(tokens), now: now)
    if isLate, !effects.isEmpty { error = "what an earlier plan answered has an effect" }
    apply(effects)
  }

  /// Gives an event to a process, if it still lives; one that hangs gets it when it goes on.
  private mutating func deliver(
    _ event: Event, _ index: Int, _ life: Int, _ action: (inout Simulation) -> Void
  ) {
    let process = processes[index]
    guard process.isAlive, process.life == life else { return }
    guard process.hangsUntil <= now else { return heap.push(event, at: process.hangsUntil) }
    action(&self)
  }

  /// A peer's identity is new with every life of its process.
  func peer(_ index: Int) -> PeerIdentity {
    PeerIdentity([UInt8(index + 1), UInt8(truncatingIfNeeded: processes[index].life)])
  }

  mutating func apply(_ effects: [CoordinatorState.Effect]) {
    for effect in effects {
      switch effect {
      case .send(let message, let peer): send(message, to: peer)
      case .post(let batch): post(batch)
      case .deliver(let events): for event in events { note(event) }
      case .open, .close, .report, .answer: break
      }
    }
  }

  private mutating func note(_ event: Scheduler.Event) {
    switch event {
    case .token(let id, let token): streamed[id, default: []].append(token.tokenID)
    case .finished(let id, let result):
      if ended[id] != nil { error = "request \(id) ended twice" }
      if case .failure(let failure) = result, failure.code == "poison_request" {
        condemned.insert(id)
      }
      ended[id] = result
    }
  }
}
