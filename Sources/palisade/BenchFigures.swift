import Foundation
import PaliGemma
import Pipelining
import Tensors

/// Several runs of one thing: how long each took, and how much of the CPU.
struct BenchRuns: Sendable {
  private(set) var seconds: [Double] = []
  private(set) var cpuSeconds: [Double] = []

  /// Takes the time of `body` until it has run `count` times and for `atLeast` seconds, but no longer than
  /// six times that once it has run twice. One run before that warms up and counts only where it is long.
  ///
  /// - Throws: `CancellationError`, or what `body` throws.
  static func measure(
    count: Int, atLeast: Double, _ body: () throws -> Void
  ) throws -> BenchRuns {
    var runs = BenchRuns()
    try runs.take(body)
    if runs.seconds[0] < atLeast { runs = BenchRuns() }
    var spent = 0.0
    while runs.seconds.count < 200 {
      if runs.seconds.count >= count, spent >= atLeast { break }
      if runs.seconds.count >= 2, atLeast > 0, spent >= 6 * atLeast { break }
      try Task.checkCancellation()
      try runs.take(body)
      spent += runs.seconds[runs.seconds.count - 1]
    }
    return runs
  }

  private mutating func take(_ body: () throws -> Void) rethrows {
    let (start, cpu) = (ContinuousClock.now, BenchClock.cpuSeconds)
    try body()
    add(start.duration(to: .now) / .seconds(1), cpuSeconds: BenchClock.cpuSeconds - cpu)
  }

  mutating func add(_ seconds: Double, cpuSeconds: Double) {
    // A clock that stood still says nothing of the speed.
    self.seconds.append(max(seconds, 1e-9))
    self.cpuSeconds.append(max(cpuSeconds, 1e-9))
  }

  /// The middle one; of two the mean.
  var median: Double { Self.median(seconds) }
  var best: Double { seconds.min() ?? 0 }
  var worst: Double { seconds.max() ?? 0 }
  /// Median over best: 1 is a quiet machine.
  var spread: Double { best > 0 ? median / best : 0 }
  /// CPU time of all threads, the mean of the runs: the kernel counts what other threads are doing only once
  /// a tick, so the CPU time of a single short run may be far off.
  var cpuMean: Double {
    cpuSeconds.isEmpty ? 0 : cpuSeconds.reduce(0, +) / Double(cpuSeconds.count)
  }

  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return 0 }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// For a JSON line.
  var fields: [String: Any] {
    ["median": median, "best": best, "worst": worst, "runs": seconds.count, "spread": spread]
  }
}

enum BenchClock {
  /// CPU seconds of this process, all threads.
  static var cpuSeconds: Double { read(CLOCK_PROCESS_CPUTIME_ID) }
  /// Steady time, the one that spans are in.
  static var nanoseconds: UInt64 { UInt64(read(CLOCK_MONOTONIC) * 1e9) }

  private static func read(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Processes that wanted a core in the last minute: what else went on.
  static var load: Double {
    MachineFacts.read("/proc/loadavg").split(separator: " ").first.flatMap { Double($0) } ?? 0
  }
}

/// What every line of a measurement begins with.
struct BenchHead: Sendable {
  let bench: String
  let model: BenchModel?
  let threads: Int
  /// The load when it began: other people's work.
  let load: Double
  /// Of one core: GOP/s of integer multiplications, GB/s of reading; zeros when not measured.
  let limits: (peak: Double, read: Double)

  init(_ bench: String, model: BenchModel?, threads: Int, limits: (Double, Double) = (0, 0)) {
    self.bench = bench
    self.model = model
    self.threads = threads
    self.limits = (limits.0, limits.1)
    load = BenchClock.load
  }

  /// Measures the limits with the threads that are set.
  static func measured(_ bench: String, _ model: BenchModel, threads: Int) throws -> BenchHead {
    Terminal.note("bench: this machine's limits …")
    try Task.checkCancellation()
    let measurement = KernelMeasurement(repetitions: 1)
    return BenchHead(
      bench, model: model, threads: threads,
      limits: (measurement.peakGOPS, measurement.readGigabytesPerSecond))
  }

  var fields: [String: Any] {
    var fields: [String: Any] = [
      "bench": bench, "date": Date.now.ISO8601Format(), "machine": MachineFacts.cpuModel,
      "isa": Kernels.instructionSet, "blas_core": Kernels.blasCore.name, "threads": threads,
      "cores": ProcessInfo.processInfo.activeProcessorCount, "load": load,
    ]
    if let model {
      fields[model.folder == nil ? "preset" : "model"] = model.name
      fields["precision"] = model.precision.rawValue
      fields["image_side"] = model.config.vision.imageSide
      fields["shapes"] = [
        "vision": [
          "layers": model.config.vision.layerCount, "width": model.config.vision.width,
          "feed_forward": model.config.vision.feedForwardWidth,
          "patches": model.config.vision.patchCount,
        ],
        "text": [
          "layers": model.config.text.layerCount, "width": model.config.text.width,
          "feed_forward": model.config.text.feedForwardWidth,
          "vocabulary": model.config.text.vocabularyCount,
        ],
      ]
    }
    if limits.peak > 0 { fields["peak_gops"] = limits.peak }
    if limits.read > 0 { fields["read_gbps"] = limits.read }
    return fields
  }

  /// The head with `more` as one line of JSON, keys sorted.
  func line(_ more: [String: Any]) throws -> String {
    let data = try JSONSerialization.data(
      withJSONObject: fields.merging(more) { $1 },
      options: [.sortedKeys, .withoutEscapingSlashes])
    return String(decoding: data, as: UTF8.self)
  }

  /// The first line of a table.
  var title: String {
    let what = model.map { "\($0.name) in \($0.precision.rawValue), " } ?? ""
    let limit =
      limits.peak > 0
      ? "; per core: peak \(Readable.fixed(limits.peak, places: 0)) GOP/s, read "
        + "\(Readable.fixed(limits.read, places: 1)) GB/s" : ""
    return "\(what)\(threads) threads, \(Kernels.instructionSet) on \(MachineFacts.cpuModel), "
      + "load \(Readable.fixed(load, places: 1))\(limit)"
  }
}
