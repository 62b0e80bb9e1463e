import Foundation

/// What is done to a cluster, to whom and when.
struct ChaosScenario {
  enum Kind: String, CaseIterable { case kill, hang, slow, cut, reset, delay }
  enum Phase: String, CaseIterable { case load, prefill, decode, idle }
  /// What it is done to; of the way of results only links can be cut or slow.
  enum Target: String, CaseIterable { case vision, first, last, coordinator, results }

  var kind: Kind
  var phase: Phase
  var target: Target
  /// A second fault at the same moment.
  var other: (kind: Kind, target: Target)?

  /// How many there are, without second faults.
  static var count: Int { Kind.allCases.count * Phase.allCases.count * Target.allCases.count }

  /// The scenario of a round: one of each in `count` rounds, in an order in which kinds, phases and
  /// targets change quickly; every third with a second fault.
  init(round: Int, seed: UInt64) {
    let kinds = Kind.allCases
    let targets = Target.allCases
    // 29 has no divisor in common with the 120 that there are.
    let index = (round * 29 + Int(seed % 1000)) % Self.count
    kind = kinds[index % kinds.count]
    phase = Phase.allCases[index / kinds.count % Phase.allCases.count]
    target = targets[index / kinds.count / Phase.allCases.count]
    kind = kind.suiting(target)
    guard round % 3 == 2 else { return }
    var random = SplitMix(seed: seed &+ UInt64(round))
    let next = targets.firstIndex(of: target).map { $0 + 1 + Int(random.next() % 3) } ?? 0
    let second = targets[next % targets.count]
    other = (kinds[Int(random.next() % UInt64(kinds.count))].suiting(second), second)
  }

  /// One fault by itself.
  init(_ kind: Kind, _ target: Target, at phase: Phase) {
    (self.kind, self.target, self.phase) = (kind.suiting(target), target, phase)
  }

  var faults: [(kind: Kind, target: Target)] { [(kind, target)] + (other.map { [$0] } ?? []) }
  var text: String {
    faults.map { "\($0.kind) \($0.target)" }.joined(separator: " + ") + " at \(phase)"
  }
}

extension ChaosScenario.Kind {
  /// The kind of fault that `target` can have, nearest to this one.
  func suiting(_ target: ChaosScenario.Target) -> Self {
    guard target == .results else { return self }
    return switch self {
    case .kill, .cut: .cut
    case .hang, .reset: .reset
    case .slow, .delay: .delay
    }
  }
}

/// Faults that go on for a while, played step by step beside the batch that suffers them.
final class ChaosFaults {
  /// How long a process hangs, is slow, or is cut off: longer than it takes to be noticed.
  static let duration = Duration.seconds(4)
  private enum Effect {
    /// Stopped, to be continued.
    case stopped(Program.Running)
    /// Runs a tenth of the time.
    case slowed(Program.Running)
    case links([String], undo: String)
  }

  private let cluster: ChaosCluster
  private var effects: [(effect: Effect, end: ContinuousClock.Instant)] = []
  private var random: SplitMix

  init(_ cluster: ChaosCluster, seed: UInt64) {
    self.cluster = cluster
    random = SplitMix(seed: seed)
  }

  /// Does it now.
  func inject(_ scenario: ChaosScenario) async throws {
    let stages = cluster.stages
    for fault in scenario.faults where fault.target == .results {
      try await cut(["results"], as: fault.kind)
    }
    let faults = scenario.faults.filter { $0.target != .results }
      .map { ($0.kind, place(of: $0.target, stages)) }
    guard scenario.phase == .load else {
      for (kind, place) in faults { try await apply(kind, to: place) }
      return
    }
    // A worker that leaves makes a new plan; those at fault can't load for it.
    let processes = faults.map { $0.1.map { cluster.places[$0].process } ?? cluster.coordinator }
    let leaving = stages.last { stage in !faults.contains { $0.1 == stage } }
    for (process, fault) in zip(processes, faults) where fault.1 != nil { process.signal(SIGSTOP) }
    if let leaving { cluster.end(leaving, SIGINT, startAgain: .milliseconds(1500)) }
    try await Task.sleep(for: .milliseconds(100))
    for (kind, place) in faults { try await apply(kind, to: place) }
    for (process, fault) in zip(processes, faults) where fault.0 != .hang && fault.1 != nil {
      process.signal(SIGCONT)
    }
  }

  /// The worker's place; nil is the coordinator.
  private func place(of target: ChaosScenario.Target, _ stages: [Int]) -> Int? {
    switch target {
    case .coordinator, .results: nil
    case .vision: stages.first
    case .first: stages.dropFirst().first ?? stages.first
    case .last: stages.last
    }
  }

  private func apply(_ kind: ChaosScenario.Kind, to place: Int?) async throws {
    let end = ContinuousClock.now + Self.duration
    let process = place.map { cluster.places[$0].process } ?? cluster.coordinator
    switch kind {
    case .kill:
      let pause = Duration.milliseconds(Int(300 + random.next() % 2000))
      if let place {
        cluster.end(place, SIGKILL, startAgain: pause)
      } else {
        await cluster.endCoordinator(startAgain: pause)
      }
    case .hang:
      process.signal(SIGSTOP)
      effects.append((.stopped(process), end))
    case .slow: effects.append((.slowed(process), end))
    case .cut, .reset, .delay: try await cut(links(of: place), as: kind)
    }
  }

  private func cut(_ links: [String], as kind: ChaosScenario.Kind) async throws {
    let (words, undo) =
      switch kind {
      case .cut: ("cut", "mend")
      case .reset: ("reset", "mend")
      default: ("set delay=30 jitter=30 loss=20", "set delay=0 jitter=0 loss=0")
      }
    for link in links { try await cluster.proxy.say("\(link) \(words)") }
    effects.append((.links(links, undo: undo), ContinuousClock.now + Self.duration))
  }

  /// A worker's line, its way in, or both; all lines to the coordinator.
  private func links(of place: Int?) -> [String] {
    guard let place else {
      return cluster.places.indices.map { "control\($0)" } + ["client", "results"]
    }
    return [["control\(place)"], ["data\(place)"], ["control\(place)", "data\(place)"]][
      Int(random.next() % 3)]
  }

  /// Plays on: what is over ends, what is slow stops and goes.
  func tick() async throws {
    let now = ContinuousClock.now
    for (effect, end) in effects where end <= now { try await undo(effect) }
    effects.removeAll { $0.end <= now }
    for case (.slowed(let process), _) in effects {
      process.signal(SIGCONT)
      try await Task.sleep(for: .milliseconds(10))
      process.signal(SIGSTOP)
    }
    try await Task.sleep(for: .milliseconds(effects.isEmpty ? 5 : 90))
  }

  /// Ends everything that goes on.
  func undoAll() async throws {
    for (effect, _) in effects { try await undo(effect) }
    effects = []
  }

  private func undo(_ effect: Effect) async throws {
    switch effect {
    case .stopped(let process), .slowed(let process): process.signal(SIGCONT)
    case .links(let links, let words):
      for link in links { try await cluster.proxy.say("\(link) \(words)") }
    }
  }
}
