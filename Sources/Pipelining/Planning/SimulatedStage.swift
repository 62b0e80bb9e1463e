import Messaging
import PaliGemma

/// A stage of a simulated pipeline: what it takes for a prefill and for a decode step.
public struct SimulatedStage: Sendable, Equatable {
  /// What a decode step of so many rows takes.
  public struct Step: Sendable, Equatable {
    /// Requests in the step.
    public var rows: Int
    /// Seconds.
    public var seconds: Double
    /// A step.
    public init(rows: Int, seconds: Double) {
      self.rows = rows
      self.seconds = seconds
    }
  }

  /// Its name.
  public var name: String
  /// Workers that run it.
  public var replicas = 1
  /// Seconds of a prefill, whatever its size.
  public var prefillSeconds = 0.0
  /// Seconds for each request of a prefill.
  public var requestSeconds = 0.0
  /// Decode steps by rows, fewest first; none where only prefills pass.
  public var steps: [Step] = []
  /// Seconds that a request's rows keep the link to the next stage: of a prefill, and of a decode step.
  public var linkSeconds = (prefill: 0.0, step: 0.0)
  /// Seconds on the way to the next stage, and from the last one back to where decode steps start.
  public var latencySeconds = 0.0
  /// The machine, and how many of its cores a step takes; -1 for a machine of its own.
  public var host = -1
  /// Cores a step takes.
  public var cores = 1

  /// A stage that does nothing yet.
  public init(name: String) { self.name = name }

  /// Whether decode steps pass it.
  var decodes: Bool { !steps.isEmpty }

  func stepSeconds(_ rows: Int) -> Double {
    guard let first = steps.first else { return 0 }
    guard steps.count > 1, rows > first.rows else { return first.seconds }
    let upper = steps.firstIndex { $0.rows >= rows } ?? steps.count - 1
    let (left, right) = (steps[upper - 1], steps[upper])
    let slope = (right.seconds - left.seconds) / Double(right.rows - left.rows)
    return max(0, left.seconds + slope * Double(rows - left.rows))
  }

  /// Whether two stages are the same in everything.
  public static func == (left: SimulatedStage, right: SimulatedStage) -> Bool {
    left.name == right.name && left.replicas == right.replicas
      && left.prefillSeconds == right.prefillSeconds
      && left.requestSeconds == right.requestSeconds && left.steps == right.steps
      && left.linkSeconds == right.linkSeconds && left.latencySeconds == right.latencySeconds
      && left.host == right.host && left.cores == right.cores
  }
}

extension SimulatedStage {
  /// The stages of a plan, as its workers measured themselves; of replicas the first stands for all.
  /// `linkBytesPerSecond` and `latencySeconds` take the place of what was measured, where they are given.
  public static func stages(
    _ plan: [PipelinePlan.Stage], names: [String], nodes: [PlanNode], config: ModelConfig,
    workload: Workload, linkBytesPerSecond: Double? = nil, latencySeconds: Double? = nil
  ) -> [SimulatedStage] {
    let known = Dictionary(nodes.map { ($0.index, $0) }) { first, _ in first }
    let hosts = Set(plan.flatMap(\.workers).compactMap { known[$0]?.host }).sorted()
    let isSpread = hosts.count > 1 || linkBytesPerSecond != nil || latencySeconds != nil
    return plan.enumerated().compactMap { index, place in
      guard let node = place.workers.first.flatMap({ known[$0] }) else { return nil }
      var stage = SimulatedStage(
        name: names.indices.contains(index) ? names[index] : "\(index + 1)")
      stage.replicas = place.workers.count
      stage.fill(node.speed, place.blocks, config, workload)
      stage.cores = min(node.speed.threads, node.speed.cores)
      let shared = plan.flatMap(\.workers).count { known[$0]?.host == node.host }
      stage.host = shared > 1 ? hosts.firstIndex(of: node.host) ?? -1 : -1
      guard isSpread else { return stage }
      let rate = linkBytesPerSecond ?? node.speed.linkBytesPerSecond
      if rate > 0, index + 1 < plan.count {
        var first = workload
        first.answerTokens = 1
        stage.linkSeconds.prefill = first.bytes(before: place.blocks.upperBound, config) / rate
        stage.linkSeconds.step = workload.rowBytes(config.text.width) / rate
      }
      stage.latencySeconds = latencySeconds ?? node.speed.linkLatencySeconds
      return stage
    }
  }

  private mutating func fill(
    _ speed: WorkerSpeed, _ blocks: Range<Int>, _ config: ModelConfig, _ workload: Workload
  ) {
    let rows = Double(config.imageTokenCount) + workload.promptTokens
    let bytes =
      (workload.bytes(before: blocks.lowerBound, config)
        + workload.bytes(before: blocks.upperBound, config)) / 2
    // A step of one row's hop and head, and what each more costs, as a prefill's of as many requests.
    let (one, many) = (speed.step(rows: 1), speed.step(rows: 16))
    let layers = Double(config.decoderLayers(in: blocks).count)
    let hasHead = blocks.upperBound == config.blockCount
    let hopEach = max(0, many.hopSeconds - one.hopSeconds) / 15
    prefillSeconds = one.hopSeconds - hopEach
    requestSeconds = hopEach + bytes * speed.byteSeconds
    for block in config.blocks[blocks] {
      switch block {
      case .patchEmbedding: requestSeconds += speed.patchSeconds
      case .visionLayer: requestSeconds += speed.visionSeconds
      case .projector: requestSeconds += speed.projectorSeconds
      case .tokenEmbedding: requestSeconds += workload.promptTokens * speed.embeddingSeconds
      case .decoderLayer: requestSeconds += rows * speed.prefillSeconds
      case .languageHead:
        let each = max(0, many.headSeconds - one.headSeconds) / 15
        prefillSeconds += one.headSeconds - each
        requestSeconds += each
      }
    }
    guard blocks.upperBound > config.tokenEmbeddingIndex else { return }
    steps = speed.steps.map { step in
      Step(
        rows: step.rows,
        seconds: layers * step.layerSeconds + (hasHead ? step.headSeconds : 0) + step.hopSeconds)
    }
  }
}
