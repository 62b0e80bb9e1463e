import Foundation
import Messaging
import Synchronization
import Testing
import VideoFrames

@testable import Jobs

@Suite struct VideoSessionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Every frame of 0..<count once, in order of frame and time.
  private func expectWhole(_ records: [VideoRecord], _ count: Int) {
    #expect(records.map(\.frame) == Array(0..<count))
    #expect(zip(records, records.dropFirst()).allSatisfy { $0.pts < $1.pts })
  }

  @Test("Answers that come in any order leave in order of time, one record a frame")
  func ordering() async throws {
    let path = try await VideoClips.pattern("a.mp4", seconds: 4, in: folder)
    let service = FakeService(delay: { request in
      // The order of frames in reverse within each window.
      let number = Int(request.images[0].name.split(separator: " ").last ?? "0") ?? 0
      return .milliseconds(5 * (7 - number % 8))
    })
    let (records, session, end) = try await VideoClips.records(path, service)
    expectWhole(records, 40)
    #expect(end == .ended(.complete))
    #expect(records.allSatisfy { $0.answer?.text == "caption en" && $0.latency != nil })
    let most = service.counts.withLock { $0.most }
    #expect(most > 1 && most <= session.options.window)
    #expect(session.status.answered == 40)
  }

  @Test("A frame that fails is one record with its error; the others are answered")
  func failing() async throws {
    let path = try await VideoClips.pattern("a.mp4", seconds: 2, in: folder)
    let service = FakeService(failure: { request, _ in
      request.images[0].name == "frame 7"
        ? Failure(code: "image_broken", message: "for a test") : nil
    })
    let (records, session, _) = try await VideoClips.records(path, service)
    expectWhole(records, 20)
    #expect(records[7].json.line.contains(#""error":{"code":"image_broken""#))
    #expect(records.count { $0.answer != nil } == 19)
    #expect(session.status.failed == ["image_broken": 1])
  }

  @Test("A worker that is lost and comes back costs a file no frame")
  func losing() async throws {
    let path = try await VideoClips.pattern("a.mp4", seconds: 2, in: folder)
    let service = FakeService(failure: { _, call in
      (5...8).contains(call) ? Failure(code: "worker_lost", message: "for a test") : nil
    })
    let (records, _, _) = try await VideoClips.records(path, service)
    expectWhole(records, 20)
    #expect(records.allSatisfy { $0.answer != nil })
  }

  @Test("Without patience each lost frame is one record with an error")
  func losingLive() async throws {
    let path = try await VideoClips.pattern("a.mp4", seconds: 2, in: folder)
    let service = FakeService(failure: { _, call in
      (5...8).contains(call) ? Failure(code: "worker_lost", message: "for a test") : nil
    })
    let (records, session, _) = try await VideoClips.records(path, service) { $0.patience = .zero }
    expectWhole(records, 20)
    #expect(session.status.failed == ["worker_lost": 4])
  }

  @Test("Frames that look alike repeat the last answer, and the saved share is told")
  func repeats() async throws {
    // One second of movement, then it stands still.
    let path = try await VideoClips.pattern(
      "a.mp4", seconds: 1, filter: "tpad=stop_mode=clone:stop=30", in: folder)
    let service = FakeService()
    let (records, session, _) = try await VideoClips.records(path, service) {
      $0.feed.duplicates = .standard
    }
    expectWhole(records, 40)
    let asked = service.counts.withLock { $0.total }
    #expect(asked >= 1 && asked <= 12, "\(asked) of 40 frames were asked about")
    #expect(session.status.repeated == 40 - asked)
    #expect(session.status.savedShare > 0.6)
    let last = try #require(records.last)
    guard case .repeated(let frame, _) = last.outcome else {
      Issue.record("the last frame is no repeat: \(last)")
      return
    }
    #expect(records[frame].answer != nil && last.json.line.contains(#""repeats":\#(frame)"#))
  }

  @Test("A frame whose reference has no answer is asked about itself")
  func repeatsOfFailures() async throws {
    let path = try await VideoClips.pattern(
      "a.mp4", seconds: 1, filter: "trim=end_frame=1,tpad=stop_mode=clone:stop=29", in: folder)
    let service = FakeService(failure: { _, call in
      call == 1 ? Failure(code: "image_broken", message: "for a test") : nil
    })
    let (records, _, _) = try await VideoClips.records(path, service) {
      $0.feed.duplicates = .standard
      $0.window = 1
    }
    expectWhole(records, 30)
    #expect(records.last?.answer != nil)
    #expect(service.counts.withLock { $0.total } == 2)
  }

  @Test("A slow source doesn't hold up the others")
  func sideBySide() async throws {
    let path = try await VideoClips.pattern("a.mp4", seconds: 3, in: folder)
    let slow = try await VideoClips.pattern("slow.mp4", seconds: 3, in: folder)
    let release = Mutex(false)
    let service = FakeService(delay: { request in
      request.prompt == "slow" && !release.withLock { $0 } ? .milliseconds(300) : .milliseconds(1)
    })
    async let slowRun = VideoClips.records(slow, service) {
      $0.prompt = "slow"
      $0.window = 1
    }
    let (records, _, _) = try await VideoClips.records(path, service)
    expectWhole(records, 30)
    release.withLock { $0 = true }
    let other = try await slowRun
    expectWhole(other.records, 30)
  }

  @Test("Too late is dropped as stale, with one record each, and what is answered is in time")
  func stale() async throws {
    let path = try await VideoClips.pattern("a.mp4", seconds: 4, in: folder)
    let service = FakeService(delay: { _ in .milliseconds(500) })
    // Where other tests hold the pool's threads for seconds, everything may be too late.
    var isAnswered = false
    for _ in 0..<10 where !isAnswered {
      let (records, session, _) = try await VideoClips.records(path, service) {
        $0.feed.policy = .staleness(budget: .seconds(3))
        $0.budget = .seconds(3)
        $0.window = 1
      }
      expectWhole(records, 40)
      #expect(session.status.dropped.values.reduce(0, +) > 0)
      isAnswered = records.contains { $0.answer != nil }
    }
    #expect(isAnswered)
  }

  @Test("Clips overlap, each frame has one record, and the rest at the end is asked about")
  func clips() async throws {
    let path = try await VideoClips.pattern("a.mp4", seconds: 1, in: folder)
    let service = FakeService()
    let (records, session, _) = try await VideoClips.records(path, service) {
      $0.mode = .clip(count: 4, stride: 2)
    }
    expectWhole(records, 10)
    let clips = records.compactMap(\.clip)
    #expect(clips.map(\.frames) == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]])
    #expect(session.status.collected == 6)
    #expect(records[4].json.line.contains(#""text":null"#))
    let (short, _, _) = try await VideoClips.records(path, service) {
      $0.mode = .clip(count: 16, stride: 8)
    }
    expectWhole(short, 10)
    #expect(short.compactMap(\.clip).map(\.frames) == [Array(0..<10)])
  }

  @Test("Cancelling a file's session leaves no record of what was under way")
  func cancelling() async throws {
    let path = try await VideoClips.pattern("a.mp4", seconds: 40, in: folder)
    let service = FakeService(delay: { _ in .milliseconds(50) })
    let source = try VideoSource(path)
    let options = VideoSessionOptions(prompt: "caption en", source: source)
    let session = try VideoSession(source, options: options, service: service)
    let records = Mutex<[VideoRecord]>([])
    let task = Task {
      try await session.run { record, _ in records.withLock { $0.append(record) } }
    }
    while records.withLock({ $0.count }) < 3 { try await Task.sleep(for: .milliseconds(5)) }
    task.cancel()
    #expect(try await task.value == .ended(.cancelled))
    let written = records.withLock { $0 }
    #expect(written.map(\.frame) == Array(0..<written.count) && written.count < 400)
    #expect(written.allSatisfy { $0.answer != nil })
  }
}
