import Foundation
import Messaging
import Testing

/// Namespaces on a bridge, and a cluster over them: coordinator and clients on host 1, a worker on
/// each of the others.
final class Hosts: Sendable {
  static let arePossible: Bool = {
    guard geteuid() == 0, FileManager.default.fileExists(atPath: "/usr/sbin/ip") else {
      return false
    }
    defer { _ = try? Hosts.script(["down", "palprobe"]) }
    return (try? Hosts.script(["up", "palprobe", "1"])) == 0
  }()

  let prefix: String
  let keys: KeyFolder
  let endpoint = "tcp://10.77.0.1:7400"

  init(count: Int) throws {
    prefix = "p" + String(UInt32.random(in: 0...UInt32.max), radix: 36).prefix(6)
    keys = KeyFolder(try Program.temporaryFolder().appending(path: "keys").path())
    try keys.make()
    try #require(try Self.script(["up", prefix, "\(count)"]) == 0)
  }

  deinit { _ = try? Self.script(["down", prefix]) }

  func host(_ number: Int) -> String { "\(prefix)-\(number)" }
  func say(_ verb: String, _ argument: String) throws {
    try #require(try Self.script([verb, prefix, argument]) == 0)
  }

  static func script(_ arguments: [String]) throws -> Int32 {
    let process = Process()
    process.executableURL = Program.root.appending(path: "scripts/netns")
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
  }

  func worker(
    on number: Int, name: String, options: [String] = []
  ) throws -> Program.Running {
    try Program.start(
      [
        "worker", "--coordinator", endpoint, "--name", name, "--threads", "1", "--key",
        keys.file("worker"),
      ] + options, host: host(number))
  }

  /// A worker whose way in is a link that can be long.
  func distantWorker(
    on number: Int, name: String, options: [String] = []
  ) async throws -> (Program.Running, LinkProxy) {
    let address = "10.77.0.\(number)"
    let proxy = try await LinkProxy(["data"], at: address, host: host(number))
    let worker = try worker(
      on: number, name: name,
      options: [
        "--data", "tcp://\(address):*", "--advertise",
        "tcp://\(address):\(proxy.ports["data"] ?? 0)",
      ] + options)
    var port: Substring?
    for _ in 0..<2000 where port == nil {
      port =
        worker.errors.split(separator: "\n").first { $0.contains("takes micro-batches at") }?
        .split(separator: ":").last
      try await Task.sleep(for: .milliseconds(10))
    }
    try await proxy.say("data to \(address):\(try #require(port))")
    return (worker, proxy)
  }

  /// One vision worker and `shards` of the decoder, each on a host of its own.
  func cluster(shards: Int) async throws -> ProcessCluster {
    try await cluster(shards: shards) { number, name in try worker(on: number, name: name) }
  }

  /// The same with workers that `start` starts, by the host's number and a name.
  func cluster(
    shards: Int, model: String = Program.model, serveOptions: [String] = [],
    _ start: (Int, String) async throws -> Program.Running
  ) async throws -> ProcessCluster {
    let coordinator = try Program.start(
      [
        "serve", "--model", model, "--workers", "1+\(shards)", "--endpoint", endpoint,
        "--keys", keys.path,
      ] + serveOptions, host: host(1))
    var workers: [Program.Running] = []
    for index in 0...shards { workers.append(try await start(2 + index, "w\(index)")) }
    let cluster = ProcessCluster(
      endpoint: endpoint, coordinator: coordinator, workers: workers)
    let status = try await Program.run(
      ["status", "--coordinator", endpoint, "--wait", "120", "--key", keys.file("client")],
      host: host(1))
    if status.status != 0 { cluster.kill() }
    try #require(status.status == 0, "\(status.errors) \(coordinator.errors)")
    return cluster
  }

  func batchArguments(_ input: String, _ output: String) -> [String] {
    [
      "batch", input, "--output", output, "--ordered", "--coordinator", endpoint, "--key",
      keys.file("client"), "--patience", "200",
    ]
  }
}

/// Hosts with addresses of their own (`scripts/netns`), links with keys between them.
@Suite(
  .serialized, .enabled(if: Hosts.arePossible, "no network namespaces here: not tested on hosts"))
struct HostsTests {
  private func oneProcess(_ input: String) async throws -> Data {
    let output = try Program.temporaryFolder().appending(path: "out.jsonl").path()
    let result = try await Program.run([
      "batch", input, "--output", output, "--ordered", "--model", Program.model,
    ])
    #expect(result.status == 0, "\(result.errors)")
    return try Data(contentsOf: URL(filePath: output))
  }

  /// Full speed, 1 Gbit/s, 100 Mbit/s: the bytes of one process, over five hosts with keys.
  @Test func aBatchOverHostsGivesTheBytesOfOne() async throws {
    let expected = try await oneProcess(Program.demo + "/batch.jsonl")
    let hosts = try Hosts(count: 5)
    let cluster = try await hosts.cluster(shards: 3)
    defer { cluster.kill() }
    for worker in cluster.workers { #expect(worker.errors.contains("tcp://10.77.0.")) }
    for rate in ["", "1gbit", "100mbit"] {
      if !rate.isEmpty { try hosts.say("rate", rate) }
      let output = try Program.temporaryFolder().appending(path: "out.jsonl").path()
      let start = ContinuousClock.now
      let result = try await Program.run(
        hosts.batchArguments(Program.demo + "/batch.jsonl", output), host: hosts.host(1))
      #expect(result.status == 0, "\(rate): \(result.errors)")
      #expect(try Data(contentsOf: URL(filePath: output)) == expected, "\(rate)")
      print("hosts, \(rate.isEmpty ? "unlimited" : rate): \(ContinuousClock.now - start)")
    }
    // Without a key the other hosts hear nothing.
    let stranger = try await Program.run(
      ["status", "--coordinator", hosts.endpoint, "--insecure"], host: hosts.host(5))
    #expect(stranger.status == 1 && stranger.errors.contains("no coordinator answers"))
    let plain = try await Program.run(["status", "--coordinator", hosts.endpoint])
    #expect(plain.status == 1 && plain.errors.contains("palisade keys init"), "\(plain.errors)")
  }

  /// Links of 1 Gbit/s and 100 Mbit/s whose other end is 1 to 50 ms away: the bytes of one process. What
  /// the workers take in comes that much later; answers go to the coordinator at once.
  @Test func distantHostsGiveTheBytesOfOne() async throws {
    let input = Program.demo + "/batch.jsonl"
    let expected = try await oneProcess(input)
    let hosts = try Hosts(count: 4)
    var links: [LinkProxy] = []
    let cluster = try await hosts.cluster(shards: 2) { number, name in
      let (worker, link) = try await hosts.distantWorker(on: number, name: name)
      links.append(link)
      return worker
    }
    defer { cluster.kill() }
    for rate in ["1gbit", "100mbit"] {
      try hosts.say("rate", rate)
      for delay in [1, 10, 50] {
        for link in links { try await link.say("data set delay=\(delay) jitter=\(delay / 10)") }
        let output = try Program.temporaryFolder().appending(path: "out.jsonl").path()
        let start = ContinuousClock.now
        let result = try await Program.run(
          hosts.batchArguments(input, output), host: hosts.host(1))
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        #expect(result.status == 0, "\(rate), \(delay) ms: \(result.errors)")
        let answers = try Data(contentsOf: URL(filePath: output))
        #expect(answers == expected, "\(rate), \(delay) ms")
        let count = answers.count { $0 == UInt8(ascii: "\n") }
        print(
          "hosts, \(rate), \(delay) ms each way: \(count) requests in "
            + "\((seconds * 100).rounded() / 100) s with the batch's start, "
            + "\((Double(count) / seconds * 10).rounded() / 10) a second")
      }
    }
  }

  /// A cable is pulled in the middle of a batch and put back: no request is lost, doubled or changed.
  @Test func aPulledCableCostsNoRequest() async throws {
    let folder = try Program.temporaryFolder()
    let image = Program.demo + "/images/shapes-02.png"
    let input = folder.appending(path: "in.jsonl").path()
    let lines = (0..<300).map {
      #"{"custom_id": "r\#($0)", "image": "\#(image)", "prompt": "caption en"}"#
    }
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: input))
    let expected = try await oneProcess(input)
    let hosts = try Hosts(count: 4)
    let cluster = try await hosts.cluster(shards: 2)
    defer { cluster.kill() }
    let output = folder.appending(path: "out.jsonl").path()
    let batch = try Program.start(hosts.batchArguments(input, output), host: hosts.host(1))
    defer { batch.signal(SIGKILL) }
    for _ in 0..<2000 where ((try? Data(contentsOf: URL(filePath: output)).count) ?? 0) == 0 {
      try await Task.sleep(for: .milliseconds(10))
    }
    try hosts.say("cut", "3")
    for _ in 0..<3000 where !cluster.coordinator.errors.contains("said nothing") {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(cluster.coordinator.errors.contains("said nothing"), "\(cluster.coordinator.errors)")
    try hosts.say("mend", "3")
    // Whether the worker has waited or given up: somebody is there again.
    let again = try hosts.worker(on: 3, name: "again")
    defer { again.signal(SIGKILL) }
    #expect(await batch.ended(within: 200) == 0, "\(batch.errors) \(cluster.coordinator.errors)")
    #expect(try Data(contentsOf: URL(filePath: output)) == expected)
  }
}
