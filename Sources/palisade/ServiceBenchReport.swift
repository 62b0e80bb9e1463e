import Foundation
import Pipelining
import Tensors

/// What `palisade bench service` measured.
struct ServiceBenchReport {
  /// A batch over the same cluster.
  struct Batch {
    var lines: Int
    var seconds = 0.0
    var exitCode: Int32 = 0
    /// Most bytes that the coordinator had in RAM.
    var coordinatorBytes = 0
    /// Most bytes that the batch's process had in RAM.
    var batchBytes = 0
  }

  let clients: Int
  let workers: String
  var seconds = 0.0
  var result = ServiceLoad.Result()
  /// The coordinator's, once a second.
  var residentBytes: [Int] = []
  /// The coordinator's, by kind of thread.
  var cpuSeconds: [String: Double] = [:]
  /// Of all workers.
  var workerCPUSeconds = 0.0
  var batch: Batch?

  /// CPU of all processes that serve.
  private var allCPUSeconds: Double { cpuSeconds.values.reduce(0, +) + workerCPUSeconds }
  /// What reading and writing HTTP took of it.
  private var eventLoopShare: Double {
    let loops = cpuSeconds.filter { $0.key.hasPrefix("NIO") }.values.reduce(0, +)
    return allCPUSeconds > 0 ? loops / allCPUSeconds : 0
  }
  /// Largest distance of the coordinator's memory from its mean.
  private var residentChange: Double {
    let mean = Double(residentBytes.reduce(0, +)) / Double(max(1, residentBytes.count))
    let most = residentBytes.map { abs(Double($0) - mean) }.max() ?? 0
    return mean > 0 ? most / mean : 0
  }

  /// What threads of a kind do, by their name.
  private static func role(_ kind: String) -> String {
    switch kind {
    case let name where name.hasPrefix("NIO"): "HTTP's event loops"
    case let name where name.hasPrefix("ZMQ"): "ZeroMQ"
    case let name where name.hasSuffix(".default-qos"): "Swift's tasks"
    default: kind
    }
  }

  /// A readable account.
  var text: String {
    func fixed(_ value: Double, _ places: Int = 1) -> String {
      Readable.fixed(value, places: places)
    }
    func latency(_ values: [Double]) -> String {
      [0.5, 0.95, 0.99].map { fixed(ServiceLoad.Result.percentile(values, $0), 2) }
        .joined(separator: " / ") + " s (p50 / p95 / p99)"
    }
    let failed = result.failures.sorted { $0.key < $1.key }.map { ", \($0.value) \($0.key)" }
    var lines = [
      "\(clients) clients for \(fixed(seconds)) s, workers \(workers), "
        + "\(Kernels.instructionSet): \(result.answered) answers "
        + "(\(fixed(Double(result.answered) / max(seconds, 0.001))) a second), "
        + "\(result.refused) refused with 429" + failed.joined(),
      "first event \(latency(result.firsts)), whole answer \(latency(result.wholes))",
      "coordinator's memory \(Readable.bytes(residentBytes.first ?? 0)) to "
        + "\(Readable.bytes(residentBytes.last ?? 0)), between "
        + "\(Readable.bytes(residentBytes.min() ?? 0)) and "
        + "\(Readable.bytes(residentBytes.max() ?? 0)), within "
        + "\(fixed(100 * residentChange)) % of its mean",
      "CPU \(fixed(allCPUSeconds)) s: workers \(fixed(workerCPUSeconds)), coordinator "
        + cpuSeconds.sorted { $0.value > $1.value }.filter { $0.value >= 0.05 }
        .map { "\(Self.role($0.key)) \(fixed($0.value))" }.joined(separator: ", ")
        + "; the event loops are \(fixed(100 * eventLoopShare)) %",
    ]
    if let batch {
      lines.append(
        "batch of \(batch.lines) lines: exit \(batch.exitCode), \(fixed(batch.seconds)) s "
          + "(\(fixed(Double(batch.lines) / max(batch.seconds, 0.001))) a second), memory at most: "
          + "coordinator \(Readable.bytes(batch.coordinatorBytes)), batch "
          + "\(Readable.bytes(batch.batchBytes))")
    }
    return lines.joined(separator: "\n")
  }

  /// One line of JSON.
  var json: String {
    get throws {
      func latency(_ values: [Double]) -> [String: Double] {
        ["p50": 0.5, "p95": 0.95, "p99": 0.99].mapValues {
          ServiceLoad.Result.percentile(values, $0)
        }
      }
      var object: [String: Any] = [
        "bench": "service", "date": Date.now.ISO8601Format(), "machine": MachineFacts.cpuModel,
        "isa": Kernels.instructionSet, "clients": clients, "workers": workers,
        "seconds": seconds, "answered": result.answered, "refused": result.refused,
        "failures": result.failures, "first_s": latency(result.firsts),
        "whole_s": latency(result.wholes), "resident_first": residentBytes.first ?? 0,
        "resident_last": residentBytes.last ?? 0, "resident_lowest": residentBytes.min() ?? 0,
        "resident_highest": residentBytes.max() ?? 0, "resident_change": residentChange,
        "cpu_s": cpuSeconds, "worker_cpu_s": workerCPUSeconds,
        "event_loop_share": eventLoopShare,
      ]
      if let batch {
        object["batch"] = [
          "lines": batch.lines, "seconds": batch.seconds, "exit": Int(batch.exitCode),
          "coordinator_bytes": batch.coordinatorBytes, "batch_bytes": batch.batchBytes,
        ]
      }
      let data = try JSONSerialization.data(withJSONObject: object, options: .sortedKeys)
      return String(decoding: data, as: UTF8.self)
    }
  }
}
