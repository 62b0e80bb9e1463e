import Foundation
import Imaging
import Testing
import VideoFrames

/// Subtitles and annotated video.
@Suite struct WriterTests {
  private func text(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  @Test func webVTT() throws {
    let clips = try Clips()
    let path = clips.path("a.vtt")
    let writer = try SubtitleWriter(path: path)
    try writer.append(at: .zero, text: "a <b> & c --> d\n\nnext")
    try writer.append(at: MediaTime(seconds: 1.5), text: "two")
    try writer.append(at: MediaTime(seconds: 2), text: "two")
    try writer.append(at: MediaTime(seconds: 1), text: "late")
    try writer.finish(at: MediaTime(seconds: 4))
    #expect(
      try text(path) == """
        WEBVTT

        1
        00:00:00.000 --> 00:00:01.500
        a &lt;b&gt; &amp; c --&gt; d
        next

        2
        00:00:01.500 --> 00:00:01.501
        two

        3
        00:00:01.501 --> 00:00:04.000
        late


        """)
  }

  @Test func subRip() throws {
    let clips = try Clips()
    let path = clips.path("a.srt")
    try "what was there before".write(toFile: path, atomically: true, encoding: .utf8)
    let writer = try SubtitleWriter(path: path)
    try writer.append(at: MediaTime(seconds: 3600), text: "<i>one {\\an8}")
    try writer.append(at: MediaTime(seconds: 3602), text: "two")
    try writer.finish()
    #expect(
      try text(path) == """
        1
        01:00:00,000 --> 01:00:02,000
        ‹i›one { \\an8}

        2
        01:00:02,000 --> 01:00:12,000
        two


        """)
  }

  @Test(arguments: ["o.mp4", "o.mkv", "o.webm"]) func annotatedVideo(_ name: String) async throws {
    let clips = try Clips()
    let path = clips.path(name)
    let writer = try AnnotatedVideoWriter(path: path)
    let timeBase = try #require(TimeBase(1, 12_800))
    var times: [MediaTime] = []
    for (index, ticks) in [0, 640, 12_800, 13_440, 64_000].enumerated() {
      let time = try #require(MediaTime(ticks: Int64(ticks), timeBase: timeBase))
      times.append(time)
      let picture = try Picture(
        width: 128, height: 96, rgb: Clips.pixels(0b1000_0000_0000_0000 + index, scale: 2))
      let box = LabelledBox(label: "", left: 4, top: 4, right: 28, bottom: 20)
      try await writer.append(
        picture, at: time, timeBase: timeBase, boxes: [box], caption: "frame \(index)")
    }
    #expect(!FileManager.default.fileExists(atPath: path))
    try await writer.finish(at: MediaTime(seconds: 6))
    let probed = try Clips.probedTimes(path)
    #expect(probed == times + (name == "o.mp4" ? [] : [MediaTime(seconds: 6)]))
    #expect(
      try Clips.run(
        "ffprobe", ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path]
      ).hasPrefix("6.0"))
    let heard = try await Heard.file(path)
    let first = try #require(heard.frames.first?.picture)
    #expect(first.width == 128 && first.height > 96 && first.height % 2 == 0)
    // The square that is drawn, and a block that was there.
    #expect(Clips.number(try cropped(first)) >> 15 == 1)
    let edge = 3 * (4 * first.width + 16)
    #expect(Set(first.rgb[edge..<(edge + 3)].map { $0 / 64 }).count > 1)
    #expect(try FileManager.default.contentsOfDirectory(atPath: clips.folder.path()) == [name])
  }

  private func cropped(_ picture: Picture) throws -> Picture {
    try Picture(width: 128, height: 96, rgb: Array(picture.rgb.prefix(3 * 128 * 96)))
  }

  @Test func anEncoderThatIsNoneIsSaid() async throws {
    let clips = try Clips()
    var options = AnnotationOptions()
    options.encoder = "/bin/false"
    let writer = try AnnotatedVideoWriter(path: clips.path("x.mp4"), options: options)
    let picture = try Picture(width: 64, height: 48, rgb: Clips.pixels(1))
    do {
      for k in 0..<200 {
        try await writer.append(
          picture, at: MediaTime(seconds: Double(k)), timeBase: .microsecond, boxes: [],
          caption: nil)
      }
      Issue.record("frames went nowhere")
    } catch { #expect(error.code == .encoderDied) }
    await writer.cancel()
    #expect(try FileManager.default.contentsOfDirectory(atPath: clips.folder.path()).isEmpty)
  }
}
