import Foundation
import Synchronization
import Testing

/// `palisade video` as a user runs it, on the shipped film and the shipped model.
@Suite(.serialized) struct VideoProcessTests {
  private static let film = VideoFiles.shapes

  @Test("Records, subtitles and an annotated film, all at once")
  func wholeWay() async throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = { (name: String) in folder.appending(path: name).path() }
    let run = try await Program.run([
      "video", Self.film, "--prompt", "detect red circle", "--every", "0.5s", "--output",
      path("out.jsonl"), "--subtitles", path("out.vtt"), "--subtitles", path("out.srt"),
      "--annotate", path("out.mp4"), "--model", Program.model,
    ])
    #expect(run.status == 0, "\(run.errors)")
    let lines = try VideoFiles.records(path("out.jsonl"))
    #expect(lines.map(\.pts) == stride(from: 0, to: 8, by: 0.5).map { $0 })
    #expect(lines.filter { $0.pts < 4 }.allSatisfy { $0.text?.contains("red circle") == true })
    #expect(try String(contentsOfFile: path("out.vtt"), encoding: .utf8).hasPrefix("WEBVTT"))
    #expect(try String(contentsOfFile: path("out.srt"), encoding: .utf8).contains("red circle"))
    #expect(FileManager.default.fileExists(atPath: path("out.mp4")))
    #expect(run.errors.contains("16 frames answered") && run.errors.contains("p99"))
    let again = try await Program.run([
      "video", Self.film, "--prompt", "caption en", "--output", path("out.jsonl"), "--model",
      Program.model,
    ])
    #expect(again.status == 1 && again.errors.contains("--resume"))
  }

  @Test("Killed twice and resumed: exactly one record a frame, a torn line is cut")
  func resuming() async throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let film = try await VideoFiles.film(folder.appending(path: "in.mp4").path(), seconds: 40)
    let output = folder.appending(path: "out.jsonl").path()
    let words = [
      "video", film, "--prompt", "caption en", "--every", "all", "--output", output, "--model",
      Program.model, "--resume",
    ]
    for target in [40, 120] {
      let running = try Program.start(words)
      let deadline = ContinuousClock.now + .seconds(120)
      while VideoFiles.lineCount(output) < target, running.isRunning, ContinuousClock.now < deadline
      {
        try await Task.sleep(for: .milliseconds(5))
      }
      running.signal(SIGKILL)
      _ = await running.ended(within: 20)
      let handle = try #require(FileHandle(forWritingAtPath: output))
      try handle.seekToEnd()
      try handle.write(contentsOf: Data(#"{"boxes":[],"fra"#.utf8))
      try handle.close()
    }
    let before = VideoFiles.lineCount(output)
    let run = try await Program.run(words)
    #expect(run.status == 0, "\(run.errors)")
    let lines = try VideoFiles.records(output)
    #expect(before >= 120 && lines.count == 400)
    #expect(lines.map(\.frame) == Array(0..<400))
    #expect(zip(lines, lines.dropFirst()).allSatisfy { $0.pts < $1.pts })
    #expect(lines.allSatisfy { $0.text != nil && $0.error == nil })
  }

  @Test("Ctrl-C ends it cleanly while the engine computes, time and again")
  func interrupting() async throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let film = try await VideoFiles.film(folder.appending(path: "in.mp4").path(), seconds: 60)
    for round in 0..<4 {
      let output = folder.appending(path: "out-\(round).jsonl").path()
      let running = try Program.start([
        "video", film, "--prompt", "caption en", "--every", "all", "--output", output, "--model",
        Program.model,
      ])
      let deadline = ContinuousClock.now + .seconds(60)
      while VideoFiles.lineCount(output) < 8, running.isRunning, ContinuousClock.now < deadline {
        try await Task.sleep(for: .milliseconds(5))
      }
      running.signal(SIGINT)
      #expect(await running.ended(within: 60) == 130, "\(running.errors)")
      let lines = try VideoFiles.records(output)
      #expect(lines.map(\.frame) == Array(0..<lines.count))
    }
  }

  @Test("A killed shard worker of a cluster: one record a frame, an answer or an error")
  func losingWorker() async throws {
    let folder = try Program.temporaryFolder()
    let cluster = try await ProcessCluster.start(vision: 1, shards: 2)
    defer {
      cluster.kill()
      try? FileManager.default.removeItem(at: folder)
    }
    let film = try await VideoFiles.film(folder.appending(path: "in.mp4").path(), seconds: 30)
    let output = folder.appending(path: "out.jsonl").path()
    let running = try Program.start([
      "video", film, "--prompt", "caption en", "--every", "all", "--output", output,
      "--coordinator", cluster.endpoint, "--patience", "0",
    ])
    while VideoFiles.lineCount(output) < 30, running.isRunning {
      try await Task.sleep(for: .milliseconds(5))
    }
    cluster.workers[2].signal(SIGKILL)
    let status = await running.ended(within: 120)
    #expect(status == 2 || status == 0, "\(running.errors)")
    let lines = try VideoFiles.records(output)
    #expect(lines.map(\.frame) == Array(0..<300))
    #expect(lines.allSatisfy { ($0.text == nil) != ($0.error == nil) })
    #expect(lines.count { $0.text != nil } >= 30)
  }

  @Test(
    "Wrong options are told with their remedy",
    arguments: [
      (["--every", "soon"], "--every"), (["--policy", "lose"], "--policy"),
      (["--stride", "2"], "--clip"), (["--clip", "65"], "--clip"),
      (["--constrain"], "--constrain"),
    ])
  func refusing(_ more: [String], _ word: String) async throws {
    let run = try await Program.run(
      [
        "video", Self.film, "--prompt", "caption en", "--output", "/tmp/never.jsonl", "--model",
        Program.model,
      ] + more)
    #expect(run.status == 64, "\(run.errors)")
    #expect(run.errors.contains(word), "\(run.errors)")
  }
}
