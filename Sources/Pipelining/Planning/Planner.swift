import Messaging
import PaliGemma

/// Makes the plan whose slowest stage is the fastest, from what each worker measured.
///
/// Plans are contiguous cuts of the chain; a stage has one worker, or, where it keeps nothing of a
/// request (in front of the token embedding), several that are alike. Dynamic programming over how many
/// workers of each kind are spent and how far they reach (`PlanSearch`); the same nodes always give the
/// same plan. Not every worker need be used: one that would slow the rest is left out, and told so.
public struct Planner: Sendable {
  /// The model's numbers.
  public let config: ModelConfig
  /// What the plan is for.
  public let workload: Workload
  private let precision: String
  private let limits: Limits

  /// Nodes that differ by less are taken to be alike: measurements differ by that much themselves.
  public static let tolerance = 0.1
  /// A plan with fewer workers is preferred when it is at most so much slower.
  public static let slack = 0.02
  /// Kinds of nodes, and how many of each: more than that would take seconds to search.
  static let stateMaximum = 96
  /// Of more nodes the fastest are looked at; the others are for another pipeline.
  static let nodesMaximum = 32
  /// Blocks of the longest chain that is searched: Gemma 2's largest has 77.
  static let blocksMaximum = 160

  /// A planner for a model.
  public init(
    config: ModelConfig, precision: String, workload: Workload = Workload(),
    limits: Limits = Limits()
  ) {
    self.config = config
    self.precision = precision
    self.workload = workload
    self.limits = limits
  }

  /// A plan and what is to be said about it.
  public struct Result: Sendable, Equatable {
    /// The stages, with the nodes' indices.
    public var stages: [PipelinePlan.Stage]
    /// A name for each.
    public var names: [String]
    /// What it should do.
    public var forecast: PlanForecast
    /// Who is left out, and why.
    public var leftOut: [LeftOut]
  }
  /// A node without a stage.
  public struct LeftOut: Sendable, Equatable {
    /// The worker's number.
    public var index: Int
    /// For people, after the worker's name.
    public var reason: String
  }

  /// The best plan over `nodes`.
  ///
  /// - Parameters:
  ///   - nodes: in the order of their coming.
  ///   - tolerance: how different nodes may be and still count as alike; 0 for none.
  ///   - slack: how much slower a plan with fewer workers may be.
  /// - Returns: the stages, what they should do, and who is left out.
  /// - Throws: `does_not_fit` when the nodes' memory is too small, with the figures; `invalid_plan` when
  ///   there are no nodes, or the chain is too long to be searched.
  public func plan(
    _ nodes: [PlanNode], tolerance: Double = Self.tolerance, slack: Double = Self.slack
  ) throws(Failure) -> Result {
    guard !nodes.isEmpty, config.blockCount <= Self.blocksMaximum else {
      throw Failure(
        code: "invalid_plan",
        message: "\(nodes.count) workers and \(config.blockCount) blocks can't be planned; write a "
          + "cluster file with the stages")
    }
    let (used, classes) = kinds(nodes, tolerance)
    let search = PlanSearch(
      classes: classes.map { ($0.speed, $0.memoryBytes, $0.members.count) },
      isSpread: Set(used.map(\.host)).count > 1, config: config, workload: workload,
      memory: MemoryNeed(config: config, precision: precision, limits: limits))
    guard let found = search.best(slack: slack) else { throw misfit(nodes) }
    let stages = place(found.stages, classes, used)
    let names = Self.names(stages, config)
    guard
      let forecast = PlanForecast(
        stages, names: names, nodes: nodes, config: config, workload: workload)
    else { throw misfit(nodes) }
    let taken = Set(stages.flatMap(\.workers))
    var reasons: [Int: String] = [:]
    for (kind, members) in classes.map(\.members).enumerated() {
      let idle = members.filter { !taken.contains(used[$0].index) }
      guard !idle.isEmpty else { continue }
      let spent = members.count - idle.count
      let with = search.best(slack: 0) { $0[kind] > spent }
      for position in idle {
        reasons[used[position].index] = Self.reason(found.seconds, with?.seconds)
      }
    }
    let leftOut = nodes.filter { !taken.contains($0.index) }.map { node in
      LeftOut(
        index: node.index,
        reason: reasons[node.index]
          ?? "is left out: \(Self.nodesMaximum) faster workers are there; start another pipeline")
    }
    return Result(stages: stages, names: names, forecast: forecast, leftOut: leftOut)
  }

  private static func reason(_ seconds: Double, _ with: Double?) -> String {
    guard let with else { return "is left out: no stage fits its memory" }
    func rate(_ seconds: Double) -> String { "\(Double(Int(100 / seconds)) / 100)" }
    return "is left out: at best \(rate(with)) images/s with it, \(rate(seconds)) without"
  }

  /// The nodes to look at, and their kinds: coarser until there are few enough to search.
  private func kinds(
    _ nodes: [PlanNode], _ tolerance: Double
  ) -> (nodes: [PlanNode], classes: [NodeClass]) {
    var used = nodes
    if nodes.count > Self.nodesMaximum {
      let fastest = nodes.indices.sorted {
        (nodes[$0].speed.prefillSeconds, $0) < (nodes[$1].speed.prefillSeconds, $1)
      }.prefix(Self.nodesMaximum)
      used = fastest.sorted().map { nodes[$0] }
    }
    var tolerance = tolerance
    while true {
      let classes = NodeClass.classes(
        used, config: config, workload: workload, tolerance: tolerance)
      let states = classes.reduce(1.0) { $0 * Double($1.members.count + 1) }
      if states <= Double(Self.stateMaximum) || classes.count == 1 { return (used, classes) }
      tolerance = max(0.05, tolerance * 1.5)
    }
  }

  /// Names the nodes of each stage: who holds its blocks, else who holds nothing, else who came first.
  private func place(
    _ stages: [PlanSearch.Stage], _ classes: [NodeClass], _ nodes: [PlanNode]
  ) -> [PipelinePlan.Stage] {
    var free = classes.map(\.members)
    var workers = [[Int]](repeating: [], count: stages.count)
    for isHolder in [true, false] {
      for (index, stage) in stages.enumerated() {
        while workers[index].count < stage.count {
          let members = free[stage.kind]
          let at =
            isHolder
            ? members.firstIndex { nodes[$0].loaded == stage.blocks }
            : members.firstIndex { nodes[$0].loaded == nil } ?? members.indices.first
          guard let at else { break }
          workers[index].append(nodes[free[stage.kind].remove(at: at)].index)
        }
      }
    }
    return zip(stages, workers).map { PipelinePlan.Stage(blocks: $0.blocks, workers: $1.sorted()) }
  }

  private func misfit(_ nodes: [PlanNode]) -> Failure {
    let need = MemoryNeed(config: config, precision: precision, limits: limits)
      .byteCount(of: 0..<config.blockCount, decodeStages: 1)
    let have = nodes.reduce(0) { $0 + $1.memoryBytes }
    return Failure(
      code: "does_not_fit",
      message: "no cut fits: weights and caches take \(need >> 20) MiB, the \(nodes.count) workers "
        + "have \(have >> 20) MiB together; start more workers, or serve in int8 or int4")
  }

  /// Names for stages: `vision`, `shard-1`, `all`.
  static func names(_ stages: [PipelinePlan.Stage], _ config: ModelConfig) -> [String] {
    if stages.count == 1 { return ["all"] }
    let visions = stages.count { $0.blocks.upperBound <= config.tokenEmbeddingIndex }
    return stages.indices.map { index in
      index < visions
        ? visions == 1 ? "vision" : "vision-\(index + 1)" : "shard-\(index - visions + 1)"
    }
  }
}
