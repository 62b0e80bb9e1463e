import Foundation
import Imaging
import Testing

@testable import VideoFrames

/// What the decoder is told, and what its times become.
@Suite struct DecoderTests {
  private func arguments(_ text: String) throws -> [String] {
    DecoderCommand(
      source: try VideoSource(text), sampling: .all, start: .beginning, after: nil,
      options: FeedOptions(), tags: ["showinfo@a", "showinfo@b"]
    ).arguments
  }

  /// The value that follows an option in front of the input.
  private func value(_ name: String, _ arguments: [String]) -> String? {
    let input = arguments.prefix { $0 != "-i" }
    return input.firstIndex(of: name).map { arguments[$0 + 1] }
  }

  @Test func camerasOfThisMachine() throws {
    for device in ["/dev/video0", "/dev/video12"] {
      let source = try VideoSource(device)
      #expect(source.kind == .device && source.isLive && source.name == device)
      let arguments = try arguments(device)
      #expect(value("-f", arguments) == "video4linux2")
      #expect(value("-protocol_whitelist", arguments) == "file")
      #expect(value("-i", arguments + ["-i"]) == nil && arguments.contains(device))
      #expect(arguments.firstIndex(of: "-i").map { arguments[$0 + 1] } == device)
    }
    #expect(try VideoSource("/dev/video0x").kind == .file)
    do {
      _ = try VideoFeed(VideoSource("/dev/video63"))
      Issue.record("there is no such camera")
    } catch {
      #expect(error.code == .notFound && error.cause.contains("/dev/video63"))
      #expect(error.remedy.contains("v4l2-ctl"))
    }
  }

  /// The real decoder takes these arguments: what it says is about the device, not about them.
  @Test func aDeviceThatIsNoCamera() throws {
    var arguments = try arguments("/dev/video0")
    let place = try #require(arguments.firstIndex(of: "/dev/video0"))
    arguments[place] = "/dev/null"
    var child = try ChildProcess(try ChildProcess.find("ffmpeg"), arguments)
    #expect(child.wait(grace: .seconds(30)) == .code(1))
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(child.errors, &bytes, bytes.count)
    let said = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    #expect(said.contains("video4linux2") || said.contains("ioctl"), "\(said)")
  }

  @Test func eachKindOpensItsOwnAndNothingElse() throws {
    for (text, protocols) in [
      ("film.mp4", "file"), ("-", "pipe"), ("udp://h:1", "udp"), ("tcp://h:1", "tcp"),
      ("rtsp://h/x", "rtp,udp,tcp"), ("http://h/x", "http,tcp"),
      ("https://h/x", "https,http,tls,tcp"), ("rtmp://h/x/y", "rtmp,tcp"),
    ] {
      let arguments = try arguments(text)
      #expect(value("-protocol_whitelist", arguments) == protocols, "\(text)")
      #expect(value("-max_pixels", arguments) == "100000000")
      #expect(value("-format_whitelist", arguments)?.contains("concat") == false)
      // Nothing that was typed is an option, or a part of one.
      let input = try #require(arguments.firstIndex(of: "-i"))
      #expect(
        arguments.enumerated().allSatisfy { $0 == input + 1 || !$1.contains(text) || text == "-" })
    }
    #expect(value("-rtsp_transport", try arguments("rtsp://h/x")) == "tcp")
    #expect(value("-max_redirects", try arguments("http://h/x")) == "0")
  }

  private let step = MediaTime(nanoseconds: 40_000_000)

  private func milliseconds(_ count: Int64) -> MediaTime {
    MediaTime(nanoseconds: count * 1_000_000)
  }

  @Test func missingAndDisorderedTimesAreEstimatedAndTold() {
    var clock = FeedClock()
    let raw: [MediaTime?] = [
      milliseconds(0), nil, nil, milliseconds(200), milliseconds(160), milliseconds(240),
    ]
    let readings = raw.enumerated().map { clock.read($1, frame: $0, duration: step) }
    #expect(readings.map(\.pts) == [0, 40, 80, 200, 201, 240].map(milliseconds))
    #expect(readings.map(\.isEstimated) == [false, true, true, false, true, false])
    // Once for each stretch of them.
    #expect(
      readings.compactMap(\.notice) == [
        .timestampsEstimated(frame: 1), .timestampsEstimated(frame: 4),
      ])
  }

  @Test func aClockThatBeginsAnewGoesOn() {
    var clock = FeedClock()
    _ = clock.read(milliseconds(90_000), frame: 0, duration: step)
    // More than disorder: the source began again.
    let second = clock.read(milliseconds(0), frame: 1, duration: step)
    #expect(second.pts == milliseconds(90_040) && !second.isEstimated)
    #expect(second.notice == .clockShifted(frame: 1, by: milliseconds(90_040)))
    #expect(clock.read(milliseconds(40), frame: 2, duration: step).pts == milliseconds(90_080))
    // After a reconnection it goes on by the pause.
    clock.reconnected(after: .seconds(5))
    let back = clock.read(milliseconds(0), frame: 3, duration: step)
    #expect(back.pts == milliseconds(95_080))
    // A source whose clock went on keeps its times.
    clock.reconnected(after: .seconds(5))
    let kept = clock.read(milliseconds(6000), frame: 4, duration: step)
    #expect(kept.notice == nil && kept.pts == milliseconds(6000) + clock.shift)
  }

  /// The blocks' number in a picture that was turned counterclockwise.
  private func numberTurned(_ picture: Picture) -> Int {
    (0..<16).reduce(0) { sum, bit in
      // The block's middle as it was drawn, in a picture of 64 x 48.
      let (x, y) = ((2 * (bit % 4) + 1) * 8, (2 * (bit / 4) + 1) * 6)
      return picture.rgb[3 * ((63 - x) * picture.width + y)] > 128 ? sum | 1 << bit : sum
    }
  }

  @Test func filmsStoredOnTheirSideComeUpright() async throws {
    let clips = try Clips()
    let path = try clips.encode("p.mp4", count: 12)
    let turned = clips.path("turned.mp4")
    try Clips.run(
      "ffmpeg",
      ["-loglevel", "error", "-i", path, "-c", "copy", "-metadata:s:v:0", "rotate=90", turned])
    let heard = try await Heard.file(turned)
    #expect(heard.frames.allSatisfy { $0.picture.width == 48 && $0.picture.height == 64 })
    #expect(heard.frames.map { numberTurned($0.picture) } == Array(0..<12))
    // Choosing in the decoder, too.
    let some = try await Heard.file(turned) { $0.sampling = .everyFrames(5) }
    #expect(some.frames.map { numberTurned($0.picture) } == [0, 5, 10])
    #expect(some.numbers == [0, 5, 10])
  }
}
