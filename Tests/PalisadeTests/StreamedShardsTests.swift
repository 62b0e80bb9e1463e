import Foundation
import Messaging
import Testing

/// Workers without files of the model, as processes and with keys: their weights come from the
/// coordinator, and the bytes of a batch are the same. Serialized: every test fills both cores.
@Suite(.serialized) struct StreamedShardsTests {
  private static let batch = Program.demo + "/sample.jsonl"

  private func answers(_ options: [String]) async throws -> Data {
    let output = try Program.temporaryFolder().appending(path: "out.jsonl").path()
    let result = try await Program.run(
      ["batch", Self.batch, "--output", output, "--ordered"] + options)
    #expect(result.status == 0, "\(options): \(result.errors)")
    return (try? Data(contentsOf: URL(filePath: output))) ?? Data()
  }

  private func keys() async throws -> String {
    let path = try Program.temporaryFolder().appending(path: "keys").path()
    try #require(try await Program.run(["keys", "init", path]).status == 0)
    return path
  }

  /// What a worker said of its weights: all bytes, those in the cache, and those that came.
  private func counts(_ worker: Program.Running) -> (all: Int, cached: Int, came: Int)? {
    let text = worker.errors
    guard
      let first = text.firstMatch(of: /model: (\d+) bytes of weights, (\d+) of them/),
      let second = text.firstMatch(of: /has its weights: (\d+) bytes came/),
      let all = Int(first.1), let cached = Int(first.2), let came = Int(second.1)
    else { return nil }
    return (all, cached, came)
  }

  private func files(_ cache: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: cache)) ?? [])
      .filter { $0.hasSuffix(".safetensors") }.sorted()
  }

  @Test func workersWithoutFilesGiveTheSameBytes() async throws {
    let expected = try await answers(["--model", Program.model])
    let keys = try await keys()
    let cache = try Program.temporaryFolder().appending(path: "cache").path()
    var sizes: [Int] = []
    for round in 0..<3 {
      if round == 2 {
        // One byte of one file: noticed, and only that file comes again.
        let path = cache + "/" + (try #require(files(cache).first))
        var content = try Data(contentsOf: URL(filePath: path))
        content[content.count - 1] ^= 1
        try content.write(to: URL(filePath: path))
      }
      let cluster = try await ProcessCluster.start(
        vision: 1, shards: 2, keys: keys, workerOptions: ["--cache", cache])
      defer { cluster.kill() }
      let options = ["--coordinator", cluster.endpoint, "--keys", keys]
      #expect(try await answers(options) == expected, "round \(round)")
      let found = cluster.workers.compactMap { counts($0) }
      try #require(found.count == 3, "\(cluster.workers.map(\.errors))")
      sizes.append(found.reduce(0) { $0 + $1.came })
      for count in found { #expect(count.came == count.all - count.cached) }
      let ends = await cluster.stop()
      #expect(
        ends == [0, 0, 0, 0],
        "\(ends) \(cluster.coordinator.errors) \(cluster.workers.map(\.errors))")
    }
    #expect(sizes[0] > 5_000_000 && sizes[1] == 0, "\(sizes)")
    // The embedding's table, the largest, is also the head's, on another worker.
    #expect(sizes[2] > 0 && sizes[2] < 1_000_000, "\(sizes)")
    let mode = try FileManager.default.attributesOfItem(atPath: cache)[.posixPermissions] as? Int
    #expect(mode == 0o700)
    #expect(files(cache).allSatisfy { $0.wholeMatch(of: /[0-9a-f]{64}\.safetensors/) != nil })
  }

  /// Three workers with keys, the first two with caches of their own: the third joins, becomes the
  /// second replica of the vision stage, and has its weights from the first one.
  @Test func aJoinerHasItsWeightsFromAWorker() async throws {
    let expected = try await answers(["--model", Program.model])
    let keys = try await keys()
    let folder = try Program.temporaryFolder()
    let cluster = try await ProcessCluster.start(vision: 1, shards: 1, keys: keys)
    defer { cluster.kill() }
    let joiner = try worker(
      "joiner", cluster.endpoint,
      ["--keys", keys, "--cache", folder.appending(path: "joiner").path()])
    let scaled = try await Program.run([
      "cluster", "scale", "3", "--coordinator", cluster.endpoint, "--keys", keys, "--wait", "120",
    ])
    defer { joiner.signal(SIGKILL) }
    #expect(scaled.status == 0, "\(scaled.errors) \(joiner.errors)")
    let came = try #require(counts(joiner), "\(joiner.errors)")
    let match = try #require(joiner.errors.firstMatch(of: /(\d+) of them from other workers/))
    let fromWorkers = try #require(Int(match.1))
    #expect(came.came == came.all && fromWorkers > came.all / 2, "\(came), \(fromWorkers)")
    print("weights: \(came.came) bytes came, \(fromWorkers) of them from other workers")
    let options = ["--coordinator", cluster.endpoint, "--keys", keys]
    #expect(try await answers(options) == expected)
  }

  /// Workers that say where others reach them, on hosts of their own, bound to every address: a joiner has
  /// its weights from the one that says where it gives them, and none from the one that doesn't.
  @Test(.enabled(if: Hosts.arePossible, "no network namespaces here"))
  func whoAdvertisesGivesWeightsWhereItSays() async throws {
    let hosts = try Hosts(count: 4)
    let cluster = try await hosts.cluster(shards: 1) { number, name in
      var options = ["--data", "tcp://0.0.0.0:7500", "--advertise", "tcp://10.77.0.\(number):7500"]
      if number == 2 {
        options += [
          "--weights", "tcp://0.0.0.0:7501", "--advertise-weights", "tcp://10.77.0.2:7501",
        ]
      }
      return try hosts.worker(on: number, name: name, options: options)
    }
    defer { cluster.kill() }
    let cache = try Program.temporaryFolder().appending(path: "cache").path()
    let joiner = try hosts.worker(on: 4, name: "joiner", options: ["--cache", cache])
    defer { joiner.signal(SIGKILL) }
    let scaled = try await Program.run(
      [
        "cluster", "scale", "3", "--coordinator", hosts.endpoint, "--key",
        hosts.keys.file("client"), "--wait", "120",
      ], host: hosts.host(1))
    #expect(scaled.status == 0, "\(scaled.errors) \(joiner.errors)")
    let came = try #require(counts(joiner), "\(joiner.errors)")
    let match = try #require(joiner.errors.firstMatch(of: /(\d+) of them from other workers/))
    let fromWorkers = try #require(Int(match.1))
    #expect(came.came == came.all && fromWorkers > came.all / 2, "\(came), \(fromWorkers)")
  }

  /// A coordinator, a worker with files, and one without that was killed while it fetched; nil when it
  /// was too quick for that.
  private func killed(
    _ keys: String, cache: String
  ) async throws -> (serve: Program.Running, first: Program.Running, endpoint: String)? {
    let file = try Program.temporaryFolder().appending(path: "endpoint").path()
    let serve = try Program.start([
      "serve", "--model", Program.model, "--workers", "1+1", "--endpoint", "tcp://127.0.0.1:*",
      "--endpoint-file", file, "--keys", keys,
    ])
    for _ in 0..<1000 where !FileManager.default.fileExists(atPath: file) {
      try await Task.sleep(for: .milliseconds(10))
    }
    let endpoint = try String(contentsOfFile: file, encoding: .utf8)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    let first = try worker("a", endpoint, ["--keys", keys])
    let fetching = try worker("b", endpoint, ["--keys", keys, "--cache", cache])
    let deadline = ContinuousClock.now + .seconds(60)
    while files(cache).isEmpty, ContinuousClock.now < deadline { usleep(100) }
    fetching.signal(SIGSTOP)
    let isDone = fetching.errors.contains("has its weights")
    fetching.signal(SIGKILL)
    _ = await fetching.ended()
    if !isDone { return (serve, first, endpoint) }
    for process in [first, serve] { process.signal(SIGKILL) }
    return nil
  }

  private func worker(
    _ name: String, _ endpoint: String, _ options: [String]
  ) throws -> Program.Running {
    try Program.start(
      ["worker", "--coordinator", endpoint, "--name", name, "--threads", "1"] + options)
  }

  /// SIGKILL in the middle: the next life asks only for what isn't there.
  @Test func aKilledFetchGoesOn() async throws {
    let expected = try await answers(["--model", Program.model])
    let keys = try await keys()
    var cache = ""
    var found: (serve: Program.Running, first: Program.Running, endpoint: String)?
    for _ in 0..<10 where found == nil {
      cache = try Program.temporaryFolder().appending(path: "cache").path()
      found = try await killed(keys, cache: cache)
    }
    let (serve, first, endpoint) = try #require(found)
    defer { for process in [first, serve] { process.signal(SIGKILL) } }
    let again = try worker("b", endpoint, ["--keys", keys, "--cache", cache])
    defer { again.signal(SIGKILL) }
    let status = try await Program.run([
      "status", "--coordinator", endpoint, "--wait", "120", "--keys", keys,
    ])
    #expect(status.status == 0, "\(status.output) \(again.errors)")
    let weights = try #require(counts(again), "\(again.errors) \(serve.errors)")
    #expect(weights.cached > 0 && weights.came > 0, "\(weights)")
    // A part that was whole and had no name yet counts as neither.
    #expect(weights.came <= weights.all - weights.cached, "\(weights)")
    #expect(try await answers(["--coordinator", endpoint, "--keys", keys]) == expected)
  }

  @Test func aCacheThatIsTooSmallEndsTheWorkerWithTheRemedy() async throws {
    let folder = try Program.temporaryFolder()
    let endpoint = "ipc://" + folder.appending(path: "c").path()
    let serve = try Program.start([
      "serve", "--model", Program.model, "--workers", "1+1", "--endpoint", endpoint,
    ])
    // The other one only makes the cluster whole.
    let other = try Program.start([
      "worker", "--coordinator", endpoint, "--name", "other", "--threads", "1",
    ])
    let worker = try Program.start([
      "worker", "--coordinator", endpoint, "--name", "w", "--threads", "1", "--cache",
      folder.appending(path: "cache").path(), "--cache-limit", "1MB",
    ])
    defer { for process in [worker, other, serve] { process.signal(SIGKILL) } }
    #expect(await worker.ended(within: 60) == 1)
    #expect(worker.errors.contains("raise --cache-limit"), "\(worker.errors)")
    for arguments in [["--cache", "/c", "--model", "/m"], ["--cache-limit", "much"]] {
      let refused = try await Program.run(["worker", "--coordinator", endpoint] + arguments)
      #expect(refused.status == 64, "\(refused)")
    }
  }

  /// Over a slow cable: the status says how far it is, and nobody is taken for dead.
  @Test(.enabled(if: Hosts.arePossible, "no network namespaces here"))
  func theStatusShowsHowFarItIs() async throws {
    let expected = try await answers(["--model", Program.model])
    let hosts = try Hosts(count: 3)
    let coordinator = try Program.start(
      [
        "serve", "--model", Program.model, "--workers", "1+1", "--endpoint", hosts.endpoint,
        "--keys", hosts.keys.path,
      ], host: hosts.host(1))
    let cache = try Program.temporaryFolder()
    try hosts.say("rate", "10mbit")
    let workers = try (0..<2).map {
      try Program.start(
        [
          "worker", "--coordinator", hosts.endpoint, "--name", "w\($0)", "--threads", "1", "--key",
          hosts.keys.file("worker"), "--cache", cache.appending(path: "\($0)").path(),
        ], host: hosts.host(2 + $0))
    }
    defer { for process in workers + [coordinator] { process.signal(SIGKILL) } }
    let ask = ["status", "--coordinator", hosts.endpoint, "--key", hosts.keys.file("client")]
    var seen: Set<Int> = []
    for _ in 0..<200 {
      let status = try await Program.run(ask, host: hosts.host(1))
      if status.status == 0 { break }
      if let match = status.output.firstMatch(of: /fetching: .*w1 (\d+) %/),
        let share = Int(match.1)
      {
        seen.insert(share)
      }
    }
    #expect(seen.contains { $0 > 0 && $0 < 100 }, "\(seen) \(coordinator.errors)")
    let ready = try await Program.run(ask + ["--wait", "60"], host: hosts.host(1))
    #expect(ready.status == 0, "\(ready.output) \(coordinator.errors)")
    #expect(!coordinator.errors.contains("hangs") && !coordinator.errors.contains("is dead"))
    let output = cache.appending(path: "out.jsonl").path()
    let batch = try await Program.run(
      hosts.batchArguments(Self.batch, output), host: hosts.host(1))
    #expect(batch.status == 0, "\(batch.errors)")
    #expect(try Data(contentsOf: URL(filePath: output)) == expected)
  }
}
