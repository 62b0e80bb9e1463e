import CKernels
import Testing

extension KernelTests {
  /// Products with int8 and int4 weights; part of the serialized suite, since the choice of table
  /// is the process's.
  @Suite struct QuantisedProductTests {
    struct Weights {
      let bits: Int32
      let outputs: Int
      let inputs: Int
      var packed: [UInt8]
      var scales: [Float]
      var sums: [Int32]

      /// `w` [N, K]; gated weights are gates [N, K] above ups [N, K].
      init(_ w: [Float], bits: Int, outputs: Int, inputs: Int, isGated: Bool = false) {
        self.bits = Int32(bits)
        self.outputs = outputs
        self.inputs = inputs
        let rows = kernel_quantised_rows(outputs, isGated)
        packed = [UInt8](repeating: 1, count: kernel_quantised_bytes(self.bits, rows, inputs))
        scales = [Float](repeating: 1, count: rows)
        sums = [Int32](repeating: 1, count: rows)
        kernel_quantise_clear(self.bits, rows, inputs, &packed, &scales, &sums)
        let places = isGated ? [KERNEL_GATE, KERNEL_UP] : [KERNEL_PLAIN]
        for (index, place) in places.enumerated() {
          // In two pieces, as a large tensor comes.
          for range in [0..<outputs / 2, outputs / 2..<outputs] {
            let piece = Array(w[(index * outputs + range.lowerBound) * inputs..<w.count])
            kernel_quantise_f32(
              self.bits, place, range.lowerBound, range.count, inputs, piece, &packed, &scales,
              &sums)
          }
        }
      }

      func product(
        _ x: [Float], bias: [Float]? = nil, then: kernel_then = KERNEL_STORE,
        onto: [Float]? = nil, norm: UnsafePointer<kernel_norm>? = nil
      ) -> [Float] {
        var out = onto ?? [Float](repeating: .nan, count: x.count / inputs * outputs)
        multiply(x, bias: bias, then: then, norm: norm, out: &out)
        return out
      }

      func multiply(
        _ x: [Float], bias: [Float]? = nil, then: kernel_then,
        norm: UnsafePointer<kernel_norm>? = nil, out: UnsafeMutablePointer<Float>?
      ) {
        packed.withUnsafeBufferPointer { packed in
          scales.withUnsafeBufferPointer { scales in
            sums.withUnsafeBufferPointer { sums in
              var weights = kernel_quantised(
                bits: bits, N: outputs, K: inputs, packed: packed.baseAddress,
                scales: scales.baseAddress, sums: sums.baseAddress)
              kernel_linear_quantised_f32(x.count / inputs, &weights, x, norm, bias, then, out)
            }
          }
        }
      }
    }

    static let shapes = [
      (1, 1, 1), (1, 64, 4), (2, 32, 32), (5, 65, 7), (6, 100, 72), (7, 40, 520), (13, 130, 257),
      (25, 35, 600), (100, 64, 50), (150, 33, 1100),
    ]

    private func numbers(_ count: Int, seed: UInt64, scale: Float = 2) -> [Float] {
      var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
      return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (Float(state >> 40) / Float(1 << 23) - 1) * scale
      }
    }

    /// The same bits from every table, the scalar specification included, for any number of rows;
    /// near the exact product within what rounding allows.
    @Test(arguments: [8, 4], shapes)
    func everyTableGivesTheBitsOfTheSpecification(_ bits: Int, _ shape: (Int, Int, Int)) {
      let (rows, outputs, inputs) = shape
      let x = numbers(rows * inputs, seed: 11)
      let w = numbers(outputs * inputs, seed: 12, scale: 0.5)
      let bias = numbers(outputs, seed: 13)
      let onto = numbers(rows * outputs, seed: 14)
      let weights = Weights(w, bits: bits, outputs: outputs, inputs: inputs)
      var results: Set<[UInt32]> = []
      var sums: Set<[UInt32]> = []
      var out: [Float] = []
      for table in KernelTests.tables {
        #expect(kernels_isa_select(table))
        out = weights.product(x, bias: bias)
        results.insert(out.map(\.bitPattern))
        sums.insert(weights.product(x, then: KERNEL_ADD, onto: onto).map(\.bitPattern))
        for row in [0, rows / 2, rows - 1] {
          let alone = weights.product(
            Array(x[row * inputs..<(row + 1) * inputs]), bias: bias)
          let together = out[row * outputs..<(row + 1) * outputs]
          #expect(alone.map(\.bitPattern) == together.map(\.bitPattern), "\(table) row \(row)")
        }
      }
      kernels_isa_select(KernelTests.tables[0])
      #expect(results.count == 1 && sums.count == 1)
      let plain = weights.product(x)
      let added = weights.product(x, then: KERNEL_ADD, onto: onto)
      for index in added.indices { #expect(added[index] == onto[index] + plain[index]) }
      // Half a step of each factor: 2 / 254 for inputs; 0.5 / 254 for int8, about 0.5 / 15 for int4.
      let step = bits == 8 ? 0.5 / 254 : 0.5 / 14
      for row in Set([0, rows - 1]) {
        for output in 0..<outputs {
          var sum = Double(bias[output])
          var slack = 1e-5
          for k in 0..<inputs {
            let (a, b) = (Double(x[row * inputs + k]), Double(w[output * inputs + k]))
            sum += a * b
            slack += abs(a) * step + abs(b) * 2 / 254 + 1e-5
          }
          #expect(abs(Double(out[row * outputs + output]) - sum) <= slack)
        }
      }
    }

    /// Packing is the same on every instruction set, so that a checkpoint may be quantised anywhere.
    @Test(arguments: [8, 4]) func packingIsTheSameEverywhere(_ bits: Int) {
      let (outputs, inputs) = (40, 300)
      // Rows of very different sizes, and one of zeros.
      var w = numbers(outputs * inputs, seed: 31)
      for index in w.indices { w[index] *= Float(1 + index / inputs % 7 * 50) }
      for index in 0..<inputs { w[index] = 0 }
      for index in stride(from: 0, to: w.count, by: 97) { w[index] *= 20 }
      var packed: Set<[UInt8]> = []
      var scales: Set<[UInt32]> = []
      var sums: Set<[Int32]> = []
      for table in KernelTests.tables {
        #expect(kernels_isa_select(table))
        let weights = Weights(w, bits: bits, outputs: outputs, inputs: inputs)
        packed.insert(weights.packed)
        scales.insert(weights.scales.map(\.bitPattern))
        sums.insert(weights.sums)
      }
      kernels_isa_select(KernelTests.tables[0])
      #expect(packed.count == 1 && scales.count == 1 && sums.count == 1)
    }

    /// The activations of a product are those of the operations one after the other.
    @Test(arguments: [8, 4]) func activationsAreThoseOfTheOperations(_ bits: Int) {
      let (rows, outputs, inputs) = (9, 41, 70)
      let x = numbers(rows * inputs, seed: 21)
      let w = numbers(2 * outputs * inputs, seed: 22, scale: 0.2)
      let bias = numbers(outputs, seed: 23)
      let half = outputs * inputs
      let gates = Weights(Array(w.prefix(half)), bits: bits, outputs: outputs, inputs: inputs)
      let ups = Weights(Array(w.suffix(half)), bits: bits, outputs: outputs, inputs: inputs)
      let both = Weights(w, bits: bits, outputs: outputs, inputs: inputs, isGated: true)
      for table in KernelTests.tables {
        #expect(kernels_isa_select(table))
        var gelu = gates.product(x, bias: bias)
        kernel_gelu_f32(gelu.count, &gelu)
        #expect(gates.product(x, bias: bias, then: KERNEL_GELU) == gelu, "\(table)")
        let (gate, up) = (gates.product(x), ups.product(x))
        var pairs: [Float] = []
        for row in 0..<rows {
          let span = row * outputs..<(row + 1) * outputs
          pairs += Array(gate[span]) + Array(up[span])
        }
        var geglu = [Float](repeating: 0, count: rows * outputs)
        kernel_geglu_f32(rows, outputs, pairs, &geglu)
        #expect(both.product(x, then: KERNEL_GEGLU) == geglu, "\(table)")
      }
      kernels_isa_select(KernelTests.tables[0])
    }

    /// A norm in front of a product gives the bits of the norm by itself, in every table; and the tables'
    /// norms agree, the specification's within rounding.
    @Test(arguments: [8, 4], [(1, 72), (7, 33), (13, 257), (40, 1152)])
    func normsAreThoseOfTheOperations(_ bits: Int, _ shape: (Int, Int)) {
      let (rows, inputs) = shape
      let outputs = 35
      let x = numbers(rows * inputs, seed: 41).map { $0 + 0.3 }
      let (weight, shift) = (numbers(inputs, seed: 42), numbers(inputs, seed: 43))
      let weights = Weights(
        numbers(outputs * inputs, seed: 44, scale: 0.5), bits: bits, outputs: outputs,
        inputs: inputs)
      for isLayer in [false, true] {
        var fast: Set<[UInt32]> = []
        for table in KernelTests.tables {
          #expect(kernels_isa_select(table))
          var normed = [Float](repeating: 0, count: x.count)
          let together = weight.withUnsafeBufferPointer { w in
            shift.withUnsafeBufferPointer { b in
              if isLayer {
                kernel_layernorm_f32(rows, inputs, x, w.baseAddress, b.baseAddress, 1e-6, &normed)
              } else {
                kernel_rmsnorm_f32(rows, inputs, x, w.baseAddress, 1e-6, &normed)
              }
              var norm = kernel_norm(
                w: w.baseAddress, b: isLayer ? b.baseAddress : nil, epsilon: 1e-6)
              return weights.product(x, norm: &norm)
            }
          }
          #expect(together == weights.product(normed), "\(table), layer \(isLayer)")
          #expect(together != weights.product(x))
          if table != "scalar" { fast.insert(together.map(\.bitPattern)) }
        }
        #expect(fast.count == 1)
      }
      kernels_isa_select(KernelTests.tables[0])
    }

    /// Results so large that they go past the caches are those of each row by itself.
    @Test func largeResultsAreThoseOfEachRow() {
      let (rows, outputs, inputs) = (264, 16384, 32)
      let x = numbers(rows * inputs, seed: 51)
      let weights = Weights(
        numbers(2 * outputs * inputs, seed: 52, scale: 0.5), bits: 8, outputs: outputs,
        inputs: inputs, isGated: true)
      let memory = UnsafeMutableBufferPointer<Float>(
        start: UnsafeMutableRawPointer.allocate(byteCount: rows * outputs * 4, alignment: 64)
          .assumingMemoryBound(to: Float.self), count: rows * outputs)
      defer { UnsafeMutableRawPointer(memory.baseAddress)?.deallocate() }
      #expect(memory.count * 4 >= 1 << 24)
      for table in KernelTests.tables {
        #expect(kernels_isa_select(table))
        memory.update(repeating: .nan)
        weights.multiply(x, then: KERNEL_GEGLU, out: memory.baseAddress)
        for row in [0, 1, 131, rows - 1] {
          let alone = weights.product(
            Array(x[row * inputs..<(row + 1) * inputs]), then: KERNEL_GEGLU)
          let isSame = memory[row * outputs..<(row + 1) * outputs].elementsEqual(alone)
          #expect(isSame, "\(table) row \(row)")
        }
        #expect(!memory.contains { $0.isNaN })
      }
      kernels_isa_select(KernelTests.tables[0])
    }

    /// The largest sums there are: no table may saturate or wrap.
    @Test(arguments: [8, 4]) func extremesAreExact(_ bits: Int) {
      let (outputs, inputs) = (33, 4096)
      for sign in [Float(1), -1] {
        let x = [Float](repeating: 1, count: 7 * inputs)
        let w = [Float](repeating: sign, count: outputs * inputs)
        let weights = Weights(w, bits: bits, outputs: outputs, inputs: inputs)
        for table in KernelTests.tables {
          #expect(kernels_isa_select(table))
          let worst = weights.product(x).map { abs($0 - sign * Float(inputs)) }.max() ?? 1
          #expect(worst / Float(inputs) < (bits == 8 ? 1e-6 : 0.07), "\(table) \(worst)")
        }
      }
      kernels_isa_select(KernelTests.tables[0])
    }

    @Test(arguments: [8, 4]) func zerosGiveTheBias(_ bits: Int) {
      let zeros = [Float](repeating: 0, count: 8)
      let weights = Weights(zeros, bits: bits, outputs: 2, inputs: 4)
      #expect(weights.product(zeros, bias: [1, 2]) == [1, 2, 1, 2])
    }
  }
}
