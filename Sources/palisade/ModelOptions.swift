import ArgumentParser
import Tensors

/// `--precision f32` or `--precision int8`.
extension Precision: ExpressibleByArgument {}

/// How the model runs inside this process.
struct LocalOptions: ParsableArguments {
  @Option(help: "Stages to cut the model into inside this process; the answers are the same.")
  var stages: Int = 1
  @Option(help: "Threads for the arithmetic (default: all cores).")
  var threads: Int?
  @Option(help: "Precision of the arithmetic.")
  var precision: Precision = .f32

  func validate() throws {
    guard (1...256).contains(stages) else { throw ValidationError("--stages takes 1 to 256") }
    if let threads, !(1...64).contains(threads) {
      throw ValidationError("--threads takes 1 to 64")
    }
  }
}
