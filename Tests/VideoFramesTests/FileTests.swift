import Foundation
import Imaging
import Testing
import VideoFrames

/// Files: every frame with its own content and the container's own time.
@Suite struct FileTests {
  static let codecs: [(String, [String])] = [
    ("a.mp4", ["-c:v", "libx264", "-g", "10", "-bf", "2", "-pix_fmt", "yuv420p"]),
    ("a.mkv", ["-c:v", "libx264", "-g", "10", "-pix_fmt", "yuv420p"]),
    ("a.ts", ["-c:v", "libx264", "-g", "10", "-bf", "2", "-pix_fmt", "yuv420p"]),
    ("a.webm", ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10"]),
    ("a.avi", ["-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"]),
  ]

  @Test(arguments: codecs.indices) func contentsAndTimes(_ index: Int) async throws {
    let clips = try Clips()
    let (name, codec) = Self.codecs[index]
    let path = try clips.encode(name, count: 40, codec: codec)
    let heard = try await Heard.file(path)
    #expect(heard.contents == Array(0..<40))
    #expect(heard.numbers == Array(0..<40))
    #expect(try heard.frames.map(\.pts) == Clips.probedTimes(path))
    #expect(heard.frames.allSatisfy { !$0.isTimestampEstimated })
    #expect(heard.frames[0].isKeyFrame && heard.frames[10].isKeyFrame)
    #expect(heard.states.map(\.name) == ["connecting", "live", "ended"])
    #expect(heard.drops.isEmpty && heard.notices.isEmpty, "\(heard.notices)")
  }

  @Test func variableFrameRate() async throws {
    let clips = try Clips()
    let path = try clips.encode(
      "v.mkv", count: 30, codec: ["-c:v", "libx264", "-enc_time_base", "1/1000"],
      filter: "settb=1/1000,setpts=N*N+40*N")
    let heard = try await Heard.file(path)
    #expect(heard.contents == Array(0..<30))
    #expect(try heard.frames.map(\.pts) == Clips.probedTimes(path))
    #expect(Set(zip(heard.frames.dropFirst(), heard.frames).map { $0.pts - $1.pts }).count > 10)
  }

  @Test func strangeNames() async throws {
    let clips = try Clips()
    let path = try clips.encode("plain.mkv", count: 3)
    for name in ["-i.mkv", "a:b.mkv", "http:x%20%d.mkv", "concat:a|b.mkv", "ä '\"$(x)`;.mkv"] {
      let strange = clips.path(name)
      try FileManager.default.copyItem(atPath: path, toPath: strange)
      #expect(try await Heard.file(strange).contents == [0, 1, 2], "\(name)")
    }
  }

  @Test func resumedAfterAnyFrame() async throws {
    let clips = try Clips()
    for name in ["r.mp4", "r.ts", "r.mkv"] {
      let path = try clips.encode(name, count: 120, codec: Self.codecs[0].1)
      let whole = try await Heard.file(path)
      for last in [0, 49, 60, 77, 118] {
        let point = ResumePoint(frame: last, pts: whole.frames[last].pts)
        let rest = try await Heard.file(path) { $0.resumeAfter = point }
        #expect(rest.numbers == Array((last + 1)..<120), "\(name) \(last)")
        #expect(rest.contents == Array((last + 1)..<120), "\(name) \(last)")
        #expect(rest.frames.map(\.pts) == whole.frames.dropFirst(last + 1).map(\.pts))
      }
    }
  }

  @Test func sizeChangesInTheMiddle() async throws {
    let clips = try Clips()
    let codec = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-f", "mpegts"]
    let small = try clips.encode("s.ts", count: 10, codec: codec)
    let large = try clips.encode(
      "l.ts", count: 10, scale: 2, first: 10, codec: codec + ["-output_ts_offset", "1"])
    let joined = clips.path("j.ts")
    var bytes = try Data(contentsOf: URL(filePath: small))
    bytes.append(try Data(contentsOf: URL(filePath: large)))
    try bytes.write(to: URL(filePath: joined))
    let heard = try await Heard.file(joined)
    #expect(heard.contents == Array(0..<20))
    #expect(
      heard.frames.map(\.picture.width) == [Int](repeating: 64, count: 10)
        + [Int](repeating: 128, count: 10))
    #expect(heard.notices.contains(.sizeChanged(frame: 10, width: 128, height: 96)))
    #expect(heard.numbers == Array(0..<20))
  }

  @Test func missingTimestamps() async throws {
    let clips = try Clips()
    let path = try clips.encode("raw.h264", count: 20)
    let heard = try await Heard.file(path)
    #expect(heard.contents == Array(0..<20))
    #expect(zip(heard.frames, heard.frames.dropFirst()).allSatisfy { $0.pts < $1.pts })
  }

  @Test func theDecoderIsKilledAndGoesOn() async throws {
    let clips = try Clips()
    // Large frames: small ones would all be in the pipe, and the decoder gone, before it is killed.
    let path = try clips.encode("k.mp4", count: 200, scale: 4, codec: Self.codecs[0].1)
    var options = FeedOptions()
    options.bufferedFrameCount = 2
    let feed = try VideoFeed(VideoSource(path), options: options)
    var kills = 0
    let heard = try await Heard.all(feed) { event in
      guard case .frame(let frame) = event, frame.number == 50 || frame.number == 120,
        let process = feed.status.decoderProcessID
      else { return }
      kills += kill(process, SIGKILL) == 0 ? 1 : 0
    }
    #expect(kills > 0)
    #expect(heard.contents == Array(0..<200) && heard.numbers == Array(0..<200))
    #expect(heard.states.map(\.name).contains("reconnecting"))
    #expect(heard.notices.contains { if case .resumed = $0 { true } else { false } })
    #expect(heard.states.last == .ended(.complete), "\(heard.states)")
  }

  @Test func brokenFilesSayWhy() async throws {
    let clips = try Clips()
    let whole = try clips.encode("w.mp4", count: 50)
    #expect(throws: VideoError.self) { _ = try VideoFeed(VideoSource(clips.path("none.mp4"))) }
    try Data().write(to: URL(filePath: clips.path("zero.mp4")))
    do {
      _ = try VideoFeed(VideoSource(clips.path("zero.mp4")))
      Issue.record("an empty file was taken")
    } catch { #expect(error.code == .empty) }
    // The index of an MP4 is at its end.
    let bytes = try Data(contentsOf: URL(filePath: whole))
    try bytes.prefix(bytes.count / 2).write(to: URL(filePath: clips.path("cut.mp4")))
    #expect(try await Heard.file(clips.path("cut.mp4")).error?.code == .unreadable)
    try Data("no video at all, only words".utf8).write(to: URL(filePath: clips.path("text.mp4")))
    #expect(try await Heard.file(clips.path("text.mp4")).error?.code == .unreadable)
    try Clips.run(
      "ffmpeg", ["-loglevel", "error", "-f", "lavfi", "-i", "sine=d=1", clips.path("sound.mka")])
    #expect(try await Heard.file(clips.path("sound.mka")).error?.code == .noVideo)
  }

  @Test func whatCanBeReadOfADamagedFileIsRead() async throws {
    let clips = try Clips()
    let path = try clips.encode("d.mkv", count: 100)
    var bytes = try Data(contentsOf: URL(filePath: path))
    try bytes.prefix(bytes.count / 2).write(to: URL(filePath: clips.path("half.mkv")))
    let half = try await Heard.file(clips.path("half.mkv"))
    #expect(half.frames.count > 20 && half.frames.count < 90)
    #expect(zip(half.frames, half.contents).dropLast(2).allSatisfy { $0.number == $1 })
    #expect(half.states.last?.isFinal == true)
    // The index of an MP4 finds the frames behind the damage.
    bytes = try Data(contentsOf: URL(filePath: clips.encode("d.mp4", count: 100)))
    for at in stride(from: bytes.count / 3, to: bytes.count / 3 + 300, by: 3) { bytes[at] ^= 0x5a }
    try bytes.write(to: URL(filePath: clips.path("corrupt.mp4")))
    let corrupt = try await Heard.file(clips.path("corrupt.mp4"))
    #expect(corrupt.frames.count > 50)
    #expect(zip(corrupt.frames, corrupt.frames.dropFirst()).allSatisfy { $0.pts < $1.pts })
    #expect(corrupt.notices.contains { if case .decoderMessage = $0 { true } else { false } })
  }
}
