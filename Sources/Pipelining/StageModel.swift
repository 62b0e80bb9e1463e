import Checkpoints
import Foundation
import Messaging
import PaliGemma
import Tensors

/// Where a worker has the weights of its stage from: a folder of its machine, or the coordinator, with
/// a cache in between.
struct StageModel {
  let config: ModelConfig
  let checkpoint: Checkpoint
  /// Keeps what was fetched in the cache as long as it is in use; nil for a folder.
  let lease: TensorLease?
  /// What others may have of it.
  let source: ModelSource
  /// Whether that is the whole model.
  var hasAllWeights: Bool { lease == nil }

  /// - Throws: `Failure`, `ModelError`, `CheckpointError`, `MessagingError` or `FetchInterrupted`.
  init(
    _ assign: Assign, configuration: WorkerConfiguration, in context: Context,
    _ hooks: ModelFetch.Hooks
  ) throws {
    if let directory = Self.folder(assign, configuration) {
      config = try ModelConfig(directory: directory)
      guard config.fingerprint == assign.fingerprint else {
        throw Failure(
          code: "other_model",
          message: "the model in \(directory) is not the coordinator's; copy it there, give this "
            + "worker the right folder with --model, or let it have the weights from the coordinator "
            + "with --cache DIR")
      }
      checkpoint =
        try configuration.makesWeightsUp
        ? Self.madeUp(assign, config) : Checkpoint(directory: directory)
      lease = nil
      source = ModelSource(directory: directory, config: config)
    } else {
      let fetched = try ModelFetch(assign, configuration, in: context, hooks).run()
      (config, checkpoint, lease) = (fetched.config, fetched.checkpoint, fetched.lease)
      source = fetched.source
    }
  }

  /// Weights that nobody trained, of the assigned blocks.
  private static func madeUp(_ assign: Assign, _ config: ModelConfig) throws -> Checkpoint {
    guard assign.stages.indices.contains(assign.stage),
      let precision = Precision(rawValue: assign.precision)
    else {
      throw Failure(
        code: "invalid_plan", message: "no stage \(assign.stage) in '\(assign.precision)'")
    }
    let blocks = assign.stages[assign.stage].blocks.clamped(to: 0..<config.blockCount)
    return try Checkpoint.random(blocks, of: config, precision: precision)
  }

  /// The folder to take; nil when the coordinator is to be asked.
  static func folder(
    _ assign: Assign, _ configuration: WorkerConfiguration
  ) -> String? {
    if let directory = configuration.modelDirectory { return directory }
    // A coordinator that gives nothing leaves its own path, and the error that comes of it.
    if assign.modelEndpoint.isEmpty { return assign.modelDirectory }
    let isThere = FileManager.default.isReadableFile(atPath: assign.modelDirectory + "/config.json")
    return isThere && !configuration.cache.isPreferred ? assign.modelDirectory : nil
  }
}
