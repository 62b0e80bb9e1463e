import Foundation
import GRDB
import Testing

/// A batch as a process that is killed. Serialized: every test fills both cores by itself.
@Suite(.serialized) struct BatchProcessTests {
  /// A folder with a batch file and what comes of it.
  private struct Work {
    let folder: URL
    var input: String { folder.appending(path: "in.jsonl").path() }
    var output: String { folder.appending(path: "out.jsonl").path() }

    /// `lines` requests about the demo's pictures, every eighth of them wrong in some way.
    init(lines: Int) throws {
      folder = try Program.temporaryFolder()
      let images = Program.demo + "/images"
      let names = try FileManager.default.contentsOfDirectory(atPath: images).sorted()
      let prompts = ["caption en", "detect red circle", "count circles"]
      let text = (0..<lines).map { number in
        switch number % 16 {
        case 7: #"{"custom_id": "r\#(number)", "image": "missing.png", "prompt": "ocr"}"#
        case 15: #"{"custom_id": "r\#(number - 1)", "image": "x.png", "prompt": "ocr"}"#
        default:
          #"{"custom_id": "r\#(number)", "image": "\#(images)/\#(names[number % names.count])", "#
            + #""prompt": "\#(prompts[number % 3])", "max_tokens": 12}"#
        }
      }
      try (text.joined(separator: "\n") + "\n").write(
        toFile: folder.appending(path: "in.jsonl").path(), atomically: true, encoding: .utf8)
    }

    func lines(_ name: String) -> [String] {
      let text = try? String(contentsOf: folder.appending(path: name), encoding: .utf8)
      return (text ?? "").split(separator: "\n").map(String.init)
    }
    var results: [String] { lines("out.jsonl") }
    /// The errors, without the folder's name.
    var errors: [String] {
      lines("out.errors.jsonl").map { $0.replacing(folder.path(), with: "") }
    }

    /// Asks the journal, once nobody holds it.
    func journal(_ query: String) throws -> [String] {
      let queue = try DatabaseQueue(path: output + ".journal")
      defer { try? queue.close() }
      return try queue.read { try String.fetchAll($0, sql: query) }
    }
  }

  private func arguments(_ work: Work, _ options: [String]) -> [String] {
    ["batch", work.input, "--output", work.output] + options
  }

  /// Looks every millisecond, for a minute at most.
  private func wait(_ isTrue: () -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while !isTrue(), ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(1)) }
  }

  private static let local = ["--model", Program.model, "--threads", "1", "--window", "8"]

  @Test func killedAtAnyMomentItGoesOn() async throws {
    // A fast machine answers 30 between two kills.
    let lines = 1920
    let undisturbed = try Work(lines: lines)
    let whole = try await Program.run(arguments(undisturbed, Self.local))
    #expect(whole.status == 2, "\(whole.errors)")
    let expected = Set(undisturbed.results)
    #expect(expected.count == lines - lines / 8)

    var random = SplitMix(seed: 20_261_124)
    let work = try Work(lines: lines)
    var finished: Set<String> = []
    for round in 0..<30 {
      let batch = try Program.start(arguments(work, Self.local))
      // Every third while it starts, the others some results later.
      if round % 3 == 0 {
        try await Task.sleep(for: .milliseconds(Int(random.next() % 500)))
      } else {
        let wanted = work.results.count + Int(random.next() % 12)
        try await wait { work.results.count >= wanted || !batch.isRunning }
      }
      try await Task.sleep(for: .microseconds(Int(random.next() % 3000)))
      #expect(batch.isRunning, "round \(round) was too late: \(batch.errors)")
      batch.signal(SIGKILL)
      _ = await batch.ended()
      // Nothing that was written goes away, nothing is there twice, and only the end may be torn.
      let now = work.results
      #expect(finished.isSubset(of: now) && Set(now).count == now.count)
      #expect(now.dropLast().allSatisfy(expected.contains))
      finished = expected.intersection(now)
    }
    let last = try await Program.run(arguments(work, Self.local))
    #expect(last.status == 2, "\(last.errors)")
    #expect(work.results.sorted() == undisturbed.results.sorted())
    #expect(work.errors.sorted() == undisturbed.errors.sorted())
  }

  @Test func whatIsFinishedIsNotDoneTwice() async throws {
    let work = try Work(lines: 96)
    let batch = try Program.start(arguments(work, Self.local))
    try await wait { work.results.count >= 20 }
    batch.signal(SIGKILL)
    _ = await batch.ended()
    struct Line: Decodable { let custom_id: String }
    let finished = try work.results.compactMap { line in
      // The last may be torn.
      try? JSONDecoder().decode(Line.self, from: Data(line.utf8)).custom_id
    }
    #expect(finished.count >= 20)
    let second = try await Program.run(arguments(work, Self.local))
    #expect(second.status == 2 && second.errors.contains("earlier"), "\(second.errors)")
    let once = Set(
      try work.journal("SELECT custom_id FROM requests WHERE attempts = 1 AND state = 1"))
    #expect(once.isSuperset(of: finished))
    #expect(work.results.count == 84)
  }

  @Test func theCoordinatorMayDieAndComeBack() async throws {
    let work = try Work(lines: 800)
    let expected = try Work(lines: 800)
    _ = try await Program.run(arguments(expected, Self.local))
    let folder = try Program.temporaryFolder()
    let endpoint = "ipc://" + folder.appending(path: "c").path()
    let options = ["--workers", "1+1", "--endpoint", endpoint]
    func cluster() async throws -> ProcessCluster {
      let coordinator = try Program.start(["serve", "--model", Program.model] + options)
      let workers = try (0..<2).map { index in
        try Program.start([
          "worker", "--coordinator", endpoint, "--name", "w\(index)", "--threads", "1",
        ])
      }
      let status = try await Program.run(["status", "--coordinator", endpoint, "--wait", "120"])
      #expect(status.status == 0, "\(status.errors)")
      return ProcessCluster(endpoint: endpoint, coordinator: coordinator, workers: workers)
    }
    var current = try await cluster()
    defer { current.kill() }
    let batch = try Program.start(
      arguments(work, ["--coordinator", endpoint, "--patience", "100"]))
    var random = SplitMix(seed: 7)
    for round in 1...30 {
      let wanted = work.results.count + Int(random.next() % 24)
      try await wait { work.results.count >= wanted || !batch.isRunning }
      try await Task.sleep(for: .microseconds(Int(random.next() % 3000)))
      #expect(batch.isRunning, "round \(round): \(batch.errors)")
      current.kill()
      for worker in current.workers { _ = await worker.ended() }
      _ = await current.coordinator.ended()
      current = try await cluster()
    }
    #expect(await batch.ended(within: 120) == 2, "\(batch.errors)")
    #expect(work.results.sorted() == expected.results.sorted())
    #expect(work.errors.sorted() == expected.errors.sorted())
  }

  @Test func anotherModelBehindTheEndpointMixesNoAnswers() async throws {
    let work = try Work(lines: 480)
    let endpoint = "ipc://" + (try Program.temporaryFolder()).appending(path: "c").path()
    func cluster(_ precision: String) async throws -> ProcessCluster {
      let coordinator = try Program.start([
        "serve", "--model", Program.model, "--workers", "1+1", "--endpoint", endpoint,
        "--precision", precision,
      ])
      let workers = try (0..<2).map { index in
        try Program.start([
          "worker", "--coordinator", endpoint, "--name", "w\(index)", "--threads", "1",
        ])
      }
      let status = try await Program.run(["status", "--coordinator", endpoint, "--wait", "120"])
      #expect(status.status == 0 && status.output.contains("in \(precision)"), "\(status)")
      return ProcessCluster(endpoint: endpoint, coordinator: coordinator, workers: workers)
    }
    let words = arguments(work, ["--coordinator", endpoint, "--patience", "100", "--window", "8"])
    let exact = try await cluster("f32")
    let batch = try Program.start(words)
    try await wait { work.results.count >= 20 || !batch.isRunning }
    #expect(batch.isRunning, "\(batch.errors)")
    exact.kill()
    for process in exact.workers + [exact.coordinator] { _ = await process.ended() }
    let quantised = try await cluster("int8")
    defer { quantised.kill() }
    // In the middle of the run, and at the start of the next.
    #expect(await batch.ended() == 1)
    #expect(batch.errors.contains("the model has changed"), "\(batch.errors)")
    let left = work.results.count
    let next = try await Program.run(words)
    #expect(next.status == 1 && next.errors.contains("the precision has changed from f32 to int8"))
    #expect(work.results.count == left && left < 420)
    let alone = try await Program.run(arguments(work, Self.local))
    #expect(alone.status == 2 && work.results.count == 420, "\(alone.errors)")
  }

  @Test func memoryDoesNotGrowWithTheFile() async throws {
    func peak(lines: Int) async throws -> Int {
      let work = try Work(lines: 0)
      // Names of 2000 bytes, so that a set of them would show.
      let text = (0..<lines).map { number in
        number % 1000 == 0
          ? #"{"custom_id": "n\#(number)", "image": "\#(Program.demo)/images/shapes-02.png", "#
            + #""prompt": "caption en"}"#
          : #"{"custom_id": "n\#(number)-\#(String(repeating: "x", count: 2000))"}"#
      }.joined(separator: "\n")
      try text.write(toFile: work.input, atomically: true, encoding: .utf8)
      let batch = try Program.start(arguments(work, Self.local))
      var peak = 0
      while batch.isRunning {
        let status = try? String(contentsOfFile: "/proc/\(batch.pid)/status", encoding: .utf8)
        let line = (status ?? "").split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        peak = max(peak, line.flatMap { Int($0.filter(\.isNumber)) } ?? 0)
        try await Task.sleep(for: .milliseconds(20))
      }
      #expect(await batch.ended() == 2, "\(batch.errors)")
      #expect(work.errors.count == lines - lines / 1000)
      return peak
    }
    // The journal's cache of 8 MB is full in the smaller one; the names that the larger one has more
    // would be 20 MB.
    let (few, many) = (try await peak(lines: 5000), try await peak(lines: 15_000))
    #expect(many - few < 10_000, "from \(few) to \(many) kB")
  }

  @Test func whatAUserMayGetWrongIsToldWithItsRemedy() async throws {
    let work = try Work(lines: 8)
    func expect(_ arguments: [String], _ status: Int32, _ words: String...) async throws {
      let result = try await Program.run(arguments)
      #expect(result.status == status, "\(arguments): \(result.errors)")
      for word in words {
        #expect(result.errors.contains(word), "\(arguments): \(result.errors)")
      }
    }
    let model = ["--model", Program.model]
    let output = ["--output", work.output] + model
    try await expect(["batch", "retry", work.input] + output, 1, "no journal")
    try await expect(["batch", "/nowhere.jsonl"] + output, 1, "cannot read")
    try await expect(["batch", work.input] + model, 64, "--output")
    try await expect(["batch", "a", "b"] + output, 64, "quote")
    try await expect(["batch", "--images", "*.png"] + output, 64, "--prompt")
    try await expect(arguments(work, model), 2, "image_not_found", "batch retry")
    try await expect(arguments(work, model), 2, "nothing left to do")
    try await expect(
      arguments(work, model + ["--max-tokens", "9"]), 1, "--max-tokens has changed", "--restart")
    try await expect(
      arguments(work, model + ["--precision", "int8"]), 1, "precision has changed")
    try await expect(["batch", "retry"] + arguments(work, model).dropFirst(), 2, "7 answered")
    try await expect(
      ["batch", work.input, "--validate-only"] + model, 2, "7 of 8 requests are good")
  }

  @Test func aFolderOfPicturesNeedsNoFileOfRequests() async throws {
    let folder = try Program.temporaryFolder()
    let output = folder.appending(path: "out.jsonl").path()
    let arguments = [
      "batch", "--images", Program.demo + "/images/shapes-0[12].png", "--prompt", "caption en",
      "--prompt", "count circles", "--output", output, "--model", Program.model, "--ordered",
    ]
    let first = try await Program.run(arguments)
    #expect(first.status == 0, "\(first.errors)")
    let text = try String(contentsOfFile: output, encoding: .utf8)
    #expect(text.split(separator: "\n").count == 2)
    #expect(text.contains(#""prompt":"count circles""#))
    let second = try await Program.run(arguments)
    #expect(second.status == 0 && second.errors.contains("nothing left"), "\(second.errors)")
  }
}

/// Random moments that are the same in every run.
struct SplitMix {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
