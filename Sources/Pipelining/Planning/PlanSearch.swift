import Messaging
import PaliGemma

/// The search behind `Planner`: which kinds of nodes compute which blocks.
///
/// The slowest stage's time is one of finitely many: what some stage or some link takes. For one such
/// bound T, a table says how few decoding stages it takes to compute the first blocks with so many nodes
/// of each kind, every stage and link within T; bisection finds the least T whose table reaches the end.
/// Decode steps are smaller where more stages decode, so that costs depend on their number: each number
/// is searched by itself.
struct PlanSearch {
  struct Stage: Equatable {
    var kind: Int
    var count: Int
    var blocks: Range<Int>
  }
  struct Found {
    var seconds: Double
    var stages: [Stage]
  }

  private let counts: [Int]
  private let strides: [Int]
  private let stateCount: Int
  private let positions: Int
  private let embedding: Int
  private let decodeMaximum: Int
  /// seconds[decodeStages - 1][kind][start * positions + end], memory permitting; else infinite.
  private let seconds: [[[Double]]]
  /// link[kind][position].
  private let link: [[Double]]

  init(
    classes: [(speed: WorkerSpeed, memoryBytes: Int, count: Int)], isSpread: Bool,
    config: ModelConfig, workload: Workload, memory: MemoryNeed
  ) {
    counts = classes.map(\.count)
    var strides: [Int] = []
    var states = 1
    for count in counts {
      strides.append(states)
      states *= count + 1
    }
    self.strides = strides
    stateCount = states
    let positions = config.blockCount + 1
    self.positions = positions
    embedding = config.tokenEmbeddingIndex
    let total = counts.reduce(0, +)
    decodeMaximum = min(total, config.blockCount - config.tokenEmbeddingIndex)
    seconds = (1...max(1, decodeMaximum)).map { decodeStages in
      var needs = [Int](repeating: 0, count: positions * positions)
      for start in 0..<config.blockCount {
        for end in start + 1..<positions {
          needs[start * positions + end] = memory.byteCount(
            of: start..<end, decodeStages: decodeStages)
        }
      }
      return classes.map { kind in
        let costs = BlockCosts(
          kind.speed, config: config, workload: workload, decodeStages: decodeStages)
        var table = [Double](repeating: .infinity, count: positions * positions)
        for start in 0..<config.blockCount {
          for end in start + 1..<positions {
            let at = start * positions + end
            if kind.memoryBytes == 0 || needs[at] <= kind.memoryBytes {
              table[at] = costs.seconds(start..<end)
            }
          }
        }
        return table
      }
    }
    link = classes.map { kind in
      let costs = BlockCosts(kind.speed, config: config, workload: workload, decodeStages: 1)
      return (0..<positions).map { position in
        isSpread && position > 0 && position < config.blockCount
          ? costs.linkSeconds(before: position) : 0
      }
    }
  }

  /// The best plan that spends nodes as `isAllowed` says; with `slack`, of those hardly slower the one
  /// with the fewest nodes.
  func best(slack: Double, isAllowed: ([Int]) -> Bool = { _ in true }) -> Found? {
    let ends = (0..<stateCount).map(spent).enumerated()
      .filter { isAllowed($0.element) }
      .sorted { ($0.element.reduce(0, +), $0.offset) < ($1.element.reduce(0, +), $1.offset) }
      .map(\.offset)
    var best: Found?
    for decodeStages in 1...max(1, decodeMaximum) {
      let bounds = self.bounds(decodeStages)
      var (low, high) = (0, bounds.count)
      while low < high {
        let middle = (low + high) / 2
        if reach(bounds[middle], decodeStages).end(ends, positions) != nil {
          high = middle
        } else {
          low = middle + 1
        }
      }
      guard low < bounds.count else { continue }
      let exact = reach(bounds[low], decodeStages)
      guard let end = exact.end(ends, positions) else { continue }
      var found = chain(exact, end)
      if slack > 0 {
        let loose = reach(bounds[low] * (1 + slack), decodeStages)
        if let end = loose.end(ends, positions) { found = chain(loose, end) }
      }
      let truth = time(found)
      if truth < (best?.seconds ?? .infinity) * (1 - 1e-12) {
        best = Found(seconds: truth, stages: found)
      }
    }
    return best
  }

  /// What the slowest stage or link of a plan takes.
  func time(_ stages: [Stage]) -> Double {
    let decodes = max(1, stages.count { $0.blocks.upperBound > embedding })
    var slowest = 0.0
    for (index, stage) in stages.enumerated() {
      let at = stage.blocks.lowerBound * positions + stage.blocks.upperBound
      slowest = max(slowest, seconds[decodes - 1][stage.kind][at] / Double(stage.count))
      slowest = max(
        slowest, link[stage.kind][stage.blocks.upperBound] / Double(stage.count))
      if index > 0 {
        slowest = max(
          slowest, link[stage.kind][stage.blocks.lowerBound] / Double(stage.count))
      }
    }
    return slowest
  }

  /// How many nodes of each kind a state has spent.
  private func spent(_ state: Int) -> [Int] {
    counts.indices.map { state / strides[$0] % (counts[$0] + 1) }
  }

  /// All times that a stage or a link may take, least first.
  private func bounds(_ decodeStages: Int) -> [Double] {
    var all: Set<Double> = []
    for kind in counts.indices {
      for start in 0..<positions - 1 {
        for end in start + 1..<positions {
          let own = seconds[decodeStages - 1][kind][start * positions + end]
          guard own.isFinite else { continue }
          for count in 1...(end <= embedding ? counts[kind] : 1) { all.insert(own / Double(count)) }
        }
      }
      for position in 0..<positions {
        for count in 1...counts[kind] { all.insert(link[kind][position] / Double(count)) }
      }
    }
    return all.sorted()
  }

  /// What can be reached within a bound.
  private struct Table {
    /// fewest[state * positions + position]: decoding stages; 255 when it can't be reached.
    var fewest: [UInt8]
    /// From where, and by which kind and how many.
    var from: [(cell: Int32, kind: Int16, count: Int16)]

    func end(_ states: [Int], _ positions: Int) -> Int? {
      states.first { fewest[$0 * positions + positions - 1] < .max }
        .map { $0 * positions + positions - 1 }
    }
  }

  private func reach(_ bound: Double, _ decodeStages: Int) -> Table {
    let cells = stateCount * positions
    var table = Table(
      fewest: [UInt8](repeating: .max, count: cells),
      from: Array(repeating: (-1, 0, 0), count: cells))
    table.fewest[0] = 0
    let costs = seconds[decodeStages - 1]
    // A state's number is above that of every state it comes from.
    for state in 0..<stateCount {
      let left = zip(counts, spent(state)).map { $0 - $1 }
      for start in 0..<positions - 1 {
        let before = table.fewest[state * positions + start]
        guard before < .max else { continue }
        for kind in counts.indices where left[kind] > 0 {
          // Replicas only in front of the token embedding.
          for count in 1...(start < embedding ? left[kind] : 1) {
            let share = Double(count)
            guard start == 0 || link[kind][start] / share <= bound else { continue }
            let target = (state + count * strides[kind]) * positions
            for end in start + 1..<positions {
              let decodes = end > embedding
              if decodes, count > 1 || Int(before) >= decodeStages { break }
              let own = costs[kind][start * positions + end] / share
              if own == .infinity { break }
              guard own <= bound, link[kind][end] / share <= bound else { continue }
              let after = before + (decodes ? 1 : 0)
              if after < table.fewest[target + end] {
                table.fewest[target + end] = after
                table.from[target + end] = (
                  Int32(state * positions + start), Int16(kind), Int16(count)
                )
              }
            }
          }
        }
      }
    }
    return table
  }

  private func chain(_ table: Table, _ end: Int) -> [Stage] {
    var stages: [Stage] = []
    var cell = end
    while cell > 0 {
      let (before, kind, count) = table.from[cell]
      guard before >= 0 else { break }
      let (start, stop) = (Int(before) % positions, cell % positions)
      stages.append(Stage(kind: Int(kind), count: Int(count), blocks: start..<stop))
      cell = Int(before)
    }
    return stages.reversed()
  }
}
