import CKernels
import Foundation
import Testing

/// Every table of kernels this CPU has, against the scalar specification. Serialized, because the
/// choice of table is the process's.
@Suite(.serialized) struct KernelTests {
  static let tables: [String] = {
    var names: [String] = []
    while let name = kernels_isa_available(Int32(names.count)) {
      names.append(String(cString: name))
    }
    return names
  }()
  static let sizes = [1, 2, 7, 8, 9, 15, 16, 17, 31, 72, 100, 1000]

  private func numbers(_ count: Int, seed: UInt64, scale: Float = 2) -> [Float] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Float(state >> 40) / Float(1 << 23) - 1) * scale
    }
  }

  /// Runs `body` with each table and compares with the scalar one; the fast ones agree in all bits.
  private func compare(_ what: String, tolerance: Float, _ body: () -> [Float]) {
    defer { kernels_isa_select(Self.tables[0]) }
    #expect(kernels_isa_select("scalar"))
    let expected = body()
    var fast: Set<[UInt32]> = []
    for table in Self.tables where table != "scalar" {
      #expect(kernels_isa_select(table))
      let actual = body()
      fast.insert(actual.map(\.bitPattern))
      for (a, e) in zip(actual, expected) {
        #expect(abs(a - e) <= tolerance * max(1, abs(e)), "\(what) \(table): \(a) for \(e)")
      }
    }
    #expect(fast.count == 1, "\(what): tables disagree in the last bits")
  }

  @Test func everyCPUHasTheSpecification() {
    #expect(Self.tables.last == "scalar")
    #expect(Self.tables.contains("portable"))
    #expect(!kernels_isa_select("sse9"))
  }

  @Test(arguments: sizes) func norms(_ width: Int) {
    let x = numbers(3 * width, seed: 1).map { $0 + 0.5 }
    let (w, b) = (numbers(width, seed: 2), numbers(width, seed: 3))
    compare("rmsnorm", tolerance: 2e-6) {
      var out = [Float](repeating: 0, count: x.count)
      kernel_rmsnorm_f32(3, width, x, w, 1e-6, &out)
      return out
    }
    // A row of one value has variance 0: (x − mean) / sqrt(epsilon) would only compare rounding.
    guard width > 1 else { return }
    compare("layernorm", tolerance: 1e-5) {
      var out = [Float](repeating: 0, count: x.count)
      kernel_layernorm_f32(3, width, x, w, b, 1e-3, &out)
      return out
    }
  }

  @Test(arguments: sizes) func activations(_ width: Int) {
    let x = numbers(2 * 2 * width, seed: 4, scale: 8)
    compare("gelu", tolerance: 5e-7) {
      var out = x
      kernel_gelu_f32(out.count, &out)
      return out
    }
    compare("geglu", tolerance: 1e-6) {
      var out = [Float](repeating: 0, count: 2 * width)
      kernel_geglu_f32(2, width, x, &out)
      return out
    }
    compare("softmax", tolerance: 5e-7) {
      var out = x
      kernel_softmax_f32(2, 2 * width, &out)
      return out
    }
    compare("logsumexp", tolerance: 1e-6) { [Float(kernel_logsumexp_f32(x.count, x))] }
  }

  /// Rows on the wire have the same bytes, whatever CPU they leave.
  @Test(arguments: sizes) func int8RowsAreTheSameOnEveryTable(_ width: Int) {
    let x = numbers(3 * width, seed: 31, scale: 50)
    defer { kernels_isa_select(Self.tables[0]) }
    var first: [UInt8] = []
    for table in Self.tables {
      #expect(kernels_isa_select(table))
      var rows = [UInt8](repeating: 0, count: 3 * (width + 4))
      #expect(kernel_encode_int8_rows(3, width, x, &rows))
      if first.isEmpty { first = rows }
      #expect(rows == first, "\(table)")
    }
    var back = [Float](repeating: 0, count: x.count)
    #expect(kernel_decode_int8_rows(3, width, first, &back))
    for (actual, expected) in zip(back, x) { #expect(abs(actual - expected) <= 0.5001 * 50 / 127) }
    for odd in [Float.nan, .infinity, 1e-38] {
      var row = [Float](repeating: odd == 1e-38 ? 0 : 1, count: width)
      row[width - 1] = odd
      #expect(!kernel_encode_int8_rows(1, width, row, &first), "\(odd)")
    }
  }

  @Test func extremeInputsStayFinite() {
    let x: [Float] = [-1e30, -200, -88, -1e-30, 0, 1e-30, 88, 200, 1e30, 3e38]
    compare("gelu of extremes", tolerance: 1e-6) {
      var out = x
      kernel_gelu_f32(out.count, &out)
      #expect(out.allSatisfy { $0.isFinite })
      return out
    }
    compare("softmax of extremes", tolerance: 1e-6) {
      var out = x
      kernel_softmax_f32(1, out.count, &out)
      #expect(out.allSatisfy { $0.isFinite })
      return out
    }
  }

  /// The bound stated in lanes.h, over a dense grid: exp is seen through a two-way softmax ratio.
  @Test func exponentialWithinItsBound() {
    var worst = 0.0
    for table in Self.tables where table != "scalar" {
      #expect(kernels_isa_select(table))
      for step in stride(from: Float(-80), to: 0, by: 0.00371) {
        var pair: [Float] = [step, 0]
        kernel_softmax_f32(1, 2, &pair)
        let expected = exp(Double(step))
        worst = max(worst, abs(Double(pair[0]) / Double(pair[1]) - expected) / expected)
      }
    }
    kernels_isa_select(Self.tables[0])
    #expect(worst < 5e-7, "\(worst)")
  }

  @Test(arguments: [(8, 1, 18), (8, 1, 256), (4, 2, 40), (2, 2, 72)])
  func attentionOfOneRow(_ heads: Int, _ shared: Int, _ width: Int) {
    for positions in [1, 5, 16, 67] {
      let q = numbers(heads * width, seed: 7)
      let keys = numbers(positions * shared * width, seed: 8)
      let values = numbers(positions * shared * width, seed: 9)
      compare("attend row", tolerance: 3e-6) {
        var out = [Float](repeating: 0, count: heads * width)
        attendRows(q, keys, values, &out, positions, heads, shared, width)
        return out
      }
      // The block form computes the same, through another path.
      var row = [Float](repeating: 0, count: heads * width)
      attendRows(q, keys, values, &row, positions, heads, shared, width)
      var block = row
      kernel_attend_all_f32(
        1, positions, heads, shared, width, q, heads * width, keys, values, shared * width,
        0.25, &block, heads * width)
      // Scores here reach 15, so their last bit is 1e-6, which the softmax hands on; both sum in
      // f32, in their own order.
      for (a, b) in zip(row, block) { #expect(abs(a - b) < 1e-5) }
    }
  }

  /// A block of rows attends with the same bits on every table, and each row as if it were alone.
  @Test(arguments: [(8, 1, 256), (4, 2, 40), (3, 3, 72), (2, 1, 7)])
  func attentionOfABlock(_ heads: Int, _ shared: Int, _ width: Int) {
    for (rows, positions) in [(1, 1), (5, 31), (13, 33), (60, 65), (101, 101)] {
      let q = numbers(rows * heads * width, seed: 41)
      let keys = numbers(positions * shared * width, seed: 42)
      let values = numbers(positions * shared * width, seed: 43)
      let attend = { (first: Int, count: Int) in
        var out = [Float](repeating: .nan, count: count * heads * width)
        kernel_attend_all_f32(
          count, positions, heads, shared, width, Array(q.dropFirst(first * heads * width)),
          heads * width, keys, values, shared * width, 0.125, &out, heads * width)
        return out
      }
      compare("attend all", tolerance: 1e-5) { attend(0, rows) }
      let together = attend(0, rows)
      for row in Set([0, rows / 2, rows - 1]) {
        let span = row * heads * width..<(row + 1) * heads * width
        #expect(attend(row, 1).map(\.bitPattern) == together[span].map(\.bitPattern))
      }
    }
  }

  private func attendRows(
    _ q: [Float], _ keys: [Float], _ values: [Float], _ out: inout [Float], _ positions: Int,
    _ heads: Int, _ shared: Int, _ width: Int
  ) {
    q.withUnsafeBufferPointer { q in
      keys.withUnsafeBufferPointer { keys in
        values.withUnsafeBufferPointer { values in
          out.withUnsafeMutableBufferPointer { out in
            var row = kernel_decode_row(
              q: q.baseAddress, keys: keys.baseAddress, values: values.baseAddress,
              out: out.baseAddress, S: positions)
            kernel_attend_rows_f32(&row, 1, shared * width, heads, shared, width, 0.25)
          }
        }
      }
    }
  }

  @Test func linearAgreesWithTheSum() {
    for (rows, outputs, inputs) in [(1, 1, 1), (3, 17, 33), (200, 300, 50), (13, 600, 72)] {
      let x = numbers(rows * inputs, seed: 1)
      let w = numbers(outputs * inputs, seed: 2)
      let bias = numbers(outputs, seed: 3)
      var out = [Float](repeating: 0, count: rows * outputs)
      kernel_linear_f32(rows, outputs, inputs, x, w, bias, &out)
      for row in 0..<rows {
        for output in 0..<outputs {
          var sum = Double(bias[output])
          for k in 0..<inputs {
            sum += Double(x[row * inputs + k]) * Double(w[output * inputs + k])
          }
          #expect(abs(Double(out[row * outputs + output]) - sum) < 1e-4)
        }
      }
    }
  }

  /// bf16 weights give the bits of the same numbers in f32.
  @Test func linearInBF16IsThatInF32() {
    for (rows, outputs, inputs) in [(1, 1, 1), (3, 17, 33), (200, 300, 50), (13, 600, 72)] {
      let x = numbers(rows * inputs, seed: 1)
      var halves = [UInt16](repeating: 0, count: outputs * inputs)
      kernel_convert_f32_bf16(halves.count, numbers(halves.count, seed: 2), &halves)
      var w = [Float](repeating: 0, count: halves.count)
      kernel_convert_bf16_f32(halves.count, halves, &w)
      let bias = numbers(outputs, seed: 3)
      var expected = [Float](repeating: 0, count: rows * outputs)
      var actual = expected
      kernel_linear_f32(rows, outputs, inputs, x, w, bias, &expected)
      kernel_linear_bf16(rows, outputs, inputs, x, halves, bias, &actual)
      #expect(actual.map(\.bitPattern) == expected.map(\.bitPattern))
    }
  }

  @Test func halfPrecisionConvertsExactly() {
    let f16: [UInt16] = [0x3C00, 0xC000, 0x0001, 0x7BFF, 0x8000, 0x7C00]
    var out = [Float](repeating: 0, count: f16.count)
    kernel_convert_f16_f32(f16.count, f16, &out)
    #expect(out == [1, -2, 0x1p-24, 65504, 0, .infinity])
    let bf16: [UInt16] = [0x3F80, 0xC000, 0x4049, 0x0001]
    kernel_convert_bf16_f32(bf16.count, bf16, &out)
    #expect(Array(out.prefix(4)) == [1, -2, 3.140625, Float(bitPattern: 0x10000)])
  }

  @Test func threadsDoAllTheWorkOnce() {
    let threads = kernels_threads()
    defer { kernels_set_threads(threads) }
    let y = numbers(100_000, seed: 3)
    let expected = y.map { 2 * $0 }
    for count in [1, 2, 4, 9] {
      kernels_set_threads(Int32(count))
      for _ in 0..<200 {
        var x = y
        kernel_add_f32(x.count, &x, y)
        #expect(x == expected)
      }
    }
  }

  @Test(arguments: [
    ("Prescott", true, true, "SkylakeX"), ("Prescott", false, true, "Haswell"),
    ("Haswell", true, true, "SkylakeX"), ("Cooperlake", true, true, nil),
    ("SkylakeX", true, true, nil), ("Zen", false, true, nil), ("Prescott", false, false, nil),
  ])
  func aWrongCoreTypeIsCorrected(_ name: String, _ avx512: Bool, _ avx2: Bool, _ better: String?) {
    #expect(kernels_blas_core_correction(name, avx512, avx2).map { String(cString: $0) } == better)
  }

  @Test func openBLASRunsARightCore() {
    #expect(kernels_blas_self_test() < 1e-5)
    #expect(!String(cString: kernels_blas_version()).isEmpty)
  }
}
