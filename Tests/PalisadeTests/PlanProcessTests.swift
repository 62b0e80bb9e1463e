import Foundation
import Testing

/// `palisade plan`, and clusters that plan by measurement, as a user sees them.
@Suite(.serialized) struct PlanProcessTests {
  private func plan(_ arguments: [String]) async throws -> (Int32, String, String) {
    let result = try await Program.run(["plan"] + arguments)
    return (result.status, result.output, result.errors)
  }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
  }

  private func rates(_ document: [String: Any], _ key: String = "imagesPerSecond") -> [Double] {
    (document["plans"] as? [[String: Any]] ?? []).compactMap { $0[key] as? Double }
  }

  @Test func machinesLikeThisOneArePlannedAndSimulated() async throws {
    let questions = ["--what-if", "+2", "--what-if", "+1x4", "--what-if", "without=new-1"]
    let (status, output, errors) = try await plan(
      ["--model", Program.model, "--nodes", "2", "--simulate", "--requests", "3000", "--json"]
        + questions)
    #expect(status == 0, "\(errors)")
    let document = try json(output)
    let predicted = rates(document)
    try #require(predicted.count == 4)
    #expect(predicted[1] >= predicted[0] && predicted[2] > predicted[0])
    #expect(predicted[3] < predicted[0])
    for (formula, events) in zip(predicted, rates(document, "simulatedImagesPerSecond")) {
      // The same costs and two ways of adding them up.
      #expect(events > 0.6 * formula && events < 1.4 * formula, "\(predicted) \(output)")
    }
    // What was printed can be given back, and gives the same plans.
    let file = try Program.temporaryFolder().appending(path: "nodes.json")
    try Data(output.utf8).write(to: file)
    let again = try await plan(
      ["--model", Program.model, "--precision", "int8", "--nodes-file", file.path(), "--json"])
    #expect(again.0 == 0, "\(again.2)")
    #expect(rates(try json(again.1)).first == predicted[0])
  }

  @Test func textForPeopleHasStagesAndAScaleTable() async throws {
    let (status, output, errors) = try await plan([
      "--preset", "demo", "--nodes", "3", "--what-if", "+1", "--simulate", "--requests", "200",
      "--failure-hours", "0.01", "--scale-seconds", "20", "--scale", "3", "6",
    ])
    #expect(status == 0, "\(errors)")
    for part in ["best: predicted", "what if +1", "simulated:", "shard-1", "machines", "images/s"] {
      #expect(output.contains(part), "no '\(part)' in \(output)")
    }
  }

  @Test(arguments: [
    [], ["--preset", "nothing"], ["--preset", "demo", "--what-if", "2"],
    ["--preset", "demo", "--nodes", "0"], ["--preset", "demo", "--nodes-file", "/nowhere"],
    ["--preset", "demo", "--what-if", "without=nobody"], ["--coordinator", "ipc:///tmp/nobody-p"],
  ]) func whatMakesNoSenseIsRefused(_ arguments: [String]) async throws {
    let (status, _, errors) = try await plan(arguments)
    #expect(status != 0 && !errors.isEmpty, "\(arguments)")
  }

  @Test func aMeasuredClusterGrowsAndGivesTheSameBytes() async throws {
    let folder = try Program.temporaryFolder()
    let endpoint = "ipc://" + folder.appending(path: "c").path()
    let serve = try Program.start([
      "serve", "--model", Program.model, "--workers", "auto:1", "--endpoint", endpoint,
    ])
    func worker(_ name: String) throws -> Program.Running {
      try Program.start([
        "worker", "--coordinator", endpoint, "--name", name, "--threads", "1",
      ])
    }
    var workers = [try worker("w0")]
    defer { ProcessCluster(endpoint: endpoint, coordinator: serve, workers: workers).kill() }
    func status() async throws -> [String: Any] {
      let result = try await Program.run([
        "status", "--coordinator", endpoint, "--wait", "120", "--json",
      ])
      #expect(result.status == 0, "\(result.errors) \(serve.errors)")
      return try json(result.output)
    }
    let alone = try await status()
    #expect((alone["stages"] as? [Any])?.count == 1)
    #expect(alone["predictedImagesPerSecond"] as? Double ?? 0 > 0)
    workers.append(try worker("w1"))
    var stages = 1
    for _ in 0..<600 where stages < 2 {
      try await Task.sleep(for: .milliseconds(100))
      stages = (try await status()["stages"] as? [Any])?.count ?? 0
    }
    #expect(stages == 2, "\(serve.errors)")
    #expect(serve.errors.contains("w1 would make it"), "\(serve.errors)")
    func answers(_ options: [String]) async throws -> Data {
      let output = folder.appending(path: UUID().uuidString).path()
      let result = try await Program.run(
        ["batch", ClusterProcessTests.batch, "--output", output, "--ordered"] + options)
      #expect(result.status == 0, "\(result.errors)")
      return try Data(contentsOf: URL(filePath: output))
    }
    let expected = try await answers(["--model", Program.model, "--stages", "1"])
    #expect(try await answers(["--coordinator", endpoint]) == expected)
    let (ended, output, errors) = try await plan(["--coordinator", endpoint, "--what-if", "+2"])
    #expect(ended == 0, "\(errors)")
    for part in ["present: predicted", "measured in the last seconds", "best: ", "what if +2"] {
      #expect(output.contains(part), "no '\(part)' in \(output)")
    }
  }
}
