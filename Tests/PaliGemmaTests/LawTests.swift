import CKernels
import GoldenFixtures
import PaliGemma
import Tensors
import Testing

/// Laws 1 and 2 at the level of the model: the cut and the company change nothing.
@Suite struct LawTests {
  /// Equal in all bits: always in integers, whose sums are exact; in floats where OpenBLAS sums rows alike.
  static func expectSame(
    _ actual: [Float], _ expected: [Float], _ what: String, _ precision: Precision = .f32
  ) {
    if precision.bits != nil || kernels_rows_are_exact() {
      #expect(actual.map(\.bitPattern) == expected.map(\.bitPattern), "\(what)")
    } else {
      #expect(relativeError(actual, expected) <= 1e-5, "\(what)")
    }
  }

  @Test(arguments: Golden.names, Precision.allCases)
  func everyCutGivesTheSameBits(_ name: String, _ precision: Precision) throws {
    let golden = try Golden(name)
    let whole = try golden.section(precision: precision)
    let item = try #require(golden.cases.first { $0.images.count == 2 })
    let pixels = try golden.pixels(item)
    let expected = whole.forward(pixels, sequences: [golden.prefix(item, in: whole)]).floats
    for cut in 1..<golden.config.blockCount {
      let first = try golden.section(0..<cut, precision: precision)
      let second = try golden.section(cut..<golden.config.blockCount, precision: precision)
      let hidden = first.forward(pixels, sequences: [golden.prefix(item, in: first)])
      let logits = second.forward(hidden, sequences: [golden.prefix(item, in: second)])
      #expect(logits.floats.map(\.bitPattern) == expected.map(\.bitPattern), "cut \(cut)")
    }
  }

  @Test(arguments: Golden.names, Precision.allCases)
  func companyChangesNothing(_ name: String, _ precision: Precision) throws {
    let golden = try Golden(name)
    let model = try golden.section(precision: precision)
    var alone: [[Float]] = []
    var caches: [SequenceRows] = []
    for item in golden.cases {
      let rows = golden.prefix(item, in: model)
      alone.append(model.forward(try golden.pixels(item), sequences: [rows]).floats)
      caches.append(rows)
    }
    // All prefills of different lengths in one micro-batch.
    let together = golden.cases.map { golden.prefix($0, in: model) }
    let pixels = try concatenated(golden.cases.map { try golden.pixels($0) })
    let logits = model.forward(pixels, sequences: together)
    for index in golden.cases.indices {
      Self.expectSame(
        logits.rows(index..<index + 1).floats, alone[index], "prefill \(index)", precision)
    }
    // Then a decode step, alone and together.
    let step = { (rows: SequenceRows, token: Int32) in
      SequenceRows(.suffix, tokenIDs: [token], rowCount: 1, cache: rows.cache)
    }
    let single = zip(golden.cases, caches).map { item, rows in
      model.forward(nil, sequences: [step(rows, item.greedyTokens[0])]).floats
    }
    let batch = model.forward(
      nil, sequences: zip(golden.cases, together).map { step($1, $0.greedyTokens[0]) })
    for index in golden.cases.indices {
      Self.expectSame(
        batch.rows(index..<index + 1).floats, single[index], "decode \(index)", precision)
    }
  }

  @Test(arguments: Golden.names, Precision.allCases)
  func replayedSuffixGivesTheBitsOfOneByOne(_ name: String, _ precision: Precision) throws {
    let golden = try Golden(name)
    let model = try golden.section(precision: precision)
    let item = golden.cases[1]
    let tokens = Array(item.greedyTokens.prefix(4))
    let slow = golden.prefix(item, in: model)
    _ = model.forward(try golden.pixels(item), sequences: [slow])
    var last: [Float] = []
    for token in tokens {
      let rows = SequenceRows(.suffix, tokenIDs: [token], rowCount: 1, cache: slow.cache)
      last = model.forward(nil, sequences: [rows]).floats
    }
    let fast = golden.prefix(item, in: model)
    _ = model.forward(try golden.pixels(item), sequences: [fast])
    let rows = SequenceRows(.suffix, tokenIDs: tokens, rowCount: tokens.count, cache: fast.cache)
    Self.expectSame(model.forward(nil, sequences: [rows]).floats, last, "replay", precision)
  }

  @Test(arguments: Precision.allCases)
  func threadsChangeNothing(_ precision: Precision) throws {
    let golden = try Golden("tiny-a")
    let model = try golden.section(precision: precision)
    let item = golden.cases[2]
    let threads = kernels_threads()
    defer { kernels_set_threads(threads) }
    var results: [[UInt32]] = []
    for count in [1, 2, 5] {
      kernels_set_threads(Int32(count))
      let rows = golden.prefix(item, in: model)
      let logits = model.forward(try golden.pixels(item), sequences: [rows])
      results.append(logits.floats.map(\.bitPattern))
    }
    #expect(Set(results).count == 1)
  }

  private func concatenated(_ pixels: [Tensor]) throws -> Tensor {
    let shape = try #require(pixels.first).shape
    let all = Tensor(.u8, shape: [pixels.reduce(0) { $0 + $1.rowCount }] + shape.dropFirst())
    var row = 0
    for part in pixels {
      part.withBytes { source in
        all.rows(row..<row + part.rowCount).withBytes {
          $0.copyMemory(from: UnsafeRawBufferPointer(source))
        }
      }
      row += part.rowCount
    }
    return all
  }
}
