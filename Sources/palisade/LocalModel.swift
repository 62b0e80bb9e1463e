import Checkpoints
import Foundation
import Jobs
import Messaging
import PaliGemma
import Pipelining
import Tensors
import Tokenization

/// The whole model in this process.
enum LocalModel {
  /// What answers with the model in `directory`, cut into `stages` stages.
  ///
  /// The engine has to be stopped, with `stopAndWait()`, before the process ends.
  static func service(
    directory: String, stages: Int, threads: Int?, precision: Precision?,
    maskDecoder: String? = nil
  ) async throws -> (service: EngineAnswerService, engine: LocalEngine) {
    // Before the model, which takes its time.
    let maskDecoder = try maskDecoder.map { try MaskDecoder(path: $0) }
    let (engine, tokenizer) = try await load(
      directory: directory, stages: stages, threads: threads, precision: precision)
    let service = EngineAnswerService(
      engine: engine, tokenizer: tokenizer, maskDecoder: maskDecoder)
    return (service, engine)
  }

  /// Loads the model in `directory`, cut into `stages` stages, and its tokenizer.
  static func load(
    directory: String, stages: Int, threads: Int?, precision: Precision?
  ) async throws -> (engine: LocalEngine, tokenizer: Tokenizer) {
    try checkFolder(directory)
    let folder = URL(filePath: directory)
    let tokenizer = try Tokenizer(folder: folder)
    let engine = try await makeLocalEngine(
      modelDirectory: folder.path(percentEncoded: false), stages: stages, threads: threads,
      precision: precision)
    return (engine, tokenizer)
  }

  /// Runs `body`, and ends the engine before anybody can end the process: OpenBLAS's destructor and a product under way
  /// don't go together.
  static func using<Value>(
    _ engine: LocalEngine?, _ body: () async throws -> Value
  ) async throws -> Value {
    do {
      let value = try await body()
      await engine?.stopAndWait()
      return value
    } catch {
      await engine?.stopAndWait()
      throw error
    }
  }

  /// Says that there is no such folder before anything says which of its files is missing.
  static func checkFolder(_ directory: String) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: directory, isDirectory: &isFolder),
      isFolder.boolValue
    else {
      throw CommandFailure(
        "there is no folder \(directory); --model takes a PaliGemma folder in the Hugging Face "
          + "layout, cluster/demo/model for instance")
    }
  }

  private static func makeLocalEngine(
    modelDirectory: String, stages: Int, threads: Int?, precision: Precision?
  ) async throws -> LocalEngine {
    Kernels.threadCount = threads ?? ProcessInfo.processInfo.activeProcessorCount
    let config = try ModelConfig(directory: modelDirectory)
    let plan = try PipelinePlan.even(stageCount: stages, config: config)
    let checkpoint = try Checkpoint(directory: modelDirectory)
    return try await LocalEngine.start(
      config: config, checkpoint: checkpoint, plan: plan,
      precision: try Self.precision(precision, of: checkpoint))
  }

  /// The precision asked for, else the one that the checkpoint is stored in, else f32.
  static func precision(_ asked: Precision?, of checkpoint: Checkpoint) throws -> Precision {
    try asked ?? checkpoint.storedPrecision() ?? .f32
  }

  /// What a journal remembers of the model: its files, the precision it answers in (rounding on the
  /// wire is part of it), and what makes its masks.
  static func identity(
    directory: String, precision: Precision?, maskDecoder: String?,
    encoding: TensorEncoding = .exact
  ) throws -> ModelIdentity {
    try checkFolder(directory)
    let precision = try Self.precision(precision, of: try Checkpoint(directory: directory))
    let wire = encoding == .exact ? "" : ", \(encoding.rawValue) between stages"
    return try ModelIdentity(
      directory: directory, precision: precision.rawValue + wire, maskDecoder: maskDecoder)
  }
}
