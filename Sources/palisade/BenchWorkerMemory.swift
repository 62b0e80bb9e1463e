import Messaging
import Pipelining

/// What the workers of a pipeline hold while it is measured, by what their heartbeats say.
struct BenchWorkerMemory: Sendable {
  /// One worker.
  struct Worker: Sendable, Equatable {
    var name: String
    /// Bytes of its weights, in memory or mapped.
    var weightBytes = 0
    /// How long it took to have them; nil when nobody said.
    var loadMilliseconds: Int?
    /// The most that KV caches and rows of pictures took.
    var cacheBytes = 0
    /// The most that was in RAM. Memory that caches have given back stays with the process for the next,
    /// and mapped weights come in as they are used, so a moment's difference would say little.
    var residentBytes = 0
    /// What was in RAM beside weights, KV caches and rows of pictures.
    var besideBytes: Int { max(0, residentBytes - weightBytes - cacheBytes) }
  }

  private var workers: [String: Worker] = [:]

  /// All of them, by name.
  var all: [Worker] { workers.values.sorted { $0.name < $1.name } }

  /// Takes a look.
  mutating func look(_ stages: [StageStatus]) {
    for stage in stages where stage.gauges.residentBytes > 0 && stage.gauges.weightBytes > 0 {
      let gauges = stage.gauges
      let caches = gauges.cacheBytes + gauges.visionCacheBytes
      var worker = workers[stage.worker] ?? Worker(name: stage.worker)
      worker.weightBytes = gauges.weightBytes
      worker.cacheBytes = max(worker.cacheBytes, caches)
      worker.residentBytes = max(worker.residentBytes, gauges.residentBytes)
      workers[stage.worker] = worker
    }
  }

  /// Takes note that a worker has its weights.
  mutating func loaded(_ name: String, byteCount: Int, milliseconds: Int) {
    workers[name, default: Worker(name: name)].weightBytes = byteCount
    workers[name]?.loadMilliseconds = milliseconds
  }

  /// For a table.
  static func line(_ worker: Worker) -> String {
    let loading = worker.loadMilliseconds.map {
      " in \(Readable.fixed(Double($0) / 1000, places: 2)) s"
    }
    return "\(worker.name): weights \(Readable.bytes(worker.weightBytes))\(loading ?? ""), caches "
      + "\(Readable.bytes(worker.cacheBytes)), beside them \(Readable.bytes(worker.besideBytes))"
  }

  /// For JSON.
  static func fields(_ worker: Worker) -> [String: Any] {
    var fields: [String: Any] = [
      "name": worker.name, "weight_bytes": worker.weightBytes, "cache_bytes": worker.cacheBytes,
      "resident_bytes": worker.residentBytes, "beside_bytes": worker.besideBytes,
    ]
    if let milliseconds = worker.loadMilliseconds {
      fields["load_seconds"] = Double(milliseconds) / 1000
    }
    return fields
  }
}
