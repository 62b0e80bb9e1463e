import Messaging
import PaliGemma

/// What a worker's stages cost, in seconds a picture, from what it measured. Answers are taken to be
/// as long as the workload says; decode steps are as large as the number of decoding stages makes them.
struct BlockCosts {
  private let speed: WorkerSpeed
  private let config: ModelConfig
  private let workload: Workload
  /// Seconds a picture of the first i blocks.
  private var upTo: [Double]
  /// What a stage spends beside arithmetic: on a prefill's share, and on all decode steps.
  private let prefillHop: Double
  private let decodeHop: Double

  init(_ speed: WorkerSpeed, config: ModelConfig, workload: Workload, decodeStages: Int) {
    self.speed = speed
    self.config = config
    self.workload = workload
    let rows = workload.stepRequests(decodeStages: decodeStages)
    let step = speed.step(rows: rows)
    // What one request of a step costs, times its steps.
    let share = workload.decodeSteps / Double(rows)
    // A machine alone takes more at once, which saves it some of this.
    let together = workload.prefillRequests(config, workerCount: 2)
    prefillHop = speed.step(rows: together).hopSeconds / Double(together)
    decodeHop = step.hopSeconds * share
    let prefixRows = Double(config.imageTokenCount) + workload.promptTokens
    let first = speed.step(rows: together).headSeconds / Double(together)
    upTo = [0]
    for block in config.blocks {
      let seconds =
        switch block {
        case .patchEmbedding: speed.patchSeconds
        case .visionLayer: speed.visionSeconds
        case .projector: speed.projectorSeconds
        case .tokenEmbedding:
          (workload.promptTokens + workload.decodeSteps) * speed.embeddingSeconds
        case .decoderLayer: prefixRows * speed.prefillSeconds + step.layerSeconds * share
        case .languageHead: first + step.headSeconds * share
        }
      upTo.append(upTo[upTo.count - 1] + seconds)
    }
  }

  /// A stage's seconds a picture.
  func seconds(_ blocks: Range<Int>) -> Double {
    let decodes = blocks.upperBound > config.tokenEmbeddingIndex
    // Half of what a message costs is its sender's, half its receiver's.
    let bytes =
      (workload.bytes(before: blocks.lowerBound, config)
        + workload.bytes(before: blocks.upperBound, config)) / 2
    return upTo[blocks.upperBound] - upTo[blocks.lowerBound] + prefillHop
      + (decodes ? decodeHop : 0) + bytes * speed.byteSeconds
  }

  /// Seconds a picture that what passes the boundary in front of block `index` keeps the worker's link.
  func linkSeconds(before index: Int) -> Double {
    speed.linkBytesPerSecond > 0
      ? workload.bytes(before: index, config) / speed.linkBytesPerSecond : 0
  }
}

extension WorkerSpeed {
  /// What a step of so many rows takes: between two that were measured on the line through them, beyond
  /// the last on the line through the last two. A row never costs more in a larger step.
  func step(rows: Int) -> Step {
    guard let first = steps.first else {
      return Step(rows: rows, layerSeconds: 0, headSeconds: 0, hopSeconds: 0)
    }
    func value(_ path: KeyPath<Step, Double>) -> Double {
      guard steps.count > 1, rows > first.rows else { return first[keyPath: path] }
      let upper = steps.firstIndex { $0.rows >= rows } ?? steps.count - 1
      let (left, right) = (steps[upper - 1], steps[upper])
      let slope =
        (right[keyPath: path] - left[keyPath: path]) / Double(right.rows - left.rows)
      return max(0, left[keyPath: path] + slope * Double(rows - left.rows))
    }
    return Step(
      rows: rows, layerSeconds: value(\.layerSeconds), headSeconds: value(\.headSeconds),
      hopSeconds: value(\.hopSeconds))
  }

  /// The same with noise taken out: more rows never cost less, and a row never costs more in company.
  /// Plans are compared by it.
  var smoothed: WorkerSpeed {
    var speed = self
    let paths: [WritableKeyPath<Step, Double>] = [\.layerSeconds, \.headSeconds, \.hopSeconds]
    for path in paths {
      for index in speed.steps.indices.dropFirst() {
        let before = speed.steps[index - 1]
        let ratio = Double(speed.steps[index].rows) / Double(before.rows)
        let seconds = speed.steps[index][keyPath: path]
        speed.steps[index][keyPath: path] = min(
          max(seconds, before[keyPath: path]), before[keyPath: path] * ratio)
      }
    }
    return speed
  }
}
