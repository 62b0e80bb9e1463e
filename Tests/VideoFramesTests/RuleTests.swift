import Foundation
import Imaging
import Testing
import VideoFrames

/// Sampling, near-duplicates, and full buffers.
@Suite struct RuleTests {
  @Test func rulesAreReadAndWritten() throws {
    for text in ["all", "10", "0.5s", "keyframes", "scene:0.2", "freshest"] {
      #expect(try SamplingRule(text).description == text)
    }
    #expect(try SamplingRule("2/s") == .every(MediaTime(seconds: 0.5)))
    #expect(try SamplingRule("250ms") == .every(MediaTime(seconds: 0.25)))
    for bad in ["", "0", "-1", "0s", "nan/s", "1/0", "scene:2", "x", "1e99s"] {
      #expect(throws: VideoError.self, "\(bad)") { try SamplingRule(bad) }
    }
    for text in ["wait", "oldest", "newest", "stale:0.5s"] {
      #expect(try BufferPolicy(text).description == text)
    }
    #expect(throws: VideoError.self) { try BufferPolicy("stale:x") }
  }

  @Test func everyRuleChoosesItsFrames() async throws {
    let clips = try Clips()
    let path = try clips.encode("s.mp4", count: 60)
    func numbers(_ rule: String) async throws -> [Int] {
      let rule = try SamplingRule(rule)
      let heard = try await Heard.file(path) { $0.sampling = rule }
      #expect(heard.contents == heard.numbers)
      return heard.numbers
    }
    #expect(try await numbers("7") == Array(stride(from: 0, to: 60, by: 7)))
    // 25 frames a second: multiples of 0.3 s are reached by frames 8, 15, 23, 30…
    #expect(try await numbers("0.3s") == [0, 8, 15, 23, 30, 38, 45, 53])
    #expect(try await numbers("5/s") == Array(stride(from: 0, to: 60, by: 5)))
    #expect(try await numbers("keyframes") == [0, 10, 20, 30, 40, 50])
  }

  @Test func resumedRunsChooseTheSame() async throws {
    let clips = try Clips()
    let path = try clips.encode("s.mp4", count: 100)
    for text in ["7", "0.3s", "keyframes"] {
      let rule = try SamplingRule(text)
      let whole = try await Heard.file(path) { $0.sampling = rule }
      let last = whole.frames[whole.frames.count / 2]
      let rest = try await Heard.file(path) {
        $0.sampling = rule
        $0.resumeAfter = ResumePoint(frame: last.number, pts: last.pts)
      }
      #expect(rest.numbers == whole.numbers.filter { $0 > last.number }, "\(text)")
    }
  }

  @Test func scenesAndRepeats() async throws {
    let clips = try Clips()
    // Ten pictures of one kind, ten of another, and ten of the first again.
    for k in 0..<30 {
      let content = (10..<20).contains(k) ? 0xF0F0 : 0x000F
      let picture = try Picture(width: 64, height: 48, rgb: Clips.pixels(content))
      try Data(picture.encodedJPEG(quality: 90 + k % 5)).write(
        to: URL(filePath: clips.path("p\(k).jpg")))
    }
    let scenes = try await Heard.file(clips.folder.path()) { $0.sampling = .sceneChange(0.15) }
    #expect(scenes.numbers == [0, 10, 20])
    var options = FeedOptions()
    options.duplicates = .standard
    options.picturesPerSecond = 4
    let feed = try VideoFeed(VideoSource(clips.path("*.jpg")), options: options)
    let heard = try await Heard.all(feed)
    #expect(heard.numbers == Array(0..<30))
    #expect(heard.frames.map { $0.repeatedFrame ?? $0.number } == (0..<30).map { $0 / 10 * 10 })
    #expect(feed.status.repeatCount == 27 && feed.status.deliveredCount == 30)
    #expect(heard.frames[5].pts == MediaTime(seconds: 1.25))
  }

  @Test func aBrokenPictureIsOneDrop() async throws {
    let clips = try Clips()
    for k in 0..<5 {
      let picture = try Picture(width: 64, height: 48, rgb: Clips.pixels(k))
      let bytes = k == 2 ? [1, 2, 3] : try picture.encodedPNG()
      try Data(bytes).write(to: URL(filePath: clips.path("\(k + 8).png")))
    }
    let heard = try await Heard.file(clips.folder.path())
    #expect(heard.contents == [0, 1, 3, 4] && heard.numbers == [0, 1, 3, 4])
    #expect(heard.drops.map(\.number) == [2] && heard.drops[0].cause.name == "unreadable")
  }

  /// Nothing is asked for until the decoder has ended, so that the buffer is full for certain.
  private func unheard(_ policy: BufferPolicy, _ path: String) async throws -> Heard {
    var options = FeedOptions()
    options.policy = policy
    options.bufferedFrameCount = 3
    let feed = try VideoFeed(VideoSource(path), options: options)
    for _ in 0..<2000 where !feed.status.state.isFinal {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(feed.status.bufferedCount == 3)
    return try await Heard.all(feed)
  }

  @Test func fullBuffersDrop() async throws {
    let clips = try Clips()
    let path = try clips.encode("b.mp4", count: 20)
    let oldest = try await unheard(.dropOldest, path)
    #expect(oldest.numbers == [17, 18, 19])
    #expect(
      oldest.drops.map(\.number) == Array(0..<17) && oldest.drops.allSatisfy { $0.cause == .oldest }
    )
    let newest = try await unheard(.dropNewest, path)
    #expect(newest.numbers == [0, 1, 2])
    #expect(
      newest.drops.map(\.number) == Array(3..<20) && newest.drops.allSatisfy { $0.cause == .newest }
    )
    let stale = try await unheard(.staleness(budget: .nanoseconds(1)), path)
    #expect(stale.numbers.isEmpty && stale.drops.count == 20)
    #expect(stale.drops.suffix(3).allSatisfy { $0.cause.name == "stale" })
  }

  @Test func waitingIsBoundedAndLosesNothing() async throws {
    let clips = try Clips()
    let path = try clips.encode("w.mp4", count: 300)
    var options = FeedOptions()
    options.bufferedFrameCount = 4
    let feed = try VideoFeed(VideoSource(path), options: options)
    try await Task.sleep(for: .seconds(1))
    #expect(feed.status.bufferedCount <= 4)
    let heard = try await Heard.all(feed)
    #expect(heard.numbers == Array(0..<300) && heard.drops.isEmpty)
  }
}
