import Foundation
import Testing

/// What may happen to `palisade video`: pipes, kills, hours of film, films that are large.
@Suite(.serialized) struct VideoRobustnessTests {
  private static func wait(
    _ running: Program.Running, until condition: () -> Bool
  ) async throws {
    let deadline = ContinuousClock.now + .seconds(120)
    while !condition(), running.isRunning {
      try #require(ContinuousClock.now < deadline, "\(running.errors)")
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  @Test("cat film | palisade video - answers as for the file")
  func standardInput() async throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = { (name: String) in folder.appending(path: name).path() }
    // An MP4's index may stand at its end, which a pipe can't show first.
    try await VideoFiles.run(
      "ffmpeg", ["-loglevel", "error", "-i", VideoFiles.shapes, "-c", "copy", path("in.mkv")])
    let words = ["--prompt", "detect red circle", "--every", "5", "--model", Program.model]
    let pipe = Pipe()
    let cat = Process()
    cat.executableURL = URL(filePath: "/bin/cat")
    cat.arguments = [path("in.mkv")]
    cat.standardOutput = pipe
    try cat.run()
    try pipe.fileHandleForWriting.close()
    let piped = try Program.start(
      ["video", "-", "--output", path("pipe.jsonl")] + words, input: pipe.fileHandleForReading)
    #expect(await piped.ended() == 0, "\(piped.errors)")
    let file = try await Program.run(
      ["video", path("in.mkv"), "--output", path("file.jsonl")] + words)
    #expect(file.status == 0, "\(file.errors)")
    let (one, other) = try (
      VideoFiles.records(path("pipe.jsonl")), VideoFiles.records(path("file.jsonl"))
    )
    #expect(one.count == 16 && one.allSatisfy { $0.source == "-" && $0.text != nil })
    #expect(one.map(\.pts) == other.map(\.pts) && one.map(\.text) == other.map(\.text))
    let again = try await Program.run(
      ["video", "-", "--output", path("pipe.jsonl"), "--resume"] + words)
    #expect(again.status == 64 && again.errors.contains("--resume"))
  }

  @Test("A camera that isn't there is said, with what to do")
  func noCamera() async throws {
    let device = "/dev/video63"
    try #require(!FileManager.default.fileExists(atPath: device))
    let output = try Program.temporaryFolder().appending(path: "out.jsonl").path()
    let run = try await Program.run([
      "video", device, "--prompt", "caption en", "--output", output, "--model", Program.model,
    ])
    #expect(run.status == 1 && run.errors.contains(device) && run.errors.contains("v4l2-ctl"))
  }

  @Test("Killed and resumed with subtitles and an annotated video: both as if nobody had killed it")
  func resumingWithPictures() async throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = { (name: String) in folder.appending(path: name).path() }
    // Ten times the demo's film: long enough to be killed in, however fast this machine is.
    try await VideoFiles.run(
      "ffmpeg",
      [
        "-nostdin", "-loglevel", "error", "-stream_loop", "9", "-i", VideoFiles.shapes, "-c",
        "copy", path("in.mp4"),
      ])
    func words(_ name: String) -> [String] {
      [
        "video", path("in.mp4"), "--prompt", "detect red circle", "--every", "2", "--output",
        path(name + ".jsonl"), "--subtitles", path(name + ".vtt"), "--annotate",
        path(name + ".mp4"), "--model", Program.model,
      ]
    }
    let whole = try await Program.run(words("whole"))
    #expect(whole.status == 0, "\(whole.errors)")
    for target in [5, 15] {
      let running = try Program.start(words("cut") + ["--resume"])
      try await Self.wait(running) { VideoFiles.lineCount(path("cut.jsonl")) >= target }
      running.signal(SIGKILL)
      _ = await running.ended(within: 20)
    }
    #expect(VideoFiles.lineCount(path("cut.jsonl")) < 400, "it was not cut short")
    #expect(!FileManager.default.fileExists(atPath: path("cut.mp4")))
    let run = try await Program.run(words("cut") + ["--resume"])
    #expect(run.status == 0, "\(run.errors)")
    #expect(
      try VideoFiles.records(path("cut.jsonl")).map(\.frame)
        == Array(stride(from: 0, to: 800, by: 2)))
    #expect(
      try String(contentsOfFile: path("cut.vtt"), encoding: .utf8)
        == String(contentsOfFile: path("whole.vtt"), encoding: .utf8))
    // Every frame, its time and its pixels, boxes and all.
    var sums: [String] = []
    for name in ["cut.mp4", "whole.mp4"] {
      sums.append(
        try await VideoFiles.run(
          "ffmpeg", ["-loglevel", "error", "-i", path(name), "-f", "framemd5", "-"]))
    }
    #expect(sums[0] == sums[1] && sums[0].split(separator: "\n").count >= 400)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path()).count == 7)
  }

  /// The children of a process that are ffmpegs.
  private func decoders(of parent: Int32) throws -> [Int32] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }.filter {
      let fields = state(of: $0)
      return fields?.name == "ffmpeg" && fields?.parent == parent
    }
  }

  private func state(of process: Int32) -> (name: String, letter: String, parent: Int32)? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
      let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")")
    else { return nil }
    let rest = text[text.index(after: close)...].split(separator: " ")
    guard rest.count > 2, let parent = Int32(rest[1]) else { return nil }
    return (String(text[text.index(after: open)..<close]), String(rest[0]), parent)
  }

  @Test("Killed with SIGKILL it leaves no decoder and no encoder behind")
  func noOrphans() async throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let film = try await VideoFiles.film(
      folder.appending(path: "in.mp4").path(), seconds: 60, size: "320x240")
    let output = folder.appending(path: "out.jsonl").path()
    let running = try Program.start([
      "video", film, "--prompt", "caption en", "--every", "all", "--output", output, "--annotate",
      folder.appending(path: "out.mkv").path(), "--model", Program.model,
    ])
    try await Self.wait(running) { VideoFiles.lineCount(output) >= 10 }
    let children = try decoders(of: running.pid)
    #expect(children.count == 2, "\(children)")
    running.signal(SIGKILL)
    _ = await running.ended(within: 20)
    let deadline = ContinuousClock.now + .seconds(30)
    // One that nobody waits for is a zombie; it does nothing any more.
    let left = { children.filter { child in state(of: child).map { $0.letter != "Z" } ?? false } }
    while !left().isEmpty, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(20))
    }
    #expect(left().isEmpty)
  }

  @Test(
    "Clips of sixteen frames of 1080p go through a coordinator, with the answers of one process")
  func largeClips() async throws {
    let folder = try Program.temporaryFolder()
    let cluster = try await ProcessCluster.start(vision: 1, shards: 2)
    defer {
      cluster.kill()
      try? FileManager.default.removeItem(at: folder)
    }
    let path = { (name: String) in folder.appending(path: name).path() }
    // The demo's shapes, in large; a circle that moves.
    try await VideoFiles.run(
      "ffmpeg",
      [
        "-loglevel", "error", "-i", VideoFiles.shapes, "-frames:v", "24", "-vf",
        "scale=1920:1080:flags=bicubic", "-c:v", "libx264", "-preset", "ultrafast", path("in.mp4"),
      ])
    var texts: [[VideoFiles.Record]] = []
    for (name, place) in [
      ("cluster", ["--coordinator", cluster.endpoint]), ("alone", ["--model", Program.model]),
    ] {
      let run = try await Program.run(
        [
          "video", path("in.mp4"), "--prompt", "detect red circle", "--every", "all", "--clip",
          "16",
          "--stride", "4", "--max-tokens", "8", "--output", path(name + ".jsonl"),
        ] + place)
      #expect(run.status == 0, "\(run.errors)")
      texts.append(try VideoFiles.records(path(name + ".jsonl")))
    }
    #expect(texts[0].map(\.frame) == Array(0..<24))
    #expect(texts[0].filter { $0.text != nil }.map(\.frame) == [15, 19, 23])
    #expect(texts[0].map(\.text) == texts[1].map(\.text))
    #expect(texts[0].map(\.boxes) == texts[1].map(\.boxes))
  }

  @Test("As many frames as ten hours have, one a second, in flat memory", .timeLimit(.minutes(10)))
  func tenHours() async throws {
    let folder = try Program.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    // A picture that changes every twenty minutes, and is shown once a second: what is asked about stays in the vision
    // cache, which may grow to its bound.
    let film = try await VideoFiles.film(
      folder.appending(path: "in.mkv").path(), seconds: 37_200, rate: "1/1200", size: "64x48",
      filter: "fps=1,trim=end_frame=36000")
    let output = folder.appending(path: "out.jsonl").path()
    let running = try Program.start([
      "video", film, "--prompt", "caption en", "--every", "all", "--skip-duplicates", "0.01",
      "--max-tokens", "2", "--output", output, "--subtitles",
      folder.appending(path: "out.vtt").path(), "--model", Program.model,
    ])
    var (early, most) = (0, 0)
    try await Self.wait(running) {
      let resident = residentBytes(running.pid)
      most = max(most, resident)
      if early == 0, VideoFiles.lineCount(output) >= 6000 { early = most }
      return false
    }
    #expect(await running.ended() == 0, "\(running.errors)")
    let records = try VideoFiles.records(output)
    #expect(records.map(\.frame) == Array(0..<36_000))
    #expect(records.last?.pts == 35_999 && records.allSatisfy { $0.text != nil })
    let asked = records.count { $0.repeats == nil }
    #expect((10...100).contains(asked), "\(asked) of 36000 were asked about")
    #expect(early > 0 && most - early < 16 << 20, "\(early) \(most)")
  }

  private func residentBytes(_ process: Int32) -> Int {
    let text = try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8)
    return (text?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
  }
}
