import Foundation
import Messaging
import Testing

/// What the encoding of rows is worth where links are narrow: a batch over one vision worker and three
/// shards on hosts of their own, measured beside what `palisade plan` foresees for such links.
/// `scripts/wire-rates` plays more rates and delays; nothing here depends on how fast it goes.
@Suite(
  .serialized, .enabled(if: Hosts.arePossible, "no network namespaces here: not tested on hosts"))
struct WireRatesTests {
  private static func setting(_ name: String, _ usual: String) -> [String] {
    (ProcessInfo.processInfo.environment["PALISADE_WIRE_" + name] ?? usual)
      .split(separator: " ").map(String.init)
  }

  /// A model whose rows are large beside its arithmetic.
  private func wideModel() async throws -> String {
    let folder = try Program.temporaryFolder().appending(path: "wide").path()
    let made = try await Program.run([
      "checkpoint", "synthesize", "--preset", "wide", "--output", folder, "--tokenizer",
      Program.model,
    ])
    try #require(made.status == 0, "\(made.errors)")
    return folder
  }

  /// A batch about the demo's pictures.
  private func batch(_ count: Int, tokens: Int) throws -> String {
    let images = Program.demo + "/images"
    let names = try FileManager.default.contentsOfDirectory(atPath: images).sorted()
    let lines = (0..<count).map { number in
      #"{"custom_id": "r\#(number)", "image": "\#(images)/\#(names[number % names.count])", "#
        + #""prompt": "caption en", "max_tokens": \#(tokens)}"#
    }
    let path = try Program.temporaryFolder().appending(path: "in.jsonl").path()
    try (lines.joined(separator: "\n") + "\n").write(
      toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  private struct Run {
    var imagesPerSecond = 0.0
    /// Bytes that each stage sent, by its name, for all requests.
    var sent: [String: Int] = [:]
    var predicted = 0.0
    var simulated = 0.0
    var answers = Data()
  }

  private struct StatusLines: Decodable {
    struct Stage: Decodable {
      let name: String
      let sentBytes: Int
    }
    let stages: [Stage]
  }
  private struct Plans: Decodable {
    struct Plan: Decodable {
      let imagesPerSecond: Double
      let simulatedImagesPerSecond: Double?
    }
    let plans: [Plan]
  }

  private func ask<Answer: Decodable>(
    _ arguments: [String], _ hosts: Hosts, as: Answer.Type
  ) async throws -> Answer {
    let result = try await Program.run(
      arguments + ["--coordinator", hosts.endpoint, "--key", hosts.keys.file("client"), "--json"],
      host: hosts.host(1))
    try #require(result.status == 0, "\(result.errors)")
    return try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
  }

  private func sent(_ hosts: Hosts) async throws -> [String: Int] {
    let status = try await ask(["status"], hosts, as: StatusLines.self)
    return Dictionary(status.stages.map { ($0.name, $0.sentBytes) }) { $0 + $1 }
  }

  /// One batch; images a second between the fifth and the ninth tenth of its answers.
  private func run(_ input: String, count: Int, _ hosts: Hosts) async throws -> Run {
    let before = try await sent(hosts)
    let output = try Program.temporaryFolder().appending(path: "out.jsonl").path()
    let process = try Program.start(hosts.batchArguments(input, output), host: hosts.host(1))
    defer { process.signal(SIGKILL) }
    var times: [(count: Int, at: ContinuousClock.Instant)] = []
    while process.isRunning {
      let lines =
        (try? Data(contentsOf: URL(filePath: output)))?.count { $0 == UInt8(ascii: "\n") } ?? 0
      if lines > times.last?.count ?? 0 { times.append((lines, .now)) }
      try await Task.sleep(for: .milliseconds(20))
    }
    var run = Run()
    #expect(await process.ended() == 0, "\(process.errors)")
    if let first = times.first(where: { $0.count >= count / 5 }),
      let last = times.last(where: { $0.count <= count * 9 / 10 }), last.count > first.count
    {
      run.imagesPerSecond = Double(last.count - first.count) / ((last.at - first.at) / .seconds(1))
    }
    // A heartbeat later all counters are there.
    try await Task.sleep(for: .milliseconds(1200))
    for (name, bytes) in try await sent(hosts) { run.sent[name] = bytes - (before[name] ?? 0) }
    run.answers = try Data(contentsOf: URL(filePath: output))
    return run
  }

  @Test func narrowLinksCarryWhatTheEncodingSaves() async throws {
    let rates = Self.setting("RATES", "100")
    let delays = Self.setting("DELAYS", "1")
    let count = Int(Self.setting("REQUESTS", "48")[0]) ?? 48
    let model = try await wideModel()
    let input = try batch(count, tokens: 8)
    var sent: [String: Int] = [:]
    for wire in ["f32", "bf16", "int8"] {
      let hosts = try Hosts(count: 5)
      var links: [LinkProxy] = []
      let cluster = try await hosts.cluster(
        shards: 3, model: model, serveOptions: ["--wire", wire]
      ) { number, name in
        let (worker, link) = try await hosts.distantWorker(
          on: number, name: name, options: ["--vision-cache", "0"])
        links.append(link)
        return worker
      }
      defer { cluster.kill() }
      for rate in rates {
        try hosts.say("rate", rate + "mbit")
        for delay in delays {
          for link in links { try await link.say("data set delay=\(delay)") }
          var run = try await run(input, count: count, hosts)
          let plans = try await ask(
            [
              "plan", "--simulate", "--requests", "\(max(400, count))", "--answer-tokens", "8",
              "--spread", "0", "--prompt-tokens", "4", "--link-rate", rate, "--latency", delay,
            ], hosts, as: Plans.self)
          run.predicted = plans.plans.first?.imagesPerSecond ?? 0
          run.simulated = plans.plans.first?.simulatedImagesPerSecond ?? 0
          Self.show(run, wire, rate, delay, count)
          let answers = run.answers.count { $0 == UInt8(ascii: "\n") }
          #expect(answers == count && run.simulated > 0, "\(wire), \(rate) Mbit/s: \(answers)")
          sent[wire] = (run.sent["vision"] ?? 0) + (run.sent["shard-1"] ?? 0)
        }
      }
    }
    // Half and a quarter of the bytes, beside headers; the last heartbeat's count may be missing.
    let exact = Double(try #require(sent["f32"]))
    #expect(exact > 1.5e6 * Double(count))
    for (wire, share) in [("bf16", 0.5), ("int8", 0.25)] {
      let found = Double(sent[wire] ?? 0) / exact
      #expect(found > share - 0.03 && found < share + 0.05, "\(wire): \(found)")
    }
  }

  private static func show(
    _ run: Run, _ wire: String, _ rate: String, _ delay: String, _ count: Int
  ) {
    func short(_ number: Double) -> String { "\((number * 100).rounded() / 100)" }
    let bytes = ["vision", "shard-1", "shard-2"].map {
      short(Double(run.sent[$0] ?? 0) / Double(count) / 1e6)
    }
    let share = run.simulated > 0 ? Int((100 * run.imagesPerSecond / run.simulated).rounded()) : 0
    // Fewer than twice what is under way at once come in one burst: that is no rate.
    let measured =
      count >= 180
      ? "\(short(run.imagesPerSecond)) images/s, \(share) % of what is simulated"
      : "too few requests for a rate"
    print(
      "wire rates | \(rate) Mbit/s | \(delay) ms | \(wire) | \(measured) | "
        + "simulated \(short(run.simulated)) | MB/image \(bytes.joined(separator: " "))")
    fflush(nil)
  }
}
