import Foundation
import PaliGemma
import Tensors

/// What `palisade bench stage` measured.
struct BenchStageReport: Sendable {
  /// GOP/s a core of products alone.
  struct GEMMRates: Sendable {
    var vision = 0.0
    /// By requests at once.
    var prefill: [Int: Double] = [:]

    var fields: [String: Double] {
      Dictionary(uniqueKeysWithValues: prefill.map { ("prefill_\($0.key)", $0.value) })
        .merging(["vision": vision]) { $1 }
    }
  }

  let head: BenchHead
  let config: ModelConfig
  let prefixRows: Int
  var gemm = GEMMRates()
  /// Runs by pictures, by requests, by answers under way, by rows.
  var vision: [Int: BenchRuns] = [:]
  var prefill: [Int: BenchRuns] = [:]
  var decode: [Int: BenchRuns] = [:]
  var languageHead: [Int: BenchRuns] = [:]
  /// Weights that a decode step reads, and those of the head among them.
  var stepByteCount = 0
  var headByteCount = 0

  /// Operations of the vision stage for one picture.
  private var visionOperations: Double {
    operations(0..<config.tokenEmbeddingIndex)
  }

  /// Operations of one request's prefill: in the last layer only keys and values are computed of the rows
  /// that nobody samples, and the head of the last row alone.
  private var prefillOperations: Double {
    let text = config.text
    let layers = operations(config.firstDecoderIndex..<config.headIndex)
    let layer = layers / Double(text.layerCount)
    let keys = Double(2 * 2 * text.keyValueHeadCount * text.headWidth * text.width)
    let last = Double(prefixRows) * keys
    let isShort = head.model?.precision.bits != nil
    return layers - (isShort ? layer - last : 0)
      + 2 * Double(text.width) * Double(text.vocabularyCount)
  }

  private func operations(_ blocks: Range<Int>) -> Double {
    config.blocks[blocks].reduce(0) { sum, block in
      sum
        + config.operations(
          of: block, promptTokenCount: prefixRows - config.imageTokenCount, answerTokenCount: 0)
    }
  }

  /// Shares of a part that does `operations` in each of `runs`, where products alone do `gemm` GOP/s.
  private func shares(_ runs: BenchRuns, operations: Double, gemm: Double) -> [String: Double] {
    let threads = Double(head.threads)
    let wall = operations / runs.median / 1e9 / threads
    let cpu = operations / runs.cpuMean / 1e9
    var shares: [String: Double] = [:]
    if gemm > 0 { (shares["gemm"], shares["gemm_cpu"]) = (wall / gemm, cpu / gemm) }
    // The peak is that of integers.
    if head.limits.peak > 0, head.model?.precision.bits != nil {
      (shares["peak"], shares["peak_cpu"]) = (wall / head.limits.peak, cpu / head.limits.peak)
    }
    return shares
  }

  /// Of the two limits that a step may meet: it reads `bytes` of weights, and does `operations`.
  private func stepShares(
    _ runs: BenchRuns, bytes: Int, operations: Double
  ) -> [String: Double] {
    var shares = shares(runs, operations: operations, gemm: 0)
    guard head.limits.read > 0 else { return shares }
    let limit = head.limits.read * 1e9
    shares["read"] = Double(bytes) / runs.median / limit / Double(head.threads)
    shares["read_cpu"] = Double(bytes) / runs.cpuMean / limit
    return shares
  }
  private func decodeShares(_ count: Int, _ runs: BenchRuns) -> [String: Double] {
    let blocks = config.blocks[config.firstDecoderIndex...]
    // What one more token of an answer costs.
    let each = blocks.reduce(0.0) { sum, block in
      let (one, two) = (
        config.operations(of: block, answerTokenCount: 1),
        config.operations(of: block, answerTokenCount: 2)
      )
      return sum + two - one
    }
    return stepShares(runs, bytes: stepByteCount, operations: each * Double(count))
  }
  private func headShares(_ count: Int, _ runs: BenchRuns) -> [String: Double] {
    let each = 2 * Double(config.text.width) * Double(config.text.vocabularyCount)
    return stepShares(runs, bytes: headByteCount, operations: each * Double(count))
  }

  private func visionShares(_ count: Int, _ runs: BenchRuns) -> [String: Double] {
    shares(runs, operations: visionOperations * Double(count), gemm: gemm.vision)
  }
  private func prefillShares(_ count: Int, _ runs: BenchRuns) -> [String: Double] {
    shares(
      runs, operations: prefillOperations * Double(count), gemm: gemm.prefill[count] ?? 0)
  }

  /// A readable table.
  var table: String {
    var table = TextTable(
      ["part", "at once", "rate", "", "seconds", "spread", "shares"], rightAligned: [1, 2, 4, 5])
    func add(
      _ part: String, _ count: Int, _ runs: BenchRuns, _ rate: Double, _ unit: String,
      _ shares: [String: Double]
    ) {
      let text = shares.sorted { $0.key < $1.key }.map {
        "\($0.key.replacing("_", with: " ")) \(Readable.fixed(100 * $0.value, places: 0)) %"
      }
      table.add([
        part, "\(count)", Readable.fixed(rate, places: rate < 10 ? 3 : 1), unit,
        Readable.fixed(runs.median, places: 4), Readable.fixed(runs.spread, places: 2),
        text.joined(separator: ", "),
      ])
    }
    for (count, runs) in vision.sorted(by: { $0.key < $1.key }) {
      add(
        "vision", count, runs, runs.median / Double(count), "s/image", visionShares(count, runs))
    }
    for (count, runs) in prefill.sorted(by: { $0.key < $1.key }) {
      let rate = Double(count * prefixRows) / runs.median
      add("prefill", count, runs, rate, "tokens/s", prefillShares(count, runs))
    }
    for (count, runs) in decode.sorted(by: { $0.key < $1.key }) {
      add(
        "decode", count, runs, Double(count) / runs.median, "tokens/s",
        decodeShares(count, runs))
    }
    for (count, runs) in languageHead.sorted(by: { $0.key < $1.key }) {
      add(
        "head", count, runs, Double(count) / runs.median, "rows/s",
        headShares(count, runs))
    }
    return head.title + "\n"
      + "products alone, GOP/s a core: vision \(Readable.fixed(gemm.vision, places: 0)), prefill "
      + gemm.prefill.sorted { $0.key < $1.key }.map {
        "\(Readable.fixed($0.value, places: 0)) (\($0.key) at once)"
      }.joined(separator: ", ") + "\n" + table.text
  }

  /// One line of JSON.
  var json: String {
    get throws {
      func byCount<Value>(
        _ runs: [Int: BenchRuns], _ value: (Int, BenchRuns) -> Value
      ) -> [String: Value] {
        Dictionary(uniqueKeysWithValues: runs.map { ("\($0.key)", value($0.key, $0.value)) })
      }
      func named(_ shares: [String: [String: [String: Double]]], _ key: String) -> [String: Any] {
        shares.mapValues { part in part.compactMapValues { $0[key] } }.filter { !$0.value.isEmpty }
      }
      let all = [
        "vision": byCount(vision, visionShares), "prefill": byCount(prefill, prefillShares),
        "decode": byCount(decode, decodeShares), "head": byCount(languageHead, headShares),
      ]
      var fields: [String: Any] = [
        "prefix_rows": prefixRows,
        "vision_seconds_per_image": vision.min { $0.key < $1.key }.map {
          $1.median / Double($0)
        } ?? 0,
        "vision_seconds_per_image_at_once": byCount(vision) { $1.median / Double($0) },
        "prefill_tokens_per_second": byCount(prefill) { Double($0 * prefixRows) / $1.median },
        "decode_tokens_per_second": byCount(decode) { Double($0) / $1.median },
        "head_seconds": byCount(languageHead) { $1.median },
        "gemm_gops": gemm.fields,
        "step_bytes": stepByteCount, "head_bytes": headByteCount,
        "runs": [
          "vision": byCount(vision) { $1.fields }, "prefill": byCount(prefill) { $1.fields },
          "decode": byCount(decode) { $1.fields }, "head": byCount(languageHead) { $1.fields },
        ],
      ]
      for key in ["gemm", "gemm_cpu", "peak", "peak_cpu", "read", "read_cpu"] {
        fields["share_of_" + key] = named(all, key)
      }
      return try head.line(fields)
    }
  }
}
