import Foundation
import Imaging
import Messaging
import Pipelining
import Tensors

/// The checks of `palisade doctor`, each a pure reading of the machine.
enum DoctorChecks {
  /// What this binary is made of.
  static func versions() -> [DoctorCheck] {
    [
      DoctorCheck("palisade", Palisade.version),
      DoctorCheck("swift", "\(compiler) (compiler)"),
      DoctorCheck("openblas", Kernels.blasCore.version),
      MessagingLibraries.canEncrypt
        ? DoctorCheck("libzmq", "\(MessagingLibraries.zeroMQVersion), with CURVE")
        : DoctorCheck(
          "libzmq", .fail, "\(MessagingLibraries.zeroMQVersion), without CURVE",
          remedy: "install Debian's libzmq5; workers on other machines need encryption"),
      DoctorCheck("protobuf-c", MessagingLibraries.protobufVersion),
      DoctorCheck("sentencepiece", HostFacts.loadedLibrary("libsentencepiece") ?? "not loaded"),
      DoctorCheck("libjpeg-turbo", ImagingLibraries.jpegVersion),
      DoctorCheck("libpng", ImagingLibraries.pngVersion),
      DoctorCheck("libwebp", ImagingLibraries.webPVersion),
    ]
  }

  /// The compiler that built this binary; Swift does not say its version at run time.
  private static var compiler: String {
    #if compiler(>=6.4)
    "6.4 or newer"
    #elseif compiler(>=6.3)
    "6.3"
    #else
    "6.2"
    #endif
  }

  /// CPU, kernels and OpenBLAS.
  static func arithmetic() -> [DoctorCheck] {
    let core = Kernels.blasCore
    let error = Kernels.blasSelfTest()
    Kernels.threadCount = 1
    let speed = Kernels.productSpeed(rows: 256, inputs: 1024, outputs: 1024, repetitions: 40)
    return [
      DoctorCheck("cpu", MachineFacts.cpuModel),
      DoctorCheck("cpu features", HostFacts.cpuFeatures.joined(separator: " ")),
      DoctorCheck("cpu threads", "\(ProcessInfo.processInfo.activeProcessorCount) usable"),
      kernels(
        using: Kernels.instructionSet, available: Kernels.availableInstructionSets,
        wanted: HostFacts.variable("KERNELS_ISA")),
      blasCore(core, userValue: HostFacts.variable("OPENBLAS_CORETYPE")),
      blasSelfTest(error),
      blasSpeed(speed, best: Kernels.availableInstructionSets.first ?? "", core: core),
    ]
  }

  static func kernels(using: String, available: [String], wanted: String?) -> DoctorCheck {
    let value = "\(using) (available: \(available.joined(separator: ", ")))"
    if let wanted, wanted != using {
      return DoctorCheck(
        "kernels", .warn, value + "; KERNELS_ISA=\(wanted) is none of them",
        remedy: "unset KERNELS_ISA or set it to one that is available")
    }
    if let wanted, let best = available.first, wanted != best {
      return DoctorCheck(
        "kernels", .warn, value + ", forced by KERNELS_ISA",
        remedy: "unset KERNELS_ISA: \(best) is faster here")
    }
    return DoctorCheck("kernels", value)
  }

  static func blasCore(_ core: Kernels.BLASCore, userValue: String?) -> DoctorCheck {
    let name = "openblas core"
    let refused = userValue.map { $0.lowercased() != core.name.lowercased() } ?? false
    var value = core.name
    if core.isFromUser {
      value += ", asked for by OPENBLAS_CORETYPE=\(userValue ?? "")"
      if refused {
        return DoctorCheck(
          name, .warn, value + ", which OpenBLAS did not follow",
          remedy: "unset OPENBLAS_CORETYPE, or give it a core type this OpenBLAS knows")
      }
      guard let better = core.better else { return DoctorCheck(name, value) }
      return DoctorCheck(
        name, .warn, value + ", slow on this CPU",
        remedy: "unset OPENBLAS_CORETYPE: Palisade would take \(better)")
    }
    value +=
      core.detected == core.name
      ? ", as OpenBLAS detected" : ", corrected by Palisade (OpenBLAS detected \(core.detected))"
    guard let better = core.better else { return DoctorCheck(name, value) }
    return DoctorCheck(
      name, .warn, value + ", wrong for this CPU",
      remedy: "set OPENBLAS_CORETYPE=\(better) before starting palisade")
  }

  static func blasSelfTest(_ error: Double) -> DoctorCheck {
    let value = "largest relative difference to plain sums \(String(format: "%.1e", error))"
    // f32 has 6e-8; the sums are at most 512 long.
    if error < 1e-5 { return DoctorCheck("openblas self-test", value) }
    return DoctorCheck(
      "openblas self-test", .fail, value,
      remedy: "results would be wrong: try OPENBLAS_CORETYPE=Haswell, then another OpenBLAS")
  }

  /// GFLOP/s that one core should reach at the least with each instruction set. A wrong core type
  /// gave 20 to 33 on CPUs with AVX-512, a right one 80 to 155; a busy machine should still pass.
  static let leastSpeeds = ["avx512vnni": 40.0, "avx512": 40.0, "avx2": 20.0]

  static func blasSpeed(_ speed: Double, best: String, core: Kernels.BLASCore) -> DoctorCheck {
    let value = "\(Readable.fixed(speed, places: 0)) GFLOP/s a core (f32, 256 x 1024 x 1024)"
    guard let least = leastSpeeds[best], speed < least else {
      return DoctorCheck("openblas speed", value)
    }
    let reason = "\(best) should give at least \(Readable.fixed(least, places: 0))"
    return DoctorCheck(
      "openblas speed", .warn, "\(value); \(reason)",
      remedy: core.better.map { "the core type \(core.name) is slow here; \($0) suits this CPU" }
        ?? "is the machine busy, throttled or a small share of a core? Run doctor again")
  }
}
