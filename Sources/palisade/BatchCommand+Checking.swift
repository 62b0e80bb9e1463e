import ArgumentParser
import Foundation
import Jobs
import PaliGemma
import Tokenization

extension BatchCommand {
  /// `--validate-only`: every problem is a line on standard output, in the form of the errors' file.
  func check() async throws {
    let configuration = try runConfiguration()
    var preparation: RequestPreparation?
    if let model = work.model {
      let folder = URL(filePath: model)
      preparation = RequestPreparation(
        config: try ModelConfig(directory: folder.path(percentEncoded: false)),
        tokenizer: try Tokenizer(folder: folder))
    }
    var display = ProgressDisplay(watch: nil, name: "validate")
    var failure: (any Error)?
    let progress = try await BatchValidator(configuration, preparation: preparation).run(
      onResult: { result, progress in
        display.show(progress)
        guard case .failure = result.outcome else { return }
        do { try Terminal.result(result.json.line) } catch let error { failure = failure ?? error }
      }, onTick: { display.show($0) })
    display.end()
    if let failure { throw failure }
    let kinds = progress.failures.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      .map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    Terminal.note(
      "validate: \(progress.succeeded) of \(progress.lineCount) requests are good"
        + (progress.failed > 0 ? "; \(progress.failed) are not: \(kinds)" : "")
        + (work.model == nil ? " (tokens were not counted: give --model DIR)" : ""))
    if progress.failed > 0 { throw ExitCode(2) }
  }
}
