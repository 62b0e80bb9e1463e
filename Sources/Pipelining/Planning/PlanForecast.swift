import Messaging
import PaliGemma

/// What a plan should do at full load, and why not more.
public struct PlanForecast: Sendable, Equatable {
  /// One stage of it.
  public struct Stage: Sendable, Equatable {
    /// Its name.
    public var name: String
    /// Its blocks.
    public var blocks: Range<Int>
    /// Names of its workers.
    public var workers: [String]
    /// Seconds of one worker's time for a picture.
    public var secondsPerImage: Double
    /// What the stage could do alone, all its workers together.
    public var imagesPerSecond: Double
  }
  /// The stages in order.
  public let stages: [Stage]
  /// What all together do.
  public let imagesPerSecond: Double
  /// What sets the pace: a stage's name, a link, a machine's cores, or the requests in flight.
  public let bottleneck: String

  /// Foresees what `plan` does over `nodes`.
  ///
  /// - Returns: nil when a worker of the plan isn't among the nodes.
  public init?(
    _ plan: [PipelinePlan.Stage], names: [String], nodes: [PlanNode], config: ModelConfig,
    workload: Workload
  ) {
    let known = Dictionary(nodes.map { ($0.index, $0) }) { first, _ in first }
    guard plan.flatMap(\.workers).allSatisfy({ known[$0] != nil }) else { return nil }
    let decodeStages = plan.count { $0.blocks.upperBound > config.tokenEmbeddingIndex }
    var stages: [Stage] = []
    var pace: [(name: String, rate: Double)] = []
    var coreSeconds: [String: Double] = [:]
    for (index, stage) in plan.enumerated() {
      let workers = stage.workers.compactMap { known[$0] }
      let seconds = workers.map {
        BlockCosts($0.speed, config: config, workload: workload, decodeStages: decodeStages)
          .seconds(stage.blocks)
      }
      let rate = seconds.reduce(0) { $0 + 1 / $1 }
      let name = names.indices.contains(index) ? names[index] : "stage-\(index + 1)"
      stages.append(
        Stage(
          name: name, blocks: stage.blocks, workers: workers.map(\.name),
          secondsPerImage: seconds.max() ?? 0, imagesPerSecond: rate))
      pace.append((name, rate))
      for (worker, own) in zip(workers, seconds) {
        // A replica takes its share of the pictures.
        let threads = Double(min(worker.speed.threads, worker.speed.cores))
        coreSeconds[worker.host, default: 0] += own * threads * (1 / own) / rate
      }
    }
    let hosts = Set(nodes.map(\.host))
    if hosts.count > 1 {
      pace += Self.links(plan, names: names, known, config, workload)
    }
    for (host, seconds) in coreSeconds.sorted(by: { $0.key < $1.key }) {
      let cores = nodes.filter { $0.host == host }.map(\.speed.cores).max() ?? 1
      pace.append(("the \(cores) cores of \(host)", Double(cores) / seconds))
    }
    let inFlight = workload.requestsInFlight(decodeStages: decodeStages)
    pace.append(
      (
        "\(inFlight) requests in flight",
        Double(inFlight)
          / Self.answerSeconds(plan, known, config, workload, isSpread: hosts.count > 1)
      ))
    let slowest = pace.min { $0.rate < $1.rate }
    self.stages = stages
    imagesPerSecond = slowest?.rate ?? 0
    bottleneck = slowest?.name ?? ""
  }

  private static func links(
    _ plan: [PipelinePlan.Stage], names: [String], _ known: [Int: PlanNode],
    _ config: ModelConfig, _ workload: Workload
  ) -> [(name: String, rate: Double)] {
    plan.indices.dropFirst().compactMap { index in
      let ends = [plan[index - 1], plan[index]]
      let seconds = ends.map { end in
        let slowest = end.workers.compactMap { known[$0] }.map {
          BlockCosts($0.speed, config: config, workload: workload, decodeStages: 1)
            .linkSeconds(before: plan[index].blocks.lowerBound)
        }.max()
        return (slowest ?? 0) / Double(end.workers.count)
      }.max()
      guard let seconds, seconds > 0 else { return nil }
      let to = names.indices.contains(index) ? names[index] : "stage-\(index + 1)"
      return ("the link to \(to)", 1 / seconds)
    }
  }

  /// How long one answer takes when nothing has to wait: what requests in flight are needed for.
  private static func answerSeconds(
    _ plan: [PipelinePlan.Stage], _ known: [Int: PlanNode], _ config: ModelConfig,
    _ workload: Workload, isSpread: Bool
  ) -> Double {
    let decodeStages = plan.count { $0.blocks.upperBound > config.tokenEmbeddingIndex }
    let rows = Double(workload.stepRequests(decodeStages: decodeStages))
    // Requests come in as others end: prefills are no larger than an even share of those in flight.
    let workers = plan.reduce(0) { $0 + $1.workers.count }
    let share = workload.requestsInFlight(decodeStages: decodeStages) / (workers + 1)
    let most = workload.prefillRequests(config, workerCount: workers)
    let together = Double(max(1, min(most, share)))
    var seconds = 0.0
    for stage in plan {
      guard let node = stage.workers.first.flatMap({ known[$0] }) else { continue }
      let latency = isSpread ? node.speed.linkLatencySeconds : 0
      func own(_ workload: Workload) -> Double {
        BlockCosts(node.speed, config: config, workload: workload, decodeStages: decodeStages)
          .seconds(stage.blocks)
      }
      var short = workload
      short.answerTokens = 1
      seconds += own(short) * together + latency
      if stage.blocks.upperBound > config.tokenEmbeddingIndex {
        seconds += (own(workload) - own(short)) * rows + workload.decodeSteps * latency
      }
    }
    return seconds
  }
}
