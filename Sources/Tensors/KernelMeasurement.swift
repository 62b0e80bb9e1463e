import CKernels

/// How fast products run here, and how fast they could: what `palisade bench kernels` shows.
///
/// All rates are per CPU second and the best of several, because on a shared machine wall time and
/// means measure the neighbours.
public struct KernelMeasurement: Sendable {
  /// One product's rates.
  public struct Rate: Sendable {
    /// Rows, outputs and inputs.
    public let shape: (rows: Int, outputs: Int, inputs: Int)
    /// How the weights are kept.
    public let precision: Precision
    /// GOP/s (a multiplication and an addition are two) per CPU second.
    public let gops: Double
    /// GB/s of weights read per CPU second.
    public let gigabytesPerSecond: Double
    /// Median over best of the repetitions: how noisy the machine was; 1 is quiet.
    public let spread: Double
  }

  /// With so many rows or fewer, reading the weights counts.
  private static let coldRowCount = 16
  /// More than the last cache of most machines.
  private static let coldMebibytes = 320

  /// Repetitions of each product.
  public let repetitions: Int

  /// Prepares; nothing runs yet.
  public init(repetitions: Int) { self.repetitions = max(1, repetitions) }

  /// GOP/s of one core in the loop of integer multiplications of the instruction set in use.
  public var peakGOPS: Double { kernels_peak_gops() }
  /// GB/s per CPU second in reading 256 MiB, more than most caches hold, with all threads.
  public var readGigabytesPerSecond: Double { kernels_read_gbps(256) }

  /// oneDNN's u8·s8 product; nil where Debian's `libdnnl2` is not installed.
  public func oneDNN(rows: Int, outputs: Int, inputs: Int) -> Double? {
    let gops = kernels_onednn_gops(rows, outputs, inputs)
    return gops > 0 ? gops : nil
  }

  /// Our product with one matrix of weights for several numbers of rows, quantisation of the
  /// activations and scales included; f32 and bf16 go through OpenBLAS.
  public func product(
    rows rowCounts: [Int], outputs: Int, inputs: Int, precisions: [Precision]
  ) -> [Rate] {
    let weight = Tensor(shape: [outputs, inputs])
    withExtendedLifetime(weight) {
      kernel_random_f32(0, 1, 0, weight.count, 0, 0.1, weight.pointer)
    }
    return precisions.flatMap { precision -> [Rate] in
      let floats = precision == .bf16 ? weight.roundedToBF16() : weight
      var (linear, byteCount) = (Linear(weight: floats), floats.byteCount)
      if let bits = precision.bits {
        guard let packed = QuantizedWeights(quantizing: [weight], bits: bits) else { return [] }
        linear = Linear(packed)
        byteCount = packed.packed.byteCount + packed.scales.byteCount + packed.sums.byteCount
      }
      return rowCounts.map { rate(of: linear, rows: $0, byteCount: byteCount, precision) }
    }
  }

  private func rate(
    of linear: Linear, rows: Int, byteCount: Int, _ precision: Precision
  ) -> Rate {
    let x = Tensor(shape: [rows, linear.inputWidth])
    withExtendedLifetime(x) { kernel_random_f32(0, 2, 0, x.count, 0, 1, x.pointer) }
    // Weights come from memory, as in a model: one matrix may fit the last cache, which would flatter few rows.
    let cold = rows <= Self.coldRowCount ? kernels_cold_memory(Self.coldMebibytes) : nil
    defer { kernels_cold_memory_free(cold) }
    let seconds = (0..<repetitions).map { _ in
      kernels_make_cold(cold, Self.coldMebibytes)
      let start = kernels_cpu_seconds()
      _ = linear(x)
      return kernels_cpu_seconds() - start
    }.sorted()
    let operations = 2 * Double(rows) * Double(linear.outputWidth) * Double(linear.inputWidth)
    return Rate(
      shape: (rows, linear.outputWidth, linear.inputWidth), precision: precision,
      gops: operations / seconds[0] / 1e9,
      gigabytesPerSecond: Double(byteCount) / seconds[0] / 1e9,
      spread: seconds[seconds.count / 2] / seconds[0])
  }
}
