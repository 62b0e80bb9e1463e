import Foundation
import Fuzzing

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// libFuzzer over one of the targets, which FUZZ_TARGET names; scripts/fuzz builds and starts it.
@main
enum FuzzDriver {
  static let target = FuzzTarget(
    rawValue: ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? "")

  static func main() {
    guard target != nil else {
      print("FUZZ_TARGET is one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: " "))")
      exit(64)
    }
    var count = CommandLine.argc
    var arguments = CommandLine.unsafeArgv
    exit(
      runDriver(&count, &arguments) { bytes, count in
        let outcome = FuzzDriver.target?.run(
          Array(UnsafeBufferPointer(start: bytes, count: count)))
        if case .broken(let promise) = outcome { preconditionFailure(promise) }
        return outcome == .accepted ? 0 : -1
      })
  }
}
