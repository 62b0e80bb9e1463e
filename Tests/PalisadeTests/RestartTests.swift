import Foundation
import Testing

/// The coordinator dies and is started again: the workers have waited with their weights, and the batch
/// goes on to its end.
@Suite(.serialized) struct RestartTests {
  private func lines(_ url: URL) -> [String] {
    let text = try? String(contentsOf: url, encoding: .utf8)
    return (text ?? "").split(separator: "\n").map(String.init)
  }

  private func count(_ words: String, _ worker: Program.Running) -> Int {
    worker.errors.split(separator: "\n").count { $0.contains(words) }
  }

  /// Looks until it is so, for two minutes at most.
  private func wait(_ isTrue: () -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(120)
    while !isTrue(), ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(50)) }
  }

  @Test func aRestartedCoordinatorFindsItsWorkersWithTheirWeights() async throws {
    let folder = try Program.temporaryFolder()
    let images = Program.demo + "/images"
    let names = try FileManager.default.contentsOfDirectory(atPath: images).sorted()
    let text = (0..<500).map {
      #"{"custom_id": "r\#($0)", "image": "\#(images)/\#(names[$0 % names.count])", "#
        + #""prompt": "caption en"}"#
    }
    let input = folder.appending(path: "in.jsonl").path()
    try Data((text.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: input))
    let (output, expected) = (
      folder.appending(path: "out.jsonl"), folder.appending(path: "expected.jsonl")
    )
    let whole = try await Program.run([
      "batch", input, "--output", expected.path(), "--model", Program.model,
    ])
    try #require(whole.status == 0, "\(whole.errors)")

    let cluster = try await ProcessCluster.start(
      vision: 1, shards: 2, workerOptions: ["--wait", "300"])
    var coordinator = cluster.coordinator
    defer {
      cluster.kill()
      coordinator.signal(SIGKILL)
    }
    let batch = try Program.start([
      "batch", input, "--output", output.path(), "--coordinator", cluster.endpoint,
      "--patience", "200",
    ])
    defer { batch.signal(SIGKILL) }
    let lives = 3
    for life in 1..<lives {
      let wanted = life * 100
      try await wait { lines(output).count >= wanted || !batch.isRunning }
      #expect(batch.isRunning, "life \(life): \(batch.errors)")
      coordinator.signal(SIGKILL)
      _ = await coordinator.ended(within: 20)
      let (start, before) = (ContinuousClock.now, lines(output).count)
      coordinator = try Program.start([
        "serve", "--model", Program.model, "--workers", "1+2", "--endpoint", cluster.endpoint,
      ])
      try await wait { lines(output).count > before || !batch.isRunning }
      print("coordinator restarted: \(ContinuousClock.now - start) to the next answer")
    }
    #expect(await batch.ended(within: 180) == 0, "\(batch.errors) \(coordinator.errors)")
    #expect(Set(lines(output)) == Set(lines(expected)))
    #expect(lines(output).count == lines(expected).count)
    for worker in cluster.workers {
      // The same processes all along, which have read their weights once.
      #expect(worker.isRunning)
      #expect(count("MB of weights loaded", worker) == 1, "\(worker.errors)")
      #expect(count("MB of weights kept", worker) >= lives - 1, "\(worker.errors)")
    }
  }
}
