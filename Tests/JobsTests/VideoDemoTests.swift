import Checkpoints
import Foundation
import Messaging
import PaliGemma
import Pipelining
import Testing
import Tokenization
import VideoFrames

@testable import Jobs

/// The shipped film, asked about by the shipped model.
@Suite(.serialized) struct VideoDemoTests {
  private static let model = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "cluster/demo/model")

  private func demo() async throws -> (EngineAnswerService, LocalEngine) {
    let config = try ModelConfig(directory: Self.model.path())
    let engine = try await LocalEngine.start(
      config: config, checkpoint: try Checkpoint(directory: Self.model.path()),
      plan: try PipelinePlan.even(stageCount: 1, config: config))
    let service = EngineAnswerService(engine: engine, tokenizer: try Tokenizer(folder: Self.model))
    return (service, engine)
  }

  @Test("Each answer is about the frame of its timestamp")
  func content() async throws {
    let (service, engine) = try await demo()
    let (records, _, _) = try await VideoClips.records(VideoClips.shapes, service) {
      $0.prompt = "detect red circle"
      $0.feed.sampling = .everyFrames(5)
    }
    try expectTrue(records)
    await engine.stopAndWait()
  }

  /// Each fifth frame has an answer, and that says where its circle is.
  private func expectTrue(_ records: [VideoRecord]) throws {
    let truth = try VideoClips.truth()
    #expect(records.map(\.frame) == Array(stride(from: 0, to: 80, by: 5)))
    for record in records {
      let there = truth[record.frame]
      #expect(abs(record.pts.seconds - there.pts) < 1e-6)
      let answer = try #require(record.answer)
      let circle = there.items.first { $0.kind == "circle" }
      guard let circle else {
        #expect(answer.boxes.isEmpty, "frame \(record.frame): \(answer.text)")
        continue
      }
      let box = try #require(answer.boxes.first, "frame \(record.frame): \(answer.text)")
      for (found, real) in zip([box.x1, box.y1, box.x2, box.y2], circle.xyxy) {
        #expect(abs(found - real) < 16, "frame \(record.frame): \(found) is not \(real)")
      }
    }
  }

  @Test("A telephone's film, stored on its side: frames, boxes and sizes are upright")
  func upright() async throws {
    let folder = try TemporaryFolder()
    let (service, engine) = try await demo()
    try await VideoClips.ffmpeg([
      "-i", VideoClips.shapes, "-vf", "pad=240:224,transpose=clock", "-c:v", "libx264", "-crf",
      "8",
      folder.path("side.mp4"),
    ])
    try await VideoClips.ffmpeg([
      "-i", folder.path("side.mp4"), "-c", "copy", "-metadata:s:v:0", "rotate=90",
      folder.path("phone.mp4"),
    ])
    let (records, _, _) = try await VideoClips.records(folder.path("phone.mp4"), service) {
      $0.prompt = "detect red circle"
      $0.feed.sampling = .everyFrames(5)
    }
    try expectTrue(records)
    #expect(
      records.allSatisfy { $0.answer?.imageSizes == [ImageSize(width: 240, height: 224)] })
    await engine.stopAndWait()
  }

  @Test("Frames shrunk before they are sent have the answers of whole ones, to the last digit")
  func shrunk() async throws {
    let (service, engine) = try await demo()
    let folder = try TemporaryFolder()
    try await VideoClips.ffmpeg([
      "-i", VideoClips.shapes, "-vf", "scale=642:358", "-c:v", "libx264", folder.path("wide.mp4"),
    ])
    for mode in [VideoSessionOptions.Mode.frame, .clip(count: 3, stride: 2)] {
      var runs: [[String]] = []
      for side in [nil, service.preparation.config.vision.imageSide] {
        let (records, _, _) = try await VideoClips.records(folder.path("wide.mp4"), service) {
          $0.prompt = "detect red circle"
          $0.feed.sampling = .everyFrames(8)
          $0.mode = mode
          $0.pictureSide = side
        }
        #expect(
          records.compactMap(\.answer).allSatisfy {
            $0.imageSizes.first == ImageSize(width: 642, height: 358)
          })
        runs.append(
          records.map { record in
            var record = record
            record.latency = nil
            return record.json.line
          })
      }
      #expect(runs[0] == runs[1] && runs[0].count == 10)
      #expect(mode != .frame || runs[0].contains { $0.contains("xyxy") })
    }
    await engine.stopAndWait()
  }

  @Test(
    "A greedy session takes its turns and no more: the other isn't starved", .timeLimit(.minutes(3))
  )
  func fairShare() async throws {
    let folder = try TemporaryFolder()
    let (service, engine) = try await demo()
    let greedy = try await VideoClips.pattern("greedy.mp4", seconds: 80, rate: 25, in: folder)
    let modest = try await VideoClips.pattern("modest.mp4", seconds: 4, in: folder)
    var options = VideoSessionOptions(prompt: "caption en", source: try VideoSource(greedy))
    options.feed.sampling = .all
    options.feed.bufferedFrameCount = 256
    options.window = 256
    let session = try VideoSession(try VideoSource(greedy), options: options, service: service)
    let task = Task { try await session.run { _, _ in } }
    while session.status.answered < 32 { try await Task.sleep(for: .milliseconds(5)) }
    let before = session.status.answered
    let (records, _, _) = try await VideoClips.records(modest, service) { $0.feed.sampling = .all }
    let meanwhile = session.status.answered - before
    task.cancel()
    _ = try await task.value
    #expect(records.count == 40 && records.allSatisfy { $0.answer != nil })
    // Served in the order they came, 256 to 8, it would be 1280.
    #expect(meanwhile < 400, "\(meanwhile) beside 40")
    await engine.stopAndWait()
  }

  @Test("Overlapping clips encode each frame once")
  func clips() async throws {
    let (service, engine) = try await demo()
    let (records, _, _) = try await VideoClips.records(VideoClips.shapes, service) {
      $0.feed.sampling = .everyFrames(10)
      $0.mode = .clip(count: 4, stride: 2)
      $0.pictureSide = service.preparation.config.vision.imageSide
      $0.sampling.maximumTokens = 4
    }
    #expect(records.count == 8)
    #expect(records.compactMap(\.clip).count == 3)
    #expect(records.allSatisfy { if case .failed = $0.outcome { false } else { true } })
    let stage = try #require(engine.telemetry.status.stages.first)
    // Twelve pictures went in, eight of them different.
    #expect(stage.counters.visionCacheMisses == 8)
    #expect(stage.counters.visionCacheHits == 4)
    await engine.stopAndWait()
  }
}
