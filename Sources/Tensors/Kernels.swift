import CKernels

/// What does the arithmetic in this process: the instruction set, the threads and OpenBLAS's core
/// type, as `palisade doctor` shows them.
public enum Kernels {
  /// The instruction set in use; `KERNELS_ISA` in the environment forces one.
  public static var instructionSet: String { String(cString: kernels_isa()) }

  /// The instruction sets this CPU can run, best first.
  public static var availableInstructionSets: [String] {
    var names: [String] = []
    while let name = kernels_isa_available(Int32(clamping: names.count)) {
      names.append(String(cString: name))
    }
    return names
  }

  /// Whether a row of an f32 product has the same bits whatever rows are beside it.
  public static var rowsAreExact: Bool { kernels_rows_are_exact() }

  /// Threads one operation may use, the calling one included: 1...64.
  public static var threadCount: Int {
    get { Int(kernels_threads()) }
    set { kernels_set_threads(Int32(clamping: newValue)) }
  }

  /// What OpenBLAS makes of this CPU (openblas_core.c in CKernels says why).
  public struct BLASCore: Sendable, Equatable {
    /// The core type in use.
    public let name: String
    /// What OpenBLAS, or the user, had chosen before Palisade corrected it.
    public let detected: String
    /// Whether the user chose it with `OPENBLAS_CORETYPE`.
    public let isFromUser: Bool
    /// A core type that suits the CPU where the one in use does not.
    public let better: String?
    /// OpenBLAS's own account of its version and build.
    public let version: String
  }

  /// OpenBLAS's core type.
  public static var blasCore: BLASCore {
    BLASCore(
      name: String(cString: kernels_blas_core()),
      detected: String(cString: kernels_blas_core_detected()),
      isFromUser: kernels_blas_core_from_user(),
      better: kernels_blas_core_better().map { String(cString: $0) },
      version: String(cString: kernels_blas_version()))
  }

  /// The largest relative difference between OpenBLAS and plain sums; sound below 1e-5.
  public static func blasSelfTest() -> Double { kernels_blas_self_test() }

  /// The best speed of several f32 products `[rows, inputs] · [outputs, inputs]ᵀ`, in GFLOP/s.
  ///
  /// The best and not the mean, because on a shared machine the others measure the neighbours.
  public static func productSpeed(
    rows: Int, inputs: Int, outputs: Int, repetitions: Int = 10
  ) -> Double {
    let x = Tensor([Float](repeating: 0.5, count: rows * inputs), shape: [rows, inputs])
    let weights = [Float](repeating: 0.25, count: outputs * inputs)
    let product = Linear(weight: Tensor(weights, shape: [outputs, inputs]))
    let clock = ContinuousClock()
    let best = (0...max(1, repetitions)).map { _ in clock.measure { _ = product(x) } }.min()
    guard let seconds = best.map({ $0 / .seconds(1) }), seconds > 0 else { return 0 }
    return 2 * Double(rows) * Double(inputs) * Double(outputs) / seconds / 1e9
  }
}
