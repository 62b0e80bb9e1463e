import CKernels

/// The kernels' settings of this process.
public enum Kernels {
  /// The instruction set in use: `avx512`, `avx2`, `portable`.
  public static var instructionSet: String { String(cString: kernels_isa()) }

  /// Threads one operation may use, the caller included; clamped to 1...64 when set.
  public static var threadCount: Int {
    get { Int(kernels_threads()) }
    set { kernels_set_threads(Int32(clamping: newValue)) }
  }
}
