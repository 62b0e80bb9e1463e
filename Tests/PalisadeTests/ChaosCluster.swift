import Foundation
import Testing

/// A coordinator and its workers, each behind links that can be cut, under a supervisor that starts
/// again what has ended.
final class ChaosCluster {
  /// A worker's place; processes come and go in it.
  struct Place {
    var process: Program.Running
    var life = 0
    /// Whether the link to its data endpoint leads to this life's.
    var isLinked = false
    /// When it is started again, once it has ended.
    var startAgain: ContinuousClock.Instant?
    /// Whether it was ended on purpose.
    var isDoomed = false
  }

  /// Three stages that take about as long, the first two with vision blocks in them: with fewer workers
  /// the cluster is slower, so that it takes those who come back in again.
  private static let stages = """
    coordinator: tcp://127.0.0.1:7400
    model: \(Program.model)
    stages:
      - {name: vision, blocks: 0-4}
      - {name: first, blocks: 5-11}
      - {name: last, blocks: 12-15}
    """
  private static let stageCount = 3
  private static let spares = 1
  let proxy: LinkProxy
  private let endpoint: String
  private let file: String
  private(set) var coordinator: Program.Running
  private(set) var places: [Place] = []
  private var coordinatorStart: ContinuousClock.Instant?
  /// Whether the link of results leads to this life's of the coordinator.
  private var areResultsLinked = false
  /// Processes that ended though nobody had ended them.
  private(set) var surprises: [String] = []

  static var workerCount: Int { stageCount + spares }

  init(seed: UInt64) async throws {
    let links =
      (0..<Self.workerCount).flatMap { ["data\($0)", "control\($0)"] }
      + ["client", "results"]
    proxy = try await LinkProxy(links, seed: seed)
    let folder = try Program.temporaryFolder()
    file = folder.appending(path: "cluster.yaml").path()
    try Data(Self.stages.utf8).write(to: URL(filePath: file))
    let told = folder.appending(path: "endpoint").path()
    coordinator = try Program.start([
      "serve", "--cluster", file, "--endpoint", "tcp://127.0.0.1:*", "--endpoint-file", told,
      "--advertise", proxy.endpoint("results"),
    ])
    for _ in 0..<3000 where !FileManager.default.fileExists(atPath: told) {
      try await Task.sleep(for: .milliseconds(10))
    }
    endpoint = try String(contentsOfFile: told, encoding: .utf8).trimmingCharacters(
      in: .whitespacesAndNewlines)
    let address = endpoint.replacing("tcp://", with: "")
    for link in links where link.hasPrefix("control") || link == "client" {
      try await proxy.say("\(link) to \(address)")
    }
    for index in 0..<Self.workerCount {
      places.append(Place(process: try worker(index, life: 0)))
    }
  }

  private func worker(_ index: Int, life: Int) throws -> Program.Running {
    try Program.start([
      "worker", "--coordinator", proxy.endpoint("control\(index)"), "--data", "tcp://127.0.0.1:*",
      "--advertise", proxy.endpoint("data\(index)"), "--name", "w\(index).\(life)", "--threads",
      "1", "--wait", "900",
    ])
  }

  /// How a client reaches it.
  var clientEndpoint: String { proxy.endpoint("client") }

  /// Starts again what is due, and links what has come.
  func tick() async throws {
    let now = ContinuousClock.now
    if let due = coordinatorStart, due <= now {
      coordinatorStart = nil
      coordinator = try Program.start([
        "serve", "--cluster", file, "--endpoint", endpoint, "--advertise",
        proxy.endpoint("results"),
      ])
      areResultsLinked = false
    }
    if !areResultsLinked, let port = port(coordinator, after: "takes results at ") {
      try await proxy.say("results to 127.0.0.1:\(port)")
      areResultsLinked = true
    }
    for index in places.indices {
      if let due = places[index].startAgain {
        guard due <= now else { continue }
        places[index].process.signal(SIGKILL)
        let life = places[index].life + 1
        places[index] = Place(process: try worker(index, life: life), life: life)
      } else if !places[index].process.isRunning {
        if !places[index].isDoomed {
          surprises.append("w\(index).\(places[index].life): \(places[index].process.errors)")
        }
        places[index].startAgain = now + .seconds(1)
      }
      if !places[index].isLinked,
        let port = port(places[index].process, after: "takes micro-batches at ")
      {
        try await proxy.say("data\(index) to 127.0.0.1:\(port)")
        places[index].isLinked = true
      }
    }
  }

  /// The port of an endpoint that a process tells of behind some words.
  private func port(_ process: Program.Running, after words: String) -> Substring? {
    let line = process.errors.split(separator: "\n").first { $0.contains(words) }
    return line?.split(separator: words).last?.split(separator: ";").first?
      .split(separator: ":").last
  }

  /// Ends a worker's process, which is started again later.
  func end(_ index: Int, _ signal: Int32, startAgain: Duration) {
    places[index].isDoomed = true
    places[index].process.signal(signal)
    places[index].startAgain = .now + startAgain
  }

  /// Kills the coordinator, which is started again later.
  func endCoordinator(startAgain: Duration) async {
    coordinator.signal(SIGKILL)
    _ = await coordinator.ended(within: 20)
    coordinatorStart = .now + startAgain
  }

  /// The places whose workers run the stages of the newest plan, first to last, by the coordinator's log.
  var stages: [Int] {
    let lines = coordinator.errors.split(separator: "\n")
    guard let start = lines.lastIndex(where: { $0.contains("serve: plan ") }) else { return [] }
    return lines[(start + 1)...].prefix { $0.contains("(blocks ") }.compactMap { line in
      line.split(separator: " ").last?.split(separator: ".").first.flatMap { Int($0.dropFirst()) }
    }
  }

  /// Waits until all is as it was: every process there and linked, and a token through all stages.
  func settle() async throws {
    let end = ContinuousClock.now + .seconds(180)
    while ContinuousClock.now < end {
      try await tick()
      let isWhole = coordinatorStart == nil && areResultsLinked && places.allSatisfy { $0.isLinked }
      if isWhole {
        let status = try await Program.run(["status", "--coordinator", endpoint, "--json"])
        let stageCount = status.output.split(separator: "\"instructionSet\"").count - 1
        if status.status == 0, stageCount == Self.stageCount { return }
      }
      try await Task.sleep(for: .milliseconds(100))
    }
    Issue.record("the cluster isn't whole again: \(coordinator.errors.suffix(2000))")
  }

  /// Ends everything.
  func kill() {
    for process in places.map(\.process) + [coordinator] {
      process.signal(SIGCONT)
      process.signal(SIGKILL)
    }
  }
}
