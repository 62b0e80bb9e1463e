import Foundation
import Messaging
import PaliGemma
import Tensors

/// A worker that a plan may use.
public struct PlanNode: Sendable, Equatable {
  /// The worker's number.
  public var index: Int
  /// Its name.
  public var name: String
  /// The machine it is on.
  public var host: String
  /// Memory for weights and caches; 0 when it isn't known.
  public var memoryBytes: Int
  /// How fast it is.
  public var speed: WorkerSpeed
  /// Blocks that it has loaded.
  public var loaded: Range<Int>?

  /// A node.
  public init(
    index: Int, name: String, host: String, memoryBytes: Int, speed: WorkerSpeed,
    loaded: Range<Int>? = nil
  ) {
    self.index = index
    self.name = name
    self.host = host
    self.memoryBytes = memoryBytes
    self.speed = speed.smoothed
    self.loaded = loaded
  }
}

/// Nodes that are as good as equal, and stand for each other in a plan.
struct NodeClass {
  /// The slowest of each kind of figure, the least memory.
  var speed: WorkerSpeed
  var memoryBytes: Int
  /// Positions in the list of nodes.
  var members: [Int]

  /// Puts nodes together that differ by at most `tolerance` of the time for one picture by one machine
  /// alone, and of the memory. The nodes are in the order of their coming.
  static func classes(
    _ nodes: [PlanNode], config: ModelConfig, workload: Workload, tolerance: Double
  ) -> [NodeClass] {
    let whole = nodes.map {
      BlockCosts($0.speed, config: config, workload: workload, decodeStages: 1)
        .seconds(0..<config.blockCount)
    }
    let order = nodes.indices.sorted { (whole[$0], $0) < (whole[$1], $1) }
    var classes: [NodeClass] = []
    var firsts: [Int] = []
    for position in order {
      let node = nodes[position]
      let like = classes.indices.first { index in
        let first = nodes[firsts[index]]
        return whole[position] <= whole[firsts[index]] * (1 + tolerance)
          && first.isLike(node, within: tolerance)
      }
      if let like {
        classes[like].speed = classes[like].speed.slower(of: node.speed)
        classes[like].memoryBytes = min(classes[like].memoryBytes, node.memoryBytes)
        classes[like].members.append(position)
      } else {
        classes.append(
          NodeClass(speed: node.speed, memoryBytes: node.memoryBytes, members: [position]))
        firsts.append(position)
      }
    }
    for index in classes.indices { classes[index].members.sort() }
    return classes
  }
}

extension PlanNode {
  /// Whether memory and link are alike; a machine may be good at vision and bad at decoding.
  fileprivate func isLike(_ other: PlanNode, within tolerance: Double) -> Bool {
    func near(_ left: Double, _ right: Double) -> Bool {
      max(left, right) <= min(left, right) * (1 + 2 * tolerance) + 1e-15
    }
    return near(Double(memoryBytes), Double(other.memoryBytes))
      && near(speed.linkBytesPerSecond, other.speed.linkBytesPerSecond)
      && near(speed.visionSeconds, other.speed.visionSeconds)
      && near(speed.prefillSeconds, other.speed.prefillSeconds)
      && near(speed.steps.last?.layerSeconds ?? 0, other.speed.steps.last?.layerSeconds ?? 0)
  }
}

extension WorkerSpeed {
  /// Of each figure the worse.
  fileprivate func slower(of other: WorkerSpeed) -> WorkerSpeed {
    var speed = self
    let paths: [WritableKeyPath<WorkerSpeed, Double>] = [
      \.patchSeconds, \.visionSeconds, \.projectorSeconds, \.embeddingSeconds, \.prefillSeconds,
      \.byteSeconds, \.linkLatencySeconds,
    ]
    for path in paths { speed[keyPath: path] = max(self[keyPath: path], other[keyPath: path]) }
    let links = [linkBytesPerSecond, other.linkBytesPerSecond].filter { $0 > 0 }
    speed.linkBytesPerSecond = links.min() ?? 0
    for index in speed.steps.indices {
      let theirs = other.step(rows: steps[index].rows)
      speed.steps[index].layerSeconds = max(steps[index].layerSeconds, theirs.layerSeconds)
      speed.steps[index].headSeconds = max(steps[index].headSeconds, theirs.headSeconds)
      speed.steps[index].hopSeconds = max(steps[index].hopSeconds, theirs.hopSeconds)
    }
    return speed
  }
}

extension PlanNode {
  /// This machine, as it measures itself now or did within the last week. `program` is the version of
  /// the program, since another may be faster; with `isFresh` what an earlier time left is not believed.
  ///
  /// - Throws: `no_memory` when a layer doesn't fit, or what the weights' making throws.
  public static func thisMachine(
    _ config: ModelConfig, precision: Precision, program: String, isFresh: Bool = false
  ) throws -> PlanNode {
    let speed = try SpeedCache.speed(
      of: config, fingerprint: config.fingerprint, precision: precision, program: program,
      isFresh: isFresh)
    let physical = Int(clamping: ProcessInfo.processInfo.physicalMemory)
    return PlanNode(
      index: 0, name: "this-machine", host: ProcessInfo.processInfo.hostName,
      memoryBytes: speed.freeBytes > 0 ? speed.freeBytes : physical, speed: speed)
  }

  /// The workers of a running cluster that have said how fast they are.
  public static func nodes(of status: Status) -> [PlanNode] {
    let there = status.nodes.filter { $0.state != .leaving }
    let counts = Dictionary(grouping: there, by: \.node).mapValues(\.count)
    return there.compactMap { node in
      node.speed.map { speed in
        let free = speed.freeBytes > 0 ? min(speed.freeBytes, node.memoryBytes) : node.memoryBytes
        return PlanNode(
          index: node.workerIndex, name: node.worker, host: node.node,
          memoryBytes: free / max(1, counts[node.node] ?? 1), speed: speed,
          loaded: status.stages.first { $0.workerIndex == node.workerIndex }?.blocks)
      }
    }
  }

  /// The plan of a running cluster.
  public static func plan(
    of status: Status
  ) -> (stages: [PipelinePlan.Stage], names: [String]) {
    var stages: [PipelinePlan.Stage] = []
    var names: [String] = []
    for row in status.stages {
      if stages.count == row.stage + 1 {
        stages[row.stage].workers.append(row.workerIndex)
      } else {
        stages.append(PipelinePlan.Stage(blocks: row.blocks, workers: [row.workerIndex]))
        names.append(row.name)
      }
    }
    return (stages, names)
  }

  /// So many more machines like those in `nodes`, one after the other, `factor` times as fast.
  public static func more(_ count: Int, like nodes: [PlanNode], factor: Double = 1) -> [PlanNode] {
    guard !nodes.isEmpty else { return [] }
    let next = (nodes.map(\.index).max() ?? 0) + 1
    return (0..<count).map { number in
      var node = nodes[number % nodes.count]
      (node.index, node.name) = (next + number, "new-\(next + number)")
      (node.host, node.loaded) = ("new-host-\(next + number)", nil)
      node.speed = node.speed.faster(factor)
      return node
    }
  }
}

extension WorkerSpeed {
  /// The same with everything taking `factor` times less.
  func faster(_ factor: Double) -> WorkerSpeed {
    var speed = self
    let paths: [WritableKeyPath<WorkerSpeed, Double>] = [
      \.patchSeconds, \.visionSeconds, \.projectorSeconds, \.embeddingSeconds, \.prefillSeconds,
      \.byteSeconds,
    ]
    for path in paths { speed[keyPath: path] /= factor }
    for index in speed.steps.indices {
      speed.steps[index].layerSeconds /= factor
      speed.steps[index].headSeconds /= factor
      speed.steps[index].hopSeconds /= factor
    }
    return speed
  }
}
