import Foundation
import Imaging
import Testing

/// A request that kills every worker which takes its picture: it is answered with an error of its own,
/// and all others are answered. Workers are started again as by a supervisor.
@Suite(.serialized) struct PoisonTests {
  private func write(_ lines: [String], _ path: String) throws {
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: path))
  }

  private func lines(_ path: String) -> [String] {
    let text = try? String(contentsOfFile: path, encoding: .utf8)
    return (text ?? "").split(separator: "\n").map(String.init)
  }

  @Test func onlyThePoisonFails() async throws {
    let folder = try Program.temporaryFolder()
    let side = 64
    let magenta = [[UInt8]](repeating: [255, 0, 255], count: side * side).flatMap { $0 }
    let picture = folder.appending(path: "magenta.png").path()
    try Data(Picture(width: side, height: side, rgb: magenta).encodedPNG()).write(
      to: URL(filePath: picture))
    let images = Program.demo + "/images"
    let names = try FileManager.default.contentsOfDirectory(atPath: images).sorted()
    let good = (0..<120).map {
      #"{"custom_id": "r\#($0)", "image": "\#(images)/\#(names[$0 % names.count])", "#
        + #""prompt": "caption en"}"#
    }
    let bad = #"{"custom_id": "bad", "image": "\#(picture)", "prompt": "caption en"}"#
    let input = folder.appending(path: "in.jsonl").path()
    let output = folder.appending(path: "out.jsonl").path()
    let expected = folder.appending(path: "expected.jsonl").path()
    // In the middle of others, so that it is not alone when it kills.
    try write(Array(good[..<40]) + [bad] + good[40...], input)
    let whole = try await Program.run([
      "batch", input, "--output", expected, "--model", Program.model,
    ])
    // Where nothing kills, it is answered like any other.
    try #require(whole.status == 0, "\(whole.errors)")

    let endpoint = "ipc://" + folder.appending(path: "c").path()
    let environment = ["LD_PRELOAD": try Program.library("deadly_colour.c")]
    func worker(_ index: Int) throws -> Program.Running {
      try Program.start(
        ["worker", "--coordinator", endpoint, "--name", "w\(index)", "--threads", "1"],
        environment: environment)
    }
    let coordinator = try Program.start([
      "serve", "--model", Program.model, "--workers", "1+2", "--endpoint", endpoint,
    ])
    var workers = try (0..<3).map(worker)
    defer { for process in workers + [coordinator] { process.signal(SIGKILL) } }
    let batch = try Program.start([
      "batch", input, "--output", output, "--coordinator", endpoint, "--patience", "200",
    ])
    defer { batch.signal(SIGKILL) }
    let deadline = ContinuousClock.now + .seconds(180)
    var deaths = 0
    while batch.isRunning, ContinuousClock.now < deadline {
      for index in workers.indices where !workers[index].isRunning {
        deaths += 1
        workers[index] = try worker(index)
      }
      try await Task.sleep(for: .milliseconds(50))
    }
    #expect(await batch.ended(within: 1) == 2, "\(batch.errors) \(coordinator.errors)")
    let answers = lines(expected).filter { !$0.contains(#""custom_id":"bad""#) }
    #expect(answers.count == good.count)
    #expect(Set(lines(output)) == Set(answers) && lines(output).count == answers.count)
    let errors = lines(folder.appending(path: "out.errors.jsonl").path())
    #expect(errors.count == 1 && errors.first?.contains("poison_request") ?? false, "\(errors)")
    #expect(errors.first?.contains(#""bad""#) ?? false, "\(errors)")
    // Two in company, one as the only suspect, one alone; no more.
    #expect((2...4).contains(deaths), "\(deaths) workers died")
    print("poison: \(deaths) workers died of it")
  }
}
