import Foundation
import Testing

/// A batch goes on while its cluster is killed, stopped, slowed, cut off and delayed: the bytes are those
/// of an undisturbed run, each answer exactly once. `scripts/chaos` runs more rounds of the same.
@Suite(.serialized) struct ChaosTests {
  private static func setting(_ name: String) -> Int? {
    ProcessInfo.processInfo.environment["PALISADE_CHAOS_" + name].flatMap { Int($0) }
  }

  /// What one round showed.
  private struct Round {
    var scenario: ChaosScenario
    var requests = 0
    var lost = 0
    var doubled = 0
    var changed = 0
    /// The longest time without an answer from the fault on, in seconds.
    var silence = 0.0

    var isGood: Bool { lost == 0 && doubled == 0 && changed == 0 }
  }

  /// Requests about the demo's pictures, and their answers from one process.
  private struct Workload {
    let input: String
    let answers: [String: String]

    init(lines: Int, prompts: [String], maximumTokens: Int) async throws {
      let folder = try Program.temporaryFolder()
      let images = Program.demo + "/images"
      let names = try FileManager.default.contentsOfDirectory(atPath: images).sorted()
      let text = (0..<lines).map { number in
        #"{"custom_id": "r\#(number)", "image": "\#(images)/\#(names[number % names.count])", "#
          + #""prompt": "\#(prompts[number % prompts.count])", "max_tokens": \#(maximumTokens)}"#
      }
      input = folder.appending(path: "in.jsonl").path()
      try (text.joined(separator: "\n") + "\n").write(
        toFile: input, atomically: true, encoding: .utf8)
      let output = folder.appending(path: "expected.jsonl").path()
      let result = try await Program.run([
        "batch", input, "--output", output, "--model", Program.model, "--threads", "1",
      ])
      try #require(result.status == 0, "\(result.errors)")
      answers = Dictionary(
        uniqueKeysWithValues: try ChaosTests.lines(output).map { (ChaosTests.id($0), $0) })
      try #require(answers.count == lines)
    }
  }

  private static func lines(_ path: String) throws -> [String] {
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  private static func id(_ line: String) -> String {
    struct Line: Decodable { let custom_id: String }
    return (try? JSONDecoder().decode(Line.self, from: Data(line.utf8)).custom_id) ?? "?"
  }

  @Test func faultsCostNoAnswer() async throws {
    let rounds = Self.setting("ROUNDS") ?? 12
    let seed = UInt64(Self.setting("SEED") ?? 0)
    let end = ContinuousClock.now + .seconds(60 * (Self.setting("MINUTES") ?? 30))
    let prefills = try await Workload(
      lines: 300, prompts: ["caption en", "count circles"], maximumTokens: 1)
    let decodes = try await Workload(
      lines: 200, prompts: ["caption en", "detect red circle"], maximumTokens: 64)
    let cluster = try await ChaosCluster(seed: seed)
    defer { cluster.kill() }
    var played: [Round] = []
    for number in 0..<rounds where ContinuousClock.now < end {
      try await cluster.settle()
      let scenario = ChaosScenario(round: number, seed: seed)
      let faults = ChaosFaults(cluster, seed: seed &+ UInt64(number))
      let workload = scenario.phase == .prefill ? prefills : decodes
      let round = try await play(scenario, workload, cluster, faults)
      played.append(round)
      print(
        "chaos round \(number): \(scenario.text): longest silence "
          + "\((round.silence * 10).rounded() / 10) s"
          + (round.isGood
            ? ""
            : ", LOST \(round.lost) DOUBLED \(round.doubled) "
              + "CHANGED \(round.changed)"))
      // Whoever waits for it may read it now.
      fflush(nil)
      #expect(round.isGood, "round \(number): \(scenario.text)")
      #expect(round.silence < 90, "round \(number): \(scenario.text)")
    }
    #expect(cluster.surprises.isEmpty, "\(cluster.surprises)")
    Self.table(played, seed: seed)
  }

  /// The way of results alone is cut, or answers the last stage's connections with breaks: the workers
  /// and the coordinator hear each other all the while, and no answer comes.
  @Test(arguments: [ChaosScenario.Kind.cut, .reset]) func cutResultsCostNoAnswer(
    _ kind: ChaosScenario.Kind
  ) async throws {
    let workload = try await Workload(lines: 300, prompts: ["caption en"], maximumTokens: 64)
    let cluster = try await ChaosCluster(seed: 1)
    defer { cluster.kill() }
    try await cluster.settle()
    let before = cluster.coordinator.errors.count
    let scenario = ChaosScenario(kind, .results, at: .decode)
    let round = try await play(scenario, workload, cluster, ChaosFaults(cluster, seed: 1))
    print("chaos, \(scenario.text): longest silence \((round.silence * 10).rounded() / 10) s")
    #expect(round.isGood, "lost \(round.lost), doubled \(round.doubled), changed \(round.changed)")
    // It was noticed, or the way of results doesn't lead through the link.
    #expect(cluster.coordinator.errors.count > before, "\(cluster.coordinator.errors)")
    #expect(round.silence < 60 && cluster.surprises.isEmpty, "\(cluster.surprises)")
  }

  /// One batch and what happens to it.
  private func play(
    _ scenario: ChaosScenario, _ workload: Workload, _ cluster: ChaosCluster, _ faults: ChaosFaults
  ) async throws -> Round {
    var round = Round(scenario: scenario, requests: workload.answers.count)
    let output = try Program.temporaryFolder().appending(path: "out.jsonl").path()
    var faultTime: ContinuousClock.Instant?
    if scenario.phase == .idle {
      try await faults.inject(scenario)
      faultTime = .now
    }
    let batch = try Program.start([
      "batch", workload.input, "--output", output, "--coordinator", cluster.clientEndpoint,
      "--patience", "600",
    ])
    defer { batch.signal(SIGKILL) }
    var (size, last) = (0, faultTime ?? .now)
    let deadline = ContinuousClock.now + .seconds(240)
    while batch.isRunning, ContinuousClock.now < deadline {
      try await cluster.tick()
      try await faults.tick()
      let now = ContinuousClock.now
      let written =
        try FileManager.default.fileExists(atPath: output)
        ? Data(contentsOf: URL(filePath: output)).count : 0
      if written > size {
        if let faultTime {
          let silence = now - max(last, faultTime)
          round.silence = max(round.silence, silence / .seconds(1))
        }
        (size, last) = (written, now)
      }
      if faultTime == nil, size > 0 {
        try await faults.inject(scenario)
        faultTime = .now
      }
    }
    #expect(faultTime != nil, "\(scenario.text): the batch was over before it")
    try await faults.undoAll()
    #expect(await batch.ended(within: 1) == 0, "\(scenario.text): \(batch.errors.suffix(2000))")
    var seen: Set<String> = []
    for line in try Self.lines(output) {
      let id = Self.id(line)
      if !seen.insert(id).inserted { round.doubled += 1 }
      if workload.answers[id] != line { round.changed += 1 }
    }
    round.lost = workload.answers.keys.count { !seen.contains($0) }
    return round
  }

  /// What was done and what came of it, a row per kind of fault.
  private static func table(_ rounds: [Round], seed: UInt64) {
    print("chaos | seed \(seed), recovery: the longest time without an answer from the fault on")
    print("chaos | fault | injected | requests | lost | doubled | changed | p50 s | p95 s | max s")
    func row(_ name: String, _ rounds: [Round], injected: Int) {
      guard !rounds.isEmpty else { return }
      let silences = rounds.map(\.silence).sorted()
      let at = { (share: Double) in
        let value = silences[min(silences.count - 1, Int(share * Double(silences.count)))]
        return "\((value * 10).rounded() / 10)"
      }
      let numbers = [
        injected, rounds.reduce(0) { $0 + $1.requests }, rounds.reduce(0) { $0 + $1.lost },
        rounds.reduce(0) { $0 + $1.doubled }, rounds.reduce(0) { $0 + $1.changed },
      ]
      print(
        "chaos | "
          + ([name] + numbers.map(String.init) + [at(0.5), at(0.95), at(1)])
          .joined(separator: " | "))
    }
    for kind in ChaosScenario.Kind.allCases {
      let own = rounds.filter { $0.scenario.faults.contains { $0.kind == kind } }
      row(
        kind.rawValue, own,
        injected: own.reduce(0) { $0 + $1.scenario.faults.count { $0.kind == kind } })
    }
    row("all", rounds, injected: rounds.reduce(0) { $0 + $1.scenario.faults.count })
  }
}
