import Foundation
import Testing

/// The project's law, with real processes and the shipped model: same bytes out for every way of
/// running it. Serialized: every test fills both cores by itself.
@Suite(.serialized) struct ClusterProcessTests {
  static let batch = Program.demo + "/batch.jsonl"

  private func answers(_ options: [String]) async throws -> Data {
    let folder = try Program.temporaryFolder()
    let output = folder.appending(path: "out.jsonl").path()
    let result = try await Program.run(
      ["batch", Self.batch, "--output", output, "--ordered"] + options)
    #expect(result.status == 0, "\(options): \(result.errors)")
    return try Data(contentsOf: URL(filePath: output))
  }

  private func oneProcess(_ stages: Int) async throws -> Data {
    try await answers(["--model", Program.model, "--stages", "\(stages)"])
  }

  @Test func everyNumberOfStagesInOneProcess() async throws {
    let expected = try await oneProcess(1)
    #expect(expected.split(separator: UInt8(ascii: "\n")).count >= 64)
    for stages in [2, 3, 5, 16] {
      #expect(try await oneProcess(stages) == expected, "\(stages) stages")
    }
    let window = try await answers(["--model", Program.model, "--window", "3"])
    #expect(window == expected)
  }

  @Test(arguments: [(1, 2, "tcp"), (2, 4, "tcp"), (1, 2, "ipc"), (2, 4, "ipc"), (1, 1, "ipc")])
  func processesGiveTheBytesOfOne(_ vision: Int, _ shards: Int, _ transport: String) async throws {
    let expected = try await oneProcess(1)
    let cluster = try await ProcessCluster.start(
      vision: vision, shards: shards, transport: transport)
    defer { cluster.kill() }
    #expect(try await answers(["--coordinator", cluster.endpoint]) == expected)
    #expect(
      try await answers(["--coordinator", cluster.endpoint, "--window", "5"]) == expected)
    #expect(await cluster.stop() == [Int32](repeating: 0, count: 1 + vision + shards))
  }

  @Test func int8ProcessesGiveTheBytesOfOne() async throws {
    let expected = try await answers(["--model", Program.model, "--precision", "int8"])
    let cut = try await answers([
      "--model", Program.model, "--precision", "int8", "--stages", "4", "--window", "7",
    ])
    #expect(cut == expected)
    let cluster = try await ProcessCluster.start(
      vision: 1, shards: 2, serveOptions: ["--precision", "int8"])
    defer { cluster.kill() }
    #expect(try await answers(["--coordinator", cluster.endpoint]) == expected)
  }

  @Test func aClusterFileSaysTheCut() async throws {
    let folder = try Program.temporaryFolder()
    let file = folder.appending(path: "cluster.yaml")
    let socket = folder.appending(path: "c").path()
    try """
    coordinator: ipc://\(socket)
    model: \(Program.model)
    stages:
      - {name: low, blocks: 0-3, replicas: 2}
      - {name: high, blocks: 4-10}
      - {name: rest, blocks: 11-15, workers: [big]}
    """.write(to: file, atomically: true, encoding: .utf8)
    let serve = try Program.start(["serve", "--cluster", file.path()])
    let names = ["a", "big", "b", "c"]
    let workers = try names.map {
      try Program.start([
        "worker", "--coordinator", "ipc://\(socket)", "--name", $0, "--threads", "1",
      ])
    }
    defer { ProcessCluster(endpoint: "", coordinator: serve, workers: workers).kill() }
    let status = try await Program.run([
      "status", "--coordinator", "ipc://\(socket)", "--wait", "60",
    ])
    #expect(status.status == 0, "\(status.output) \(serve.errors)")
    let rest = status.output.split(separator: "\n").first { $0.contains(" rest ") } ?? ""
    #expect(rest.contains("blocks 11–15") && rest.hasSuffix("big"), "\(status.output)")
    #expect(try await answers(["--cluster", file.path()]) == oneProcess(1))
  }

  /// A batch of some hundred lines that has its first answers.
  private func begun(
    _ cluster: ProcessCluster, patience: Int
  ) async throws -> (arguments: [String], batch: Program.Running, output: String) {
    let folder = try Program.temporaryFolder()
    let output = folder.appending(path: "out.jsonl").path()
    let arguments = [
      "batch", try longBatch(in: folder, lines: 400), "--output", output, "--coordinator",
      cluster.endpoint,
    ]
    let batch = try Program.start(arguments + ["--patience", "\(patience)"])
    for _ in 0..<2000 where ((try? Data(contentsOf: URL(filePath: output)).count) ?? 0) == 0 {
      try await Task.sleep(for: .milliseconds(10))
    }
    return (arguments, batch, output)
  }

  private func spare(_ cluster: ProcessCluster) throws -> Program.Running {
    try Program.start([
      "worker", "--coordinator", cluster.endpoint, "--name", "spare", "--threads", "1",
    ])
  }

  @Test(arguments: [
    ["--advertise", "*"], ["--advertise", "tcp://head"], ["--advertise", "a/b"],
    ["--advertise", "head", "--endpoint", "ipc:///tmp/c"],
    ["--advertise", "head", "--results", "ipc:///tmp/r"],
    ["--workers", "0", "--http", "127.0.0.1:0", "--results", "tcp://127.0.0.1:0"],
  ]) func aWayToTheCoordinatorThatLeadsNowhereIsRefused(_ options: [String]) async throws {
    let result = try await Program.run(["serve", "--model", Program.model] + options)
    #expect(result.status == 64, "\(result)")
    #expect(result.errors.contains("--advertise"), "\(result.errors)")
  }

  /// SIGKILL, or SIGSTOP: dead or silent, the batch waits for a new worker and loses no request.
  @Test(arguments: [SIGKILL, SIGSTOP], [0, 1, 2])
  func aLostWorkerCostsNoRequest(_ signal: Int32, _ index: Int) async throws {
    let folder = try Program.temporaryFolder()
    let undisturbed = folder.appending(path: "out.jsonl").path()
    let whole = try await Program.run([
      "batch", try longBatch(in: folder, lines: 400), "--output", undisturbed, "--model",
      Program.model,
    ])
    #expect(whole.status == 0, "\(whole.errors)")
    let cluster = try await ProcessCluster.start(vision: 1, shards: 2)
    defer { cluster.kill() }
    let (_, batch, output) = try await begun(cluster, patience: 100)
    cluster.workers[index].signal(signal)
    let spare = try spare(cluster)
    defer { spare.signal(SIGKILL) }
    #expect(await batch.ended(within: 120) == 0, "\(batch.errors)")
    #expect(try Set(lines(output)) == Set(lines(undisturbed)))
    #expect(try ids(output).count == 400)
    let words = signal == SIGKILL ? "w\(index) is dead" : "w\(index) hangs: said nothing for"
    #expect(cluster.coordinator.errors.contains(words), "\(cluster.coordinator.errors)")
  }

  @Test func outOfPatienceIsAClearErrorAndLosesNothing() async throws {
    let cluster = try await ProcessCluster.start(
      vision: 1, shards: 1, serveOptions: ["--outage", "1"])
    defer { cluster.kill() }
    let (arguments, batch, output) = try await begun(cluster, patience: 1)
    for worker in cluster.workers { worker.signal(SIGKILL) }
    #expect(await batch.ended(within: 30) == 1)
    #expect(batch.errors.contains("Nothing is lost"), "\(batch.errors)")
    let errors = output.replacing("out.jsonl", with: "out.errors.jsonl")
    #expect(!FileManager.default.fileExists(atPath: errors))
    let spare = try spare(cluster)
    defer { spare.signal(SIGKILL) }
    let second = try await Program.run(arguments)
    #expect(second.status == 0, "\(second.errors)")
    #expect(try ids(output).sorted() == (0..<400).map { "r\($0)" }.sorted())
  }

  @Test func aNewWorkerHealsTheCluster() async throws {
    let expected = try await oneProcess(1)
    let cluster = try await ProcessCluster.start(vision: 1, shards: 2)
    defer { cluster.kill() }
    cluster.workers[1].signal(SIGKILL)
    let spare = try Program.start([
      "worker", "--coordinator", cluster.endpoint, "--name", "spare", "--threads", "1",
    ])
    defer { spare.signal(SIGKILL) }
    for _ in 0..<1000 where !cluster.coordinator.errors.contains("ready (plan 2)") {
      try await Task.sleep(for: .milliseconds(20))
    }
    #expect(try await answers(["--coordinator", cluster.endpoint]) == expected)
  }

  @Test func aDeadCoordinatorIsNoticedByWorkersAndClients() async throws {
    let cluster = try await ProcessCluster.start(
      vision: 1, shards: 1, workerOptions: ["--wait", "4"])
    defer { cluster.kill() }
    // It has answered: a client that never heard it says `no_coordinator` instead.
    let (_, batch, _) = try await begun(cluster, patience: 1)
    cluster.coordinator.signal(SIGKILL)
    let start = ContinuousClock.now
    #expect(await batch.ended(within: 30) == 1)
    #expect(batch.errors.contains("coordinator_lost"), "\(batch.errors)")
    for worker in cluster.workers {
      #expect(await worker.ended(within: 30) == 1)
      #expect(worker.errors.contains("coordinator"))
    }
    #expect(ContinuousClock.now - start < .seconds(25))
  }

  private func longBatch(in folder: URL, lines: Int) throws -> String {
    let image = Program.demo + "/images/shapes-02.png"
    let text = (0..<lines).map {
      #"{"custom_id": "r\#($0)", "image": "\#(image)", "prompt": "caption en"}"#
    }.joined(separator: "\n")
    let path = folder.appending(path: "in.jsonl")
    try text.write(to: path, atomically: true, encoding: .utf8)
    return path.path()
  }

  private func lines(_ path: String) throws -> [Substring] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
  }

  private func ids(_ path: String) throws -> [String] {
    struct Line: Decodable { let custom_id: String }
    return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode(Line.self, from: Data($0.utf8)).custom_id
    }
  }
}
