import Foundation
import Pipelining
import Tensors

/// The rates of one shape.
struct KernelBenchResult {
  let name: String
  let rates: [KernelMeasurement.Rate]
  let oneDNN: Double?
  /// Peak in GOP/s and reading in GB/s, of one core.
  let limits: (peak: Double, read: Double)

  /// The better of two shares, since a product is bound by one of them: of the peak and of reading.
  func share(_ rate: KernelMeasurement.Rate) -> Double {
    let arithmetic = limits.peak > 0 ? rate.gops / limits.peak : 0
    let memory = limits.read > 0 ? rate.gigabytesPerSecond / limits.read : 0
    return max(arithmetic, memory)
  }
}

/// What `palisade bench kernels` prints.
struct KernelBenchReport {
  let preset: String
  let threads: Int
  let limits: (peak: Double, read: Double)
  let results: [KernelBenchResult]

  /// A readable table.
  var table: String {
    var lines = [
      "\(Kernels.instructionSet), \(threads) threads, shapes of \(preset); per core: "
        + "peak \(Readable.fixed(limits.peak, places: 0)) GOP/s, "
        + "read \(Readable.fixed(limits.read, places: 1)) GB/s",
      "product rows×outputs×inputs: precision GOP/s (GB/s of weights, share of the limit)",
    ]
    for result in results {
      guard let shape = result.rates.first?.shape else { continue }
      let rates = result.rates.map { rate in
        "\(rate.precision.rawValue) \(Readable.fixed(rate.gops, places: 0)) "
          + "(\(Readable.fixed(rate.gigabytesPerSecond, places: 1)), "
          + "\(Readable.fixed(100 * result.share(rate), places: 0)) %)"
      }
      let oneDNN = result.oneDNN.map { "  oneDNN \(Readable.fixed($0, places: 0))" } ?? ""
      lines.append(
        "\(result.name) \(shape.rows)×\(shape.outputs)×\(shape.inputs): "
          + rates.joined(separator: "  ") + oneDNN)
    }
    return lines.joined(separator: "\n")
  }

  /// One line of JSON.
  var json: String {
    get throws {
      let shapes: [[String: Any]] = results.flatMap { result in
        result.rates.map { rate in
          var fields: [String: Any] = [
            "product": result.name, "rows": rate.shape.rows, "outputs": rate.shape.outputs,
            "inputs": rate.shape.inputs, "precision": rate.precision.rawValue,
            "gops": rate.gops, "gbps": rate.gigabytesPerSecond, "spread": rate.spread,
            "share_of_peak": limits.peak > 0 ? rate.gops / limits.peak : 0,
            "share_of_read": limits.read > 0 ? rate.gigabytesPerSecond / limits.read : 0,
          ]
          if let oneDNN = result.oneDNN { fields["onednn_gops"] = oneDNN }
          return fields
        }
      }
      let object: [String: Any] = [
        "bench": "kernels", "date": Date.now.ISO8601Format(), "preset": preset,
        "isa": Kernels.instructionSet, "blas_core": Kernels.blasCore.name, "threads": threads,
        "machine": MachineFacts.cpuModel, "peak_gops": limits.peak, "read_gbps": limits.read,
        "products": shapes,
      ]
      let data = try JSONSerialization.data(withJSONObject: object, options: .sortedKeys)
      return String(decoding: data, as: UTF8.self)
    }
  }
}
