import Foundation
import Testing

/// The project's law, with real processes and the shipped model: same bytes out for every way of
/// running it. Serialized: every test fills both cores by itself.
@Suite(.serialized) struct ClusterProcessTests {
  static let batch = Program.demo + "/batch.jsonl"

  private func answers(_ options: [String]) async throws -> Data {
    let folder = try Program.temporaryFolder()
    let output = folder.appending(path: "out.jsonl").path()
    let result = try await Program.run(["batch", Self.batch, "--output", output] + options)
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
    let last = status.output.split(separator: "\n").last.map(String.init) ?? ""
    #expect(last.contains("rest") && last.contains("blocks 11–15") && last.hasSuffix("big"))
    #expect(try await answers(["--cluster", file.path()]) == oneProcess(1))
  }

  /// SIGKILL, or SIGSTOP: dead or silent, each is an error within seconds and never a hang.
  @Test(arguments: [SIGKILL, SIGSTOP], [0, 1, 2])
  func aLostWorkerIsAClearErrorInSeconds(_ signal: Int32, _ index: Int) async throws {
    let cluster = try await ProcessCluster.start(vision: 1, shards: 2)
    defer { cluster.kill() }
    let folder = try Program.temporaryFolder()
    let output = folder.appending(path: "out.jsonl").path()
    let input = try longBatch(in: folder, lines: 3000)
    let batch = try Program.start([
      "batch", input, "--output", output, "--coordinator", cluster.endpoint,
    ])
    // Some answers first, so that work is under way.
    for _ in 0..<2000 where ((try? Data(contentsOf: URL(filePath: output)).count) ?? 0) == 0 {
      try await Task.sleep(for: .milliseconds(10))
    }
    cluster.workers[index].signal(signal)
    let start = ContinuousClock.now
    let status = await batch.ended(within: 30)
    let took = ContinuousClock.now - start
    #expect(status == 2, "\(batch.errors)")
    #expect(took < .seconds(10), "\(took)")
    // Exactly one line for every request, in one of the two files.
    let answered = try ids(output)
    let failed = try ids(folder.appending(path: "out.errors.jsonl").path())
    #expect(!answered.isEmpty && !failed.isEmpty)
    #expect((answered + failed).sorted() == (0..<3000).map { "r\($0)" }.sorted())
    let errors = try String(
      contentsOf: folder.appending(path: "out.errors.jsonl"), encoding: .utf8)
    #expect(errors.contains("worker_lost"))
    #expect(cluster.coordinator.isRunning)
    #expect(cluster.coordinator.errors.contains("said nothing for"))
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
    let cluster = try await ProcessCluster.start(vision: 1, shards: 1)
    defer { cluster.kill() }
    let folder = try Program.temporaryFolder()
    let output = folder.appending(path: "out.jsonl").path()
    let batch = try Program.start([
      "batch", try longBatch(in: folder, lines: 3000), "--output", output, "--coordinator",
      cluster.endpoint,
    ])
    try await Task.sleep(for: .milliseconds(300))
    cluster.coordinator.signal(SIGKILL)
    let start = ContinuousClock.now
    #expect(await batch.ended(within: 30) == 2)
    for worker in cluster.workers {
      #expect(await worker.ended(within: 30) == 1)
      #expect(worker.errors.contains("coordinator"))
    }
    #expect(ContinuousClock.now - start < .seconds(15))
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

  private func ids(_ path: String) throws -> [String] {
    struct Line: Decodable { let custom_id: String }
    return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode(Line.self, from: Data($0.utf8)).custom_id
    }
  }
}
