import Checkpoints
import Foundation
import PaliGemma
import Tensors

/// Measures the parts of a model in this process.
struct BenchStages: Sendable {
  let model: BenchModel
  let threads: Int
  let sequences: [Int]
  let batches: [Int]
  var promptTokens = 16
  var repetitions = 5
  var seconds = 1.0

  private var config: ModelConfig { model.config }
  private var prefixRows: Int { config.imageTokenCount + promptTokens }

  /// - Throws: what is wrong with the model; `CancellationError`.
  func run() throws -> BenchStageReport {
    let head = try BenchHead.measured("stage", model, threads: threads)
    var report = BenchStageReport(head: head, config: config, prefixRows: prefixRows)
    report.gemm = try gemmRates()
    let checkpoint = try model.checkpoint()
    try vision(checkpoint, &report)
    try decoder(checkpoint, &report)
    return report
  }

  private func section(_ checkpoint: Checkpoint, _ blocks: Range<Int>) throws -> ModelSection {
    try ModelSection(
      config: config, checkpoint: checkpoint, blocks: blocks, precision: model.precision)
  }

  private func vision(_ checkpoint: Checkpoint, _ report: inout BenchStageReport) throws {
    let section = try section(checkpoint, 0..<config.tokenEmbeddingIndex)
    let side = config.vision.imageSide
    for count in batches {
      Terminal.note("bench: vision, \(count) pictures at once …")
      let pixels = Tensor(.u8, shape: [count, side, side, 3])
      pixels.withBytes { bytes in
        for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 37) }
      }
      let pictures = (0..<count).map { _ in
        SequenceRows(.prefix(imageCount: 1), tokenIDs: [], rowCount: 0, cache: nil)
      }
      report.vision[count] = try measure { _ = section.forward(pixels, sequences: pictures) }
    }
  }

  private func decoder(_ checkpoint: Checkpoint, _ report: inout BenchStageReport) throws {
    let first = config.tokenEmbeddingIndex
    let section = try section(checkpoint, first..<config.blockCount)
    // The table of the embedding is looked up row by row: no step reads it.
    let table = try self.section(checkpoint, first..<first + 1).weightByteCount
    report.stepByteCount = section.weightByteCount - table
    for count in batches {
      Terminal.note("bench: prefill, \(count) requests at once …")
      let images = BlockSample.rows(count * config.imageTokenCount, width: config.text.width)
      report.prefill[count] = try measure {
        _ = section.forward(images, sequences: prefixes(count, section))
      }
    }
    for count in sequences {
      Terminal.note("bench: decode, \(count) answers under way …")
      report.decode[count] = try decode(section, count)
    }
    let head = try self.section(checkpoint, config.headIndex..<config.blockCount)
    report.headByteCount = head.weightByteCount
    for count in [1, sequences.max() ?? 1] {
      let rows = BlockSample.rows(count, width: config.text.width)
      let ends = (0..<count).map { _ in
        SequenceRows(.suffix, tokenIDs: [], rowCount: 1, cache: nil)
      }
      report.languageHead[count] = try measure { _ = head.forward(rows, sequences: ends) }
    }
  }

  private func prefixes(_ count: Int, _ section: ModelSection) -> [SequenceRows] {
    let ids = (0..<Int32(promptTokens)).map { $0 % Int32(clamping: config.text.vocabularyCount) }
    return (0..<count).map { _ in
      SequenceRows(
        .prefix(imageCount: 1), tokenIDs: ids, rowCount: prefixRows,
        cache: section.makeCache(capacity: prefixRows + 1))
    }
  }

  /// One step of `count` answers: the layers, the head, and the choice of each token.
  private func decode(_ section: ModelSection, _ count: Int) throws -> BenchRuns {
    let caches = (0..<count).map { _ in
      section.madeUpCache(tokenCount: prefixRows, more: 8)
    }
    let rows = caches.enumerated().map { index, cache in
      SequenceRows(
        .suffix, tokenIDs: [Int32(clamping: index % config.text.vocabularyCount)], rowCount: 1,
        cache: cache)
    }
    return try measure {
      let logits = section.forward(nil, sequences: rows)
      for row in 0..<count {
        _ = Sampler.sample(logits.rows(row..<row + 1), index: 0, SamplingParameters())
      }
      for cache in caches { cache?.truncate(to: prefixRows) }
    }
  }

  private func measure(_ body: () -> Void) throws -> BenchRuns {
    try BenchRuns.measure(count: repetitions, atLeast: seconds, body)
  }

  /// GOP/s a core of products alone, at the shapes of vision and of prefills of so many requests: the
  /// time that all of a layer's products would take.
  private func gemmRates() throws -> BenchStageReport.GEMMRates {
    Terminal.note("bench: products alone …")
    let (vision, text) = (config.vision, config.text)
    let inner = text.feedForwardWidth
    let queries = text.headCount * text.headWidth
    let all = queries + 2 * text.keyValueHeadCount * text.headWidth
    var rates = BenchStageReport.GEMMRates()
    rates.vision = try rate(
      [vision.patchCount],
      [
        (3 * vision.width, vision.width, 1), (vision.width, vision.width, 1),
        (vision.feedForwardWidth, vision.width, 1), (vision.width, vision.feedForwardWidth, 1),
      ])[0]
    let prefill = try rate(
      batches.map { $0 * prefixRows },
      // Gates and ups are one product of the model, but as large a result as one of them.
      [
        (all, text.width, 1), (text.width, queries, 1), (inner, text.width, 2),
        (text.width, inner, 1),
      ])
    rates.prefill = Dictionary(zip(batches, prefill)) { first, _ in first }
    return rates
  }

  private func rate(
    _ rows: [Int], _ shapes: [(outputs: Int, inputs: Int, count: Int)]
  ) throws -> [Double] {
    let measurement = KernelMeasurement(repetitions: repetitions)
    var times = [Double](repeating: 0, count: rows.count)
    var operations = times
    for shape in shapes {
      try Task.checkCancellation()
      let measured = measurement.product(
        rows: rows, outputs: shape.outputs, inputs: shape.inputs, precisions: [model.precision])
      for (index, rate) in measured.enumerated() {
        let work = 2.0 * Double(rows[index] * shape.outputs) * Double(shape.inputs * shape.count)
        operations[index] += work
        times[index] += work / rate.gops
      }
    }
    return zip(operations, times).map { $0 / $1 }
  }
}
