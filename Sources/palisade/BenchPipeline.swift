import Foundation
import Messaging
import PaliGemma
import Pipelining
import Synchronization
import Tensors

/// A coordinator in this process and its workers as processes, for as long as a measurement takes.
final class BenchPipeline: Sendable {
  let coordinator: Coordinator
  private let folder: URL
  private let processes: Mutex<[Process]>
  private let reports: Task<Void, Never>
  private let looks: Task<Void, Never>
  private let memories: Memories
  /// Loading and the making of weights.
  private static let readySeconds = 600

  /// Starts them, and waits until a token has gone through all stages.
  ///
  /// - Throws: when they don't get ready, with what they said; `CancellationError`.
  static func start(_ model: BenchModel, _ plan: BenchPlan) async throws -> BenchPipeline {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "palisade-bench-\(UUID().uuidString.prefix(8))", directoryHint: .isDirectory)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let directory = model.folder ?? folder.path(percentEncoded: false)
    if model.folder == nil {
      for file in model.config.hubFiles(elementType: .bf16) {
        try file.content.write(to: folder.appending(path: file.name))
      }
    }
    let endpoint = "ipc://" + folder.appending(path: "c").path(percentEncoded: false)
    let coordinator = try await Coordinator.start(
      Coordinator.Configuration(
        endpoint: endpoint, template: plan.template, modelDirectory: directory,
        precision: model.precision), config: model.config)
    let pipeline = BenchPipeline(coordinator, folder)
    do {
      for index in 0..<plan.template.workerCount {
        let arguments =
          [
            "worker", "--coordinator", endpoint, "--name", "bench-\(index)", "--threads",
            "\(plan.threads)",
          ] + (model.folder == nil ? ["--made-up-weights"] : [])
        let process = try BenchCluster.start(
          arguments, in: folder, cores: plan.cores.isEmpty ? [] : plan.cores[index])
        pipeline.processes.withLock { $0.append(process) }
      }
      try await pipeline.waitUntilReady()
      return pipeline
    } catch {
      pipeline.end()
      throw error
    }
  }

  private init(_ coordinator: Coordinator, _ folder: URL) {
    self.coordinator = coordinator
    self.folder = folder
    processes = Mutex([])
    let memories = Memories()
    self.memories = memories
    let stream = coordinator.reports
    reports = Task {
      for await report in stream {
        switch report {
        case .assigned(_, let stages):
          Terminal.note("bench: the workers load:" + stages.map { "\n  " + $0 }.joined())
        case .loaded(let name, let bytes, let milliseconds):
          memories.all.withLock { $0.loaded(name, byteCount: bytes, milliseconds: milliseconds) }
        default: break
        }
      }
    }
    looks = Task {
      while !Task.isCancelled {
        memories.all.withLock { $0.look(coordinator.telemetry.status.stages) }
        try? await Task.sleep(for: .milliseconds(250))
      }
    }
  }

  /// Shared with the two tasks.
  private final class Memories: Sendable {
    let all = Mutex(BenchWorkerMemory())
  }

  /// What each worker holds, and held at most.
  var memory: [BenchWorkerMemory.Worker] { memories.all.withLock(\.all) }

  private func waitUntilReady() async throws {
    let deadline = ContinuousClock.now + .seconds(Self.readySeconds)
    while coordinator.telemetry.status.state != ClusterState.Phase.ready.rawValue {
      let hasEnded = processes.withLock { $0.contains { !$0.isRunning } }
      guard !hasEnded, ContinuousClock.now < deadline else {
        let log = folder.appending(path: "log").path(percentEncoded: false)
        let said = (try? String(contentsOfFile: log, encoding: .utf8))?.suffix(2000) ?? ""
        throw CommandFailure(
          "the workers did not get ready (\(coordinator.telemetry.status.message)); they said:\n"
            + said)
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  /// CPU seconds of all workers so far.
  var cpuSeconds: Double {
    processes.withLock { all in
      all.reduce(0) {
        $0 + ProcessMeter(pid: $1.processIdentifier).cpuSeconds.values.reduce(0, +)
      }
    }
  }

  /// Most bytes in RAM, of each worker.
  var peakBytes: [Int] {
    processes.withLock { $0.map { ProcessMeter(pid: $0.processIdentifier).peakBytes } }
  }

  /// Shares of the middle half of a run that each worker computed in, by the stage's name.
  func busyShares(_ run: BenchEngineLoad.Result) -> [String: Double] {
    let middle = Self.middle(run)
    return Self.busyShares(
      coordinator.telemetry.trace(), from: middle.lowerBound, to: middle.upperBound)
  }

  /// Mean rows of the decode steps that began in the middle half of a run; nil when none did.
  func stepRows(_ run: BenchEngineLoad.Result) -> Double? {
    let middle = Self.middle(run)
    let steps = coordinator.telemetry.trace().spans.filter {
      $0.phase == .decode && $0.requestCount > 0
        && middle.contains($0.startNanoseconds)
    }
    guard !steps.isEmpty else { return nil }
    return Double(steps.reduce(0) { $0 + $1.rowCount }) / Double(steps.count)
  }

  private static func middle(_ run: BenchEngineLoad.Result) -> Range<UInt64> {
    let quarter = (run.end - run.start) / 4
    return run.start + quarter..<run.end - quarter
  }

  /// Shares of a time that each track's spans fill; the mean of a stage's replicas.
  static func busyShares(_ trace: Trace, from: UInt64, to: UInt64) -> [String: Double] {
    guard to > from else { return [:] }
    var busy: [Int: UInt64] = [:]
    for span in trace.spans {
      let begin = max(from, span.startNanoseconds)
      let end = min(to, span.startNanoseconds + span.busyNanoseconds)
      if end > begin { busy[span.worker, default: 0] += end - begin }
    }
    let stages = Dictionary(grouping: trace.tracks, by: \.stageName)
    return stages.mapValues { tracks in
      tracks.reduce(0) { $0 + Double(busy[$1.worker] ?? 0) / Double(to - from) }
        / Double(tracks.count)
    }
  }

  /// Tells the workers to end, ends those that don't, and removes the folder.
  func end() {
    coordinator.stop()
    reports.cancel()
    looks.cancel()
    processes.withLock {
      BenchCluster.end($0, folder, patience: .seconds(5))
      $0 = []
    }
  }
}
