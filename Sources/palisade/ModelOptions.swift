import ArgumentParser
import Messaging
import Tensors

/// `--precision f32`, `bf16`, `int8` or `int4`.
extension Precision: ExpressibleByArgument {}

/// `--wire f32`, `--wire bf16` or `--wire int8`.
extension TensorEncoding: ExpressibleByArgument {}

/// How the model runs inside this process.
struct LocalOptions: ParsableArguments {
  @Option(
    help: "Stages to cut the model into inside this process (default: 1); the answers are the same."
  )
  var stages: Int?
  @Option(help: "Threads for the arithmetic (default: all cores).")
  var threads: Int?
  @Option(
    help:
      "Precision of the arithmetic (default: the checkpoint's own; f32 where it isn't quantised).")
  var precision: Precision?
  @Option(help: "big_vision's vae-oid.npz: makes masks of <seg> tokens, else they stay code words.")
  var maskDecoder: String?

  /// Whether nothing was asked for.
  var isEmpty: Bool {
    stages == nil && threads == nil && precision == nil && maskDecoder == nil
  }

  func validate() throws {
    guard (1...256).contains(stages ?? 1) else { throw ValidationError("--stages takes 1 to 256") }
    if let threads, !(1...64).contains(threads) {
      throw ValidationError("--threads takes 1 to 64")
    }
  }
}
