import ArgumentParser
import Checkpoints
import Foundation
import PaliGemma
import Tensors

/// `palisade checkpoint`: looks at checkpoints and makes them.
struct CheckpointCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checkpoint",
    abstract: "Look into a checkpoint, quantise it, import GGUF, or make one of random weights.",
    subcommands: [
      InspectCommand.self, QuantizeCommand.self, ImportCommand.self, SynthesizeCommand.self,
    ])
}

/// `palisade checkpoint inspect`: the headers of a checkpoint, as a table of the pipeline.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a checkpoint holds, block by block.",
    discussion: """
      Reads config.json and the headers of the safetensors files, never the weights themselves.
      'cost' is the share of the arithmetic for one picture with a prompt of 16 tokens and an \
      answer of 20: what an even cut of the pipeline goes by. Ends with exit code 1 when tensors \
      are missing or of another shape than config.json says.
      Of a GGUF file it shows the metadata and the tensors.
      """)

  @Argument(help: "The folder with config.json and model.safetensors, or a GGUF file.")
  var directory: String
  @Flag(help: "Print one JSON object.") var json = false

  func run() throws {
    if directory.lowercased().hasSuffix(".gguf") {
      let report: GGUFReport
      do { report = GGUFReport(try GGUFFile(path: directory)) } catch {
        throw CommandFailure("\(error)")
      }
      return try Terminal.result(json ? try report.json : report.text)
    }
    let report: CheckpointReport
    do {
      report = CheckpointReport(
        config: try ModelConfig(directory: directory),
        checkpoint: try Checkpoint(directory: directory))
    } catch { throw CommandFailure("\(error)") }
    try Terminal.result(json ? try report.json : report.table(of: directory))
    if !report.isSound { throw ExitCode.failure }
  }
}

/// `palisade checkpoint synthesize`: random weights in true shapes.
struct SynthesizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "synthesize",
    abstract: "Write a checkpoint of random weights in a model's true shapes.",
    discussion: """
      For measuring speed and memory at full size without having the weights; the answers are \
      nonsense. The same preset, type and seed give the same bytes everywhere. Presets:

      """ + SynthesisPreset.all.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))

  @Option(help: ArgumentHelp("The shape.", valueName: "name")) var preset: String
  @Option(help: ArgumentHelp("A folder, made when missing.", valueName: "dir")) var output: String
  @Option(help: "Other seeds give other weights.") var seed: UInt64 = 0
  @Option(help: ArgumentHelp("How weights are stored: f32, bf16 or f16.", valueName: "type"))
  var type = "bf16"
  @Option(
    help: ArgumentHelp(
      "Copy tokenizer files and token numbers from this checkpoint folder.", valueName: "dir"))
  var tokenizer: String?

  func validate() throws {
    guard SynthesisPreset.named(preset) != nil else {
      let names = SynthesisPreset.all.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no preset '\(preset)'; choose one of \(names)")
    }
    guard elementType != nil else {
      throw ValidationError("weights can't be stored as '\(type)'; choose f32, bf16 or f16")
    }
  }

  private var elementType: ElementType? {
    [ElementType.f32, .bf16, .f16].first { "\($0)" == type }
  }

  func run() throws {
    guard let shape = SynthesisPreset.named(preset), let elementType else { return }
    let started = ContinuousClock.now
    let synthesis: CheckpointSynthesis
    do {
      synthesis = try CheckpointSynthesis(
        config: shape.config, elementType: elementType, seed: seed, tokenizer: tokenizer)
      let total = synthesis.byteCount
      try synthesis.write(to: output) { done in
        guard Terminal.isInteractive else { return }
        Terminal.write(
          "\r\(Readable.bytes(done)) of \(Readable.bytes(total))   ", to: .standardError)
      }
      if Terminal.isInteractive { Terminal.note("") }
    } catch { throw CommandFailure("\(error)") }
    let seconds = Readable.fixed((ContinuousClock.now - started) / .seconds(1), places: 1)
    try Terminal.result(
      "\(output): \(Readable.count(synthesis.parameterCount)) parameters, "
        + "\(Readable.bytes(synthesis.byteCount)) of \(type), seed \(seed), in \(seconds) s")
  }
}
