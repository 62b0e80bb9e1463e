import ArgumentParser
import Checkpoints
import Foundation
import PaliGemma
import Tensors

/// `palisade checkpoint quantize`: integer weights, packed once, so that a worker's start is a map.
struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Write a checkpoint with int8 or int4 weights, which loads without any work.",
    discussion: """
      Takes the folder IN and writes the folder OUT: one safetensors file with packed weights, and \
      the configuration and tokenizer of IN. Answers are those of IN with the same --precision, to \
      the bit. Memory stays small, whatever the model's size.
      """)

  @Argument(help: "The folder of the checkpoint to quantise.") var input: String
  @Argument(help: "The folder to write, made when missing.") var output: String
  @Option(help: "int8 or int4.") var precision: Precision = .int8

  func validate() throws {
    guard precision.bits != nil else {
      throw ValidationError(
        "weights can't be quantised to \(precision.rawValue); choose int8 or int4")
    }
  }

  func run() throws {
    let started = ContinuousClock.now
    Kernels.threadCount = ProcessInfo.processInfo.activeProcessorCount
    var (bytes, shown) = (0, 0)
    do {
      let config = try ModelConfig(directory: input)
      let quantization = try CheckpointQuantization(
        source: Checkpoint(directory: input), config: config, precision: precision)
      try quantization.write(to: output) { done, total in
        bytes = total
        guard Terminal.isInteractive, done - shown > total / 100 else { return }
        shown = done
        Terminal.write(
          "\r\(Readable.bytes(done)) of \(Readable.bytes(total))   ", to: .standardError)
      }
      if Terminal.isInteractive { Terminal.note("") }
    } catch { throw CommandFailure("\(error)") }
    let seconds = Readable.fixed((ContinuousClock.now - started) / .seconds(1), places: 1)
    try Terminal.result(
      "\(output): \(precision.rawValue), \(Readable.bytes(bytes)), in \(seconds) s")
  }
}
