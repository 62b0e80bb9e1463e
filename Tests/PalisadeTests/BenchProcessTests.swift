import Foundation
import Testing

/// `palisade bench` as a user runs it, on the smallest shape; how fast it is doesn't matter here.
@Suite(.serialized) struct BenchProcessTests {
  private func line(_ arguments: [String]) async throws -> [String: Any] {
    let result = try await Program.run(["bench"] + arguments + ["--json"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.split(separator: "\n").count == 1, "\(result.output)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any],
      "\(result.output)")
  }

  /// Every number of `fields[key]`, which there is at least one of.
  private func numbers(_ fields: [String: Any], _ key: String) throws -> [Double] {
    let value = try #require(fields[key], "\(key) of \(fields.keys.sorted())")
    if let number = value as? Double { return [number] }
    let values = (value as? [String: Any])?.values.compactMap { $0 as? Double } ?? []
    try #require(!values.isEmpty, "\(key): \(value)")
    return values
  }

  private func expectPositive(_ fields: [String: Any], _ keys: [String]) throws {
    for key in keys { #expect(try numbers(fields, key).allSatisfy { $0 > 0 }, "\(key)") }
    for key in ["machine", "isa", "date"] { #expect(fields[key] is String, "\(key)") }
  }

  @Test(arguments: ["int8", "int4", "f32"]) func stage(_ precision: String) async throws {
    let fields = try await line([
      "stage", "--preset", "tiny", "--precision", precision, "--sequences", "1,3",
      "--repetitions", "2", "--seconds", "0", "--threads", "2",
    ])
    try expectPositive(
      fields,
      [
        "vision_seconds_per_image", "prefill_tokens_per_second", "decode_tokens_per_second",
        "head_seconds", "read_gbps", "step_bytes", "head_bytes", "gemm_gops", "threads",
      ])
    #expect((fields["decode_tokens_per_second"] as? [String: Any])?.keys.sorted() == ["1", "3"])
    #expect((fields["prefill_tokens_per_second"] as? [String: Any])?.keys.sorted() == ["1", "4"])
    #expect(fields["precision"] as? String == precision)
    #expect(fields["shapes"] is [String: Any] && fields["share_of_gemm"] is [String: Any])
  }

  @Test func endToEnd() async throws {
    // A model of a folder, whose answers would end early if they could.
    let fields = try await line([
      "e2e", "--model", Program.model, "--images", "3", "--max-tokens", "4", "--rounds", "2",
      "--threads", "1",
    ])
    try expectPositive(
      fields,
      [
        "images_per_second", "images_per_cpu_second", "operations_per_image", "seconds",
        "first_token_seconds", "peak_resident_bytes",
      ])
    #expect(fields["images"] as? Int == 3 && fields["model"] as? String == Program.model)
  }

  @Test func wire() async throws {
    let file = try Program.temporaryFolder().appending(path: "results.jsonl")
    let fields = try await line([
      "wire", "--rounds", "1", "--megabytes", "1", "--exchanges", "2", "--append", file.path(),
    ])
    // The same line, once.
    let kept = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
    try #require(kept.count == 1)
    let again = try JSONSerialization.jsonObject(with: Data(kept[0].utf8)) as? NSDictionary
    #expect(again == fields as NSDictionary)
    let messages = try #require(fields["messages"] as? [[String: Any]])
    // Two transports, two sizes; a plain copy, and three encodings without and with keys.
    #expect(messages.count == 28)
    for message in messages {
      for key in ["mbps", "one_way_us", "cpu_us", "wire_bytes", "stream_by_socket"] {
        #expect((message[key] as? Double ?? 0) > 0, "\(key) of \(message)")
      }
    }
    #expect(messages.count { $0["curve"] as? Bool == true } == 12)
  }

  @Test(arguments: [[], ["--even-cut"]]) func pipeline(_ more: [String]) async throws {
    let fields = try await line(
      [
        "pipeline", "--preset", "tiny", "--stages", "2", "--images", "10", "--max-tokens", "3",
        "--rounds", "1",
      ] + more)
    try expectPositive(
      fields,
      [
        "images_per_second", "images_per_second_one_process", "prefill_images_per_second",
        "decode_tokens_per_second", "pipeline_efficiency", "pipeline_efficiency_prefill",
        "pipeline_efficiency_decode", "pipeline_efficiency_cpu",
      ])
    #expect(fields["same_tokens"] as? Bool == true)
    #expect(fields["busy_share"] is [String: Any])
    let cut = try #require(fields["cut"] as? [[String: Any]])
    #expect(cut.reduce(0) { $0 + ($1["workers"] as? Int ?? 0) } == 2)
    if more.isEmpty { try expectPositive(fields, ["predicted_images_per_second"]) }
  }

  @Test func mistakesHaveARemedy() async throws {
    for (arguments, words) in [
      (["stage", "--preset", "nope"], "choose one of"),
      (["stage", "--sequences", "1,x"], "e.g. 1,8,64"),
      (["stage", "--preset", "tiny", "--model", "x"], "not both"),
      (["e2e", "--images", "0"], "--images takes 1 to"),
      (["e2e", "--model", "/nowhere"], "there is no folder /nowhere"),
      (["pipeline", "--stages", "17"], "--stages takes 1 to 16"),
      (["pipeline", "--preset", "tiny", "--stages", "16"], "can't be cut"),
      (["wire", "--rounds", "0"], "--rounds takes 1 to"),
      (["wire", "--append", "/nowhere/lines"], "cannot append to /nowhere/lines"),
      (["stage", "--batches", "17"], "--batches takes"),
    ] {
      let result = try await Program.run(["bench"] + arguments)
      #expect(result.status != 0, "\(arguments)")
      #expect(result.errors.contains(words), "\(arguments): \(result.errors)")
      #expect(result.output.isEmpty)
    }
  }

  /// Ctrl-C, once, while workers compute: all end, nothing is told.
  @Test func isEndedByOneSignal() async throws {
    let running = try Program.start([
      "bench", "pipeline", "--preset", "tiny", "--stages", "2", "--images", "100000",
    ])
    var workers: [Int32] = []
    for _ in 0..<3000 where !running.errors.contains("round 1 of") && running.isRunning {
      try await Task.sleep(for: .milliseconds(10))
    }
    workers = Self.children(of: running.pid)
    #expect(workers.count == 2, "\(running.errors)")
    running.signal(SIGINT)
    #expect(await running.ended(within: 60) == 130)
    #expect(running.output.isEmpty)
    #expect(running.errors.contains("stopped"))
    for worker in workers { #expect(kill(worker, 0) != 0, "worker \(worker) lives on") }
  }

  private static func children(of pid: Int32) -> [Int32] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.compactMap { Int32($0) }.filter { process in
      let stat = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
      let rest = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
      return rest.count > 2 && Int32(rest[2]) == pid
    }
  }
}
