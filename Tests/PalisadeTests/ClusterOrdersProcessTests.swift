import Foundation
import Testing

@testable import palisade

/// `palisade cluster` against processes: nodes go and come while a batch runs.
@Suite(.serialized) struct ClusterOrdersProcessTests {
  struct Nodes: Decodable {
    struct Worker: Decodable {
      let name: String
      let state: String
      let node: String
    }
    let state: String
    let workers: [Worker]
    let wantedWorkers: Int
  }

  private func cluster(_ cluster: ProcessCluster, _ words: [String]) async throws -> (
    status: Int32, output: String, errors: String
  ) {
    try await Program.run(["cluster"] + words + ["--coordinator", cluster.endpoint])
  }

  private func nodes(_ running: ProcessCluster) async throws -> Nodes {
    let result = try await cluster(running, ["status", "--json"])
    return try JSONDecoder().decode(Nodes.self, from: Data(result.output.utf8))
  }

  private func join(_ cluster: ProcessCluster, _ name: String) throws -> Program.Running {
    try Program.start([
      "worker", "--coordinator", cluster.endpoint, "--name", name, "--threads", "1",
    ])
  }

  /// Every worker of the plan is drained in turn while a batch runs, a new one comes each time; then the
  /// plan grows and shrinks. The bytes are those of one process, and who was drained ends with 0.
  @Test func nodesGoAndComeWhileABatchRuns() async throws {
    let folder = try Program.temporaryFolder()
    let input = folder.appending(path: "in.jsonl").path()
    let lines = (0..<800).map { index in
      let image = Program.demo + "/images/shapes-02.png"
      return #"{"custom_id": "r\#(index)", "image": "\#(image)", "prompt": "caption en"}"#
    }
    try (lines.joined(separator: "\n") + "\n").write(
      toFile: input, atomically: true, encoding: .utf8)
    func arguments(_ name: String) -> [String] {
      ["batch", input, "--ordered", "--output", folder.appending(path: name).path()]
    }
    let alone = try await Program.run(arguments("alone.jsonl") + ["--model", Program.model])
    #expect(alone.status == 0, "\(alone.errors)")

    let running = try await ProcessCluster.start(vision: 1, shards: 2)
    var joined: [Program.Running] = []
    defer {
      for worker in joined { worker.signal(SIGKILL) }
      running.kill()
    }
    let batch = try Program.start(
      arguments("out.jsonl") + ["--coordinator", running.endpoint, "--patience", "100"])
    defer { batch.signal(SIGKILL) }
    let output = folder.appending(path: "out.jsonl").path()
    for _ in 0..<2000 where ((try? Data(contentsOf: URL(filePath: output)).count) ?? 0) == 0 {
      try await Task.sleep(for: .milliseconds(10))
    }
    for (index, worker) in running.workers.enumerated() {
      joined.append(try join(running, "new\(index)"))
      for _ in 0..<1000 where !running.coordinator.errors.contains("worker new\(index) joined") {
        try await Task.sleep(for: .milliseconds(10))
      }
      let drained = try await cluster(running, ["drain", "w\(index)", "--wait", "100"])
      #expect(drained.status == 0 && drained.output == "w\(index) is empty\n", "\(drained)")
      #expect(await worker.ended(within: 60) == 0, "\(worker.errors)")
      #expect(worker.errors.contains("told to end: the node was drained"), "\(worker.errors)")
      #expect(index > 0 || batch.isRunning, "the batch was too short for this test")
    }
    joined.append(try join(running, "new3"))
    let grown = try await cluster(running, ["scale", "+1", "--wait", "100"])
    #expect(grown.status == 0 && grown.output == "4\n", "\(grown)")
    #expect(try await nodes(running).workers.filter { $0.state == "working" }.count == 4)
    let shrunk = try await cluster(running, ["scale", "-2", "--wait", "100"])
    #expect(shrunk.status == 0 && shrunk.output == "2\n", "\(shrunk)")
    #expect(await batch.ended(within: 200) == 0, "\(batch.errors) \(running.coordinator.errors)")
    #expect(
      try Data(contentsOf: URL(filePath: output))
        == Data(contentsOf: folder.appending(path: "alone.jsonl")))
    let last = try await nodes(running)
    #expect(last.wantedWorkers == 2 && last.state == "ready")
    #expect(last.workers.map(\.name).sorted() == ["new0", "new1", "new2", "new3"])
    let log = running.coordinator.errors
    #expect(log.contains("drains w0") && log.contains("wants 4 workers"), "\(log)")
    #expect(log.contains("is a spare"), "\(log)")
  }

  @Test func ordersThatMakeNoSenseAreRefused() async throws {
    let running = try await ProcessCluster.start(vision: 1, shards: 1)
    defer { running.kill() }
    let unknown = try await cluster(running, ["drain", "nobody"])
    #expect(unknown.status == 1 && unknown.errors.contains("cluster status"), "\(unknown)")
    let host = try #require(try await nodes(running).workers.first?.node)
    let all = try await cluster(running, ["drain", host])
    #expect(all.status == 1 && all.errors.contains("start another"), "\(all)")
    for words in [["scale", "0"], ["scale", "-9"], ["scale", "two"], ["scale", "1", "2"]] {
      let result = try await cluster(running, words)
      #expect(result.status != 0, "\(words) \(result)")
    }
    let table = try await cluster(running, ["status"])
    #expect(table.status == 0 && table.output.contains("2 in the plan, 2 wanted"), "\(table)")
    let nobody = try await Program.run([
      "cluster", "drain", "w0", "--coordinator", "ipc:///tmp/palisade-nobody",
    ])
    #expect(nobody.status == 1 && nobody.errors.contains("no coordinator answers"), "\(nobody)")
  }

  @Test(arguments: [
    ("5", 3, 5), ("+2", 3, 5), ("-1", 3, 2), ("+0", 3, 3), ("-3", 3, nil), ("0", 3, nil),
    ("--2", 3, nil), ("+", 3, nil), ("", 3, nil), ("1e3", 3, nil), ("٣", 3, nil),
    ("9999999", 3, nil),
  ])
  func amountsAreRead(_ text: String, _ wanted: Int, _ expected: Int?) {
    #expect(WorkerAmount(text)?.count(from: wanted) == expected)
  }
}
