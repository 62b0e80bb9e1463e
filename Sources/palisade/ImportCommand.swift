import ArgumentParser
import Checkpoints
import Foundation
import PaliGemma
import Tensors
import Tokenization

/// `palisade checkpoint import`: a PaliGemma in GGUF becomes a checkpoint folder.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Write a checkpoint from a PaliGemma in GGUF, as llama.cpp has it.",
    discussion: """
      Takes the text model TEXT (architecture gemma) and the vision half MMPROJ (architecture clip), \
      and writes the folder OUT: config.json, one safetensors file under the Hub's names, and the \
      tokenizer. Quantised blocks (Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K) are expanded; what was \
      lost in quantising stays lost. Memory stays small, whatever the model's size.
      """)

  @Argument(help: "The text model's GGUF file.") var text: String
  @Argument(help: "The GGUF file of the vision tower and projector.") var mmproj: String
  @Argument(help: "The folder to write, made when missing.") var output: String
  @Option(
    help: ArgumentHelp(
      "Copy tokenizer files from this checkpoint folder, instead of making them from TEXT.",
      valueName: "dir"))
  var tokenizer: String?
  @Option(
    help: ArgumentHelp(
      "How weights are stored: f32, bf16, f16, or stored: floats as they are and blocks as bf16.",
      valueName: "type"))
  var type = "stored"
  @Flag(
    help: ArgumentHelp(
      "The projector has 1/√D in it: it was written for a reader that multiplies pictures' rows by √D, too."
    ))
  var scaledProjector = false

  func validate() throws {
    guard type == "stored" || elementType != nil else {
      throw ValidationError("weights can't be stored as '\(type)'; choose f32, bf16, f16 or stored")
    }
  }

  private var elementType: ElementType? {
    [ElementType.f32, .bf16, .f16].first { "\($0)" == type }
  }

  func run() throws {
    let started = ContinuousClock.now
    var (shown, total) = (0, 0)
    do {
      let file = try GGUFFile(path: text)
      let plan = try GGUFImport(
        text: file, projector: try GGUFFile(path: mmproj), elementType: elementType,
        tokenizer: tokenizer, isProjectorScaled: scaledProjector)
      if tokenizer == nil { try checkTokenizer(of: file) }
      total = plan.byteCount
      try plan.write(to: output) { done in
        guard Terminal.isInteractive, done - shown > total / 100 else { return }
        shown = done
        Terminal.write(
          "\r\(Readable.bytes(done)) of \(Readable.bytes(total))   ", to: .standardError)
      }
      if Terminal.isInteractive { Terminal.note("") }
    } catch let failure as CommandFailure { throw failure } catch {
      throw CommandFailure("\(error)")
    }
    let seconds = Readable.fixed((ContinuousClock.now - started) / .seconds(1), places: 1)
    try Terminal.result(
      "\(output): \(Readable.bytes(total)) of weights, type \(type), in \(seconds) s")
  }

  /// Loads what would be written, before gigabytes are written beside it.
  private func checkTokenizer(of file: GGUFFile) throws {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "palisade-import-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, content) in try GGUFTokenizer(file).files {
      try content.write(to: folder.appending(path: name))
    }
    do { _ = try Tokenizer(folder: folder) } catch {
      throw CommandFailure(
        "the tokenizer in \(text) can't be used (\(error.cause)); give the model's own with --tokenizer"
      )
    }
  }
}
