import ArgumentParser
import Foundation
import PaliGemma
import Tensors

/// `palisade bench`: how fast this machine is, and how near its limit.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure this machine against its own limits.",
    subcommands: [
      BenchKernelsCommand.self, BenchStageCommand.self, BenchWireCommand.self,
      BenchPipelineCommand.self, BenchE2ECommand.self, BenchServiceCommand.self,
      BenchVideoCommand.self,
    ])
}

/// `palisade bench kernels`: products at a model's shapes.
struct BenchKernelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels",
    abstract: "Measure products at a model's shapes: int8, int4, f32, and oneDNN where it is.",
    discussion: """
      Rates are work per CPU second, the best of several runs, with the quantisation of activations \
      and the scales included; 'peak' is the loop of integer multiplications that this instruction \
      set computes with, 'read' what one thread's share of memory bandwidth is. One row (a decode \
      step of one answer) is shown in GB/s of weights, more rows in GOP/s. oneDNN is measured where \
      Debian's libdnnl2 is installed, without scales; OMP_NUM_THREADS is its threads.
      """)

  @Option(help: ArgumentHelp("Whose shapes.", valueName: "name")) var preset = "paligemma-3b-224"
  @Option(help: "Threads for the arithmetic.") var threads = 1
  @Option(help: "Repetitions of each product.") var repetitions = 7
  @OptionGroup var output: BenchOutputOptions

  func validate() throws {
    guard SynthesisPreset.named(preset) != nil else {
      let names = SynthesisPreset.all.map(\.name).joined(separator: ", ")
      throw ValidationError("there is no preset '\(preset)'; choose one of \(names)")
    }
    guard (1...64).contains(threads) else { throw ValidationError("--threads takes 1 to 64") }
    guard (1...1000).contains(repetitions) else {
      throw ValidationError("--repetitions takes 1 to 1000")
    }
  }

  func run() throws {
    guard let config = SynthesisPreset.named(preset)?.config else { return }
    Kernels.threadCount = threads
    let measurement = KernelMeasurement(repetitions: repetitions)
    let limits = (peak: measurement.peakGOPS, read: measurement.readGigabytesPerSecond)
    var results: [KernelBenchResult] = []
    for (name, outputs, inputs, rowCounts) in Self.shapes(config) {
      let rates = measurement.product(
        rows: rowCounts, outputs: outputs, inputs: inputs, precisions: [.int8, .int4, .f32])
      for rows in rowCounts {
        results.append(
          KernelBenchResult(
            name: name, rates: rates.filter { $0.shape.rows == rows },
            oneDNN: measurement.oneDNN(rows: rows, outputs: outputs, inputs: inputs),
            limits: limits))
      }
    }
    let report = KernelBenchReport(
      preset: preset, threads: threads, limits: limits, results: results)
    try output.tell(json: try report.json, table: report.table)
  }

  /// Weights `[outputs, inputs]`, and the rows of vision, prefill, a group of decodes, one decode.
  private static func shapes(_ config: ModelConfig) -> [(String, Int, Int, [Int])] {
    let (vision, text) = (config.vision, config.text)
    let (patches, prefix) = (vision.patchCount, vision.patchCount + 16)
    let queries = text.headCount * text.headWidth
    let decodes = [1, 8, 64]
    return [
      ("SigLIP out", vision.width, vision.width, [patches]),
      ("SigLIP up", vision.feedForwardWidth, vision.width, [patches]),
      ("SigLIP down", vision.width, vision.feedForwardWidth, [patches]),
      ("Gemma out", text.width, queries, [prefix, 4 * prefix]),
      ("Gemma gate", text.feedForwardWidth, text.width, [prefix] + decodes),
      ("Gemma down", text.width, text.feedForwardWidth, [prefix] + decodes),
    ]
  }
}
