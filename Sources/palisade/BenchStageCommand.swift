import ArgumentParser
import Foundation
import PaliGemma
import Tensors

/// `palisade bench stage`: the parts of the model in this process, one by one.
struct BenchStageCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stage",
    abstract: "Measure vision, prefill, decode and head in this process, against its limits.",
    discussion: """
      Vision is seconds a picture; prefill is rows of pictures and prompts a second, of 1 and of 4 \
      requests at once (--batches); decode is tokens a second with 1 to 64 answers under way, the choice of the \
      token included; all medians. The shares: 'gemm' of the rate that products alone of those shapes \
      have (`bench kernels`), 'peak' of the instruction set's loop, 'read' of memory bandwidth. Those \
      marked cpu are per CPU second: what is left when neighbours are taken out.

        palisade bench stage --preset paligemma-3b-224 --threads 2
        palisade bench stage --model DIR --sequences 1,8 --json
      """)

  @OptionGroup var options: BenchModelOptions
  @Option(help: "Tokens of each prompt, <bos> and newline included.") var promptTokens = 16
  @Option(help: "Answers under way at once, for decode.") var sequences = "1,2,4,8,16,32,64"
  @Option(help: "Requests in one prefill.") var batches = "1,4"
  @Option(help: "Runs of each part, at least.") var repetitions = 5
  @Option(help: "Each part is measured for so long, at least.") var seconds = 1.0

  func validate() throws {
    guard Self.counts(sequences) != nil else {
      throw ValidationError("--sequences takes numbers from 1 to 256, e.g. 1,8,64")
    }
    guard let counts = Self.counts(batches), counts.allSatisfy({ $0 <= 16 }) else {
      throw ValidationError("--batches takes numbers from 1 to 16, e.g. 1,4")
    }
    guard (1...1024).contains(promptTokens) else {
      throw ValidationError("--prompt-tokens takes 1 to 1024")
    }
    guard (1...200).contains(repetitions) else {
      throw ValidationError("--repetitions takes 1 to 200")
    }
    guard (0...60).contains(seconds) else { throw ValidationError("--seconds takes 0 to 60") }
  }

  func run() async throws {
    let model = try options.weights.resolved()
    Kernels.threadCount = options.threads
    var measurement = BenchStages(
      model: model, threads: options.threads, sequences: Self.counts(sequences) ?? [],
      batches: Self.counts(batches) ?? [])
    (measurement.promptTokens, measurement.repetitions) = (promptTokens, repetitions)
    measurement.seconds = seconds
    let ready = measurement
    let report = try await BenchRun.interruptible { try ready.run() }
    try options.output.tell(json: try report.json, table: report.table)
  }

  /// `1,8,64` as numbers; nil for anything else.
  static func counts(_ text: String) -> [Int]? {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    let counts = parts.compactMap { $0 }.filter { (1...256).contains($0) }
    return counts.count == parts.count && !counts.isEmpty ? counts : nil
  }
}
