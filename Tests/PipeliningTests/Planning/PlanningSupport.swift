import Messaging
import PaliGemma

@testable import Pipelining

/// Made-up models and machines.
enum Made {
  static func config(vision: Int, text: Int) -> ModelConfig {
    var config = SynthesisPreset.all[0].config  // tiny
    (config.vision.layerCount, config.text.layerCount) = (vision, text)
    return config
  }

  /// A machine on which each block takes about `milliseconds` for a picture.
  static func speed(
    _ milliseconds: Double, vision: Double = 1, head: Double = 1, hop: Double = 0
  ) -> WorkerSpeed {
    var speed = WorkerSpeed()
    (speed.fingerprint, speed.precision) = ("f", "f32")
    let seconds = milliseconds / 1000
    speed.patchSeconds = seconds * vision
    speed.visionSeconds = seconds * vision
    speed.projectorSeconds = seconds * vision
    // Four image tokens and sixteen of the prompt make half of it, decode steps the other.
    speed.prefillSeconds = seconds / 2 / 20
    speed.steps = [1, 4, 16, 64].map { rows in
      WorkerSpeed.Step(
        rows: rows, layerSeconds: seconds / 2 / 19 * Double(rows + 3) / 4,
        headSeconds: seconds * head / 20 * Double(rows + 3) / 4, hopSeconds: hop)
    }
    return speed
  }

  static func node(
    _ index: Int, _ speed: WorkerSpeed, memory: Int = 0, host: String? = nil
  ) -> PlanNode {
    PlanNode(
      index: index, name: "w\(index)", host: host ?? "h\(index)", memoryBytes: memory, speed: speed)
  }
}
