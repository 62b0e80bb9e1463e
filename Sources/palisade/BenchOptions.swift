import ArgumentParser
import Checkpoints
import Foundation
import PaliGemma
import Pipelining
import Tensors

/// Which model a measurement is of.
struct BenchWeightsOptions: ParsableArguments {
  static let defaultPreset = "paligemma-3b-224"

  @Option(
    help: ArgumentHelp(
      "Whose shapes, with random weights in memory (default: \(Self.defaultPreset)).",
      valueName: "name"))
  var preset: String?
  @Option(help: "A model's folder, instead of random weights.") var model: String?
  @Option(
    help:
      "f32, bf16, int8 or int4 (default: the checkpoint's own where it is quantised, else int8).")
  var precision: Precision?

  func validate() throws {
    guard preset == nil || model == nil else {
      throw ValidationError("give --preset NAME or --model FOLDER, not both")
    }
    guard let preset, SynthesisPreset.named(preset) == nil else { return }
    let names = SynthesisPreset.all.map(\.name).joined(separator: ", ")
    throw ValidationError("there is no preset '\(preset)'; choose one of \(names)")
  }

  /// What was asked for.
  ///
  /// - Throws: what is wrong with the folder or its precision.
  func resolved() throws -> BenchModel {
    try BenchModel(preset: preset, folder: model, precision: precision)
  }
}

/// A model measured in this process, and where the results go.
struct BenchModelOptions: ParsableArguments {
  @OptionGroup var weights: BenchWeightsOptions
  @Option(help: "Threads for the arithmetic.")
  var threads: Int = ProcessInfo.processInfo.activeProcessorCount
  @OptionGroup var output: BenchOutputOptions

  func validate() throws {
    guard (1...64).contains(threads) else { throw ValidationError("--threads takes 1 to 64") }
  }
}

/// How much is asked of the model.
struct BenchRequestOptions: ParsableArguments {
  @Option(help: "Pictures of one run, no two alike.") var images = 16
  @Option(help: "Tokens of each answer.") var maxTokens = 20
  @Option(help: "Tokens of each prompt, <bos> and newline included.") var promptTokens = 16
  @Option(help: "Runs, of which medians are told.") var rounds = 3

  /// Requests under way at once: all, and no more than a batch may have.
  var window: Int { min(images, Limits().batchRequestsInFlight(decodeStages: 1)) }

  func validate() throws {
    guard (1...100_000).contains(images) else {
      throw ValidationError("--images takes 1 to 100000")
    }
    guard (1...2048).contains(maxTokens) else {
      throw ValidationError("--max-tokens takes 1 to 2048")
    }
    guard (1...1024).contains(promptTokens) else {
      throw ValidationError("--prompt-tokens takes 1 to 1024")
    }
    guard (1...100).contains(rounds) else { throw ValidationError("--rounds takes 1 to 100") }
  }
}

/// A model to measure: of a folder, or a shape whose weights are made up.
struct BenchModel: Sendable {
  /// The preset's name or the folder as it was given.
  let name: String
  let config: ModelConfig
  let precision: Precision
  /// Its folder; nil for random weights.
  let folder: String?

  /// The model of a folder, else the shape of a preset, else the usual one.
  ///
  /// - Throws: what is wrong with the folder or its precision.
  init(preset: String?, folder: String?, precision: Precision?) throws {
    if let folder {
      try LocalModel.checkFolder(folder)
      let path = URL(filePath: folder).standardizedFileURL.path(percentEncoded: false)
      let stored = try Checkpoint(directory: path).storedPrecision()
      if let stored, let precision, stored != precision {
        throw CommandFailure(
          "the weights in \(folder) are stored in \(stored.rawValue); leave --precision out, or "
            + "give the folder that they were quantised from")
      }
      self.init(
        name: folder, config: try ModelConfig(directory: path),
        precision: precision ?? stored ?? .int8, folder: path)
      return
    }
    let name = preset ?? BenchWeightsOptions.defaultPreset
    guard let known = SynthesisPreset.named(name) else {
      throw CommandFailure("there is no preset '\(name)'")
    }
    self.init(name: name, config: known.config, precision: precision ?? .int8, folder: nil)
  }

  init(name: String, config: ModelConfig, precision: Precision, folder: String?) {
    (self.name, self.config, self.precision, self.folder) = (name, config, precision, folder)
  }

  /// The weights of `blocks`, told of on standard error where they have to be made.
  ///
  /// - Throws: when they don't fit into memory, with the figures; `CancellationError`.
  func checkpoint(_ blocks: Range<Int>? = nil) throws -> Checkpoint {
    if let folder { return try Checkpoint(directory: folder) }
    let blocks = blocks ?? 0..<config.blockCount
    try requireMemory(for: blocks)
    let start = ContinuousClock.now
    var told = start
    let made = try Checkpoint.random(blocks, of: config, precision: precision) { index in
      try Task.checkCancellation()
      if told.duration(to: .now) > .seconds(5) {
        told = .now
        let done = 100 * (index + 1 - blocks.lowerBound) / blocks.count
        Terminal.note("bench: making random weights, \(done) % of the blocks …")
      }
    }
    let seconds = start.duration(to: .now) / .seconds(1)
    Terminal.note(
      "bench: random weights of \(name) in \(precision.rawValue), "
        + "\(Readable.bytes(byteCount(blocks))), made in \(Readable.fixed(seconds, places: 1)) s")
    return made
  }

  /// About what the weights take.
  func byteCount(_ blocks: Range<Int>) -> Int {
    let bits = precision.bits ?? 32
    return config.blocks[blocks].reduce(0) { sum, block in
      let count = config.weights(of: block).reduce(0) { $0 + $1.count }
      switch block {
      case .tokenEmbedding: return sum + count * (precision.bits == nil ? 4 : 2)
      case .languageHead:
        let table = config.text.vocabularyCount * config.text.width
        return sum + count * 4 + (precision.bits == nil ? 0 : table * bits / 8)
      default: return sum + count * bits / 8
      }
    }
  }

  private func requireMemory(for blocks: Range<Int>) throws {
    guard let memory = MachineFacts.memory else { return }
    // f32 products that are computed as one are copied once more; caches and rows come on top.
    let need = byteCount(blocks) * (precision.bits == nil ? 2 : 1) + (1 << 30)
    guard need <= memory.available || byteCount(blocks) < 64 << 20 else {
      throw CommandFailure(
        "random weights of \(name) in \(precision.rawValue) need about \(Readable.bytes(need)), and "
          + "\(Readable.bytes(memory.available)) are free; take --precision int8, or a smaller "
          + "--preset (demo)")
    }
  }
}

/// Runs a measurement that Ctrl-C ends.
enum BenchRun {
  /// - Throws: exit code 130 when it was ended so, else what `body` throws.
  static func interruptible<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    let work = Task(operation: body)
    Interruption.install { _ in work.cancel() }
    do { return try await work.value } catch {
      // Whatever it throws then is a consequence.
      guard work.isCancelled else { throw error }
      Terminal.note("bench: stopped, nothing is told")
      throw ExitCode(130)
    }
  }
}
