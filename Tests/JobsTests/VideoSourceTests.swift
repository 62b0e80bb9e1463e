import Foundation
import Imaging
import Messaging
import Synchronization
import Testing
import VideoFrames

@testable import Jobs

/// Videos that are damaged, odd or hostile, under a whole session: what there is has its records, and what is wrong is said.
@Suite struct VideoSourceTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A session over `path` to its end: one record a frame, in order.
  private func answered(_ path: String) async throws -> (
    records: [VideoRecord], status: VideoSessionStatus, error: VideoError?
  ) {
    let (records, session, end) = try await VideoClips.records(path, FakeService()) {
      $0.feed.sampling = .all
    }
    #expect(records.map(\.frame) == Array(0..<records.count))
    #expect(zip(records, records.dropFirst()).allSatisfy { $0.pts < $1.pts })
    #expect(session.status.state == end && session.status.states.first == .connecting)
    let error: VideoError? = if case .failed(let error) = end { error } else { nil }
    #expect(error.map { !$0.cause.isEmpty && !$0.remedy.isEmpty } ?? true)
    return (records, session.status, error)
  }

  private func write(_ bytes: Data, _ name: String) throws -> String {
    try bytes.write(to: URL(filePath: folder.path(name)))
    return folder.path(name)
  }

  private func copy(_ path: String, _ name: String, _ options: [String]) async throws -> String {
    try await VideoClips.ffmpeg(["-i", path] + options + [folder.path(name)])
    return folder.path(name)
  }

  @Test(
    "No bytes, no video, no frames, half an index: a failure with cause and remedy, and no record")
  func nothingToRead() async throws {
    let film = try await VideoClips.pattern("a.mp4", seconds: 3, in: folder)
    let bytes = try Data(contentsOf: URL(filePath: film))
    do {
      _ = try await answered(write(Data(), "zero.mp4"))
      Issue.record("a file without bytes was taken")
    } catch let error as VideoError { #expect(error.code == .empty) }
    try await VideoClips.ffmpeg(["-f", "lavfi", "-i", "sine=d=1", folder.path("sound.mka")])
    // Frames behind the file's end: a container with a track and nothing in it.
    let hollow = try await copy(film, "hollow.mkv", ["-c", "copy", "-ss", "100"])
    for (path, codes) in [
      (try write(bytes.prefix(bytes.count / 2), "cut.mp4"), [VideoError.Code.unreadable]),
      (try write(Data("only words".utf8), "words.mp4"), [.unreadable]),
      (folder.path("sound.mka"), [.noVideo]), (hollow, [.empty, .unreadable]),
    ] {
      let (records, status, error) = try await answered(path)
      #expect(records.isEmpty && status.records == 0, "\(path)")
      #expect(error.map { codes.contains($0.code) } == true, "\(path): \(status.state)")
    }
  }

  @Test("A video of 16384 x 16384 pixels is refused before there is memory for it")
  func tooLarge() async throws {
    let path = folder.path("a.avi")
    try await VideoClips.ffmpeg([
      "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=5:duration=1", "-c:v", "mjpeg", path,
    ])
    var bytes = try Data(contentsOf: URL(filePath: path))
    // The size stands in each frame's header (SOF0) and in the container's (BITMAPINFOHEADER).
    var at = bytes.startIndex
    while let place = bytes[at...].firstRange(of: Data([0xFF, 0xC0, 0x00, 0x11, 0x08])) {
      bytes.replaceSubrange(place.upperBound..<(place.upperBound + 4), with: [0x40, 0, 0x40, 0])
      at = place.upperBound
    }
    let sides = Data([96, 0, 0, 0, 64, 0, 0, 0])
    while let place = bytes.firstRange(of: sides) {
      bytes.replaceSubrange(place, with: [0, 0x40, 0, 0, 0, 0x40, 0, 0])
    }
    let (records, status, error) = try await answered(write(bytes, "huge.avi"))
    #expect(records.isEmpty, "\(records.count)")
    #expect(error?.code == .tooLarge, "\(status.state) \(status.notices)")
  }

  @Test("Damaged and cut off: what can be read has its records, the rest is said")
  func damaged() async throws {
    let film = try await VideoClips.pattern("a.mkv", seconds: 10, in: folder)
    var bytes = try Data(contentsOf: URL(filePath: film))
    let half = try await answered(write(bytes.prefix(bytes.count / 2), "half.mkv"))
    #expect((20..<90).contains(half.records.count) && half.records.allSatisfy { $0.answer != nil })
    let other = try await VideoClips.pattern("a.mp4", seconds: 10, in: folder)
    bytes = try Data(contentsOf: URL(filePath: other))
    for at in stride(from: bytes.count / 3, to: bytes.count / 3 + 300, by: 3) { bytes[at] ^= 0x5a }
    let corrupt = try await answered(write(bytes, "corrupt.mp4"))
    #expect(corrupt.records.count > 50)
    #expect(corrupt.status.notices.contains { $0.hasPrefix("the decoder says") })
  }

  @Test("Variable rates keep their times, missing times are estimated, sizes may change")
  func odd() async throws {
    let film = try await VideoClips.pattern("a.mp4", seconds: 3, in: folder)
    let uneven = try await copy(
      film, "uneven.mkv",
      [
        "-vf", "settb=1/1000,setpts=N*N+40*N", "-fps_mode", "passthrough", "-enc_time_base",
        "1/1000",
      ])
    let (records, _, _) = try await answered(uneven)
    #expect(records.count == 30)
    for (index, record) in records.enumerated() {
      #expect(record.pts == MediaTime(nanoseconds: Int64(index * index + 40 * index) * 1_000_000))
    }
    let timeless = try await copy(film, "raw.h264", ["-c", "copy"])
    #expect(try await answered(timeless).records.count == 30)
    let codec = ["-c:v", "libx264", "-pix_fmt", "yuv420p"]
    let small = try await copy(film, "s.ts", codec)
    let large = try await copy(
      film, "l.ts", ["-vf", "scale=192:128", "-output_ts_offset", "4"] + codec)
    var bytes = try Data(contentsOf: URL(filePath: small))
    bytes.append(try Data(contentsOf: URL(filePath: large)))
    let joined = try await answered(write(bytes, "joined.ts"))
    #expect(joined.records.count == 60)
    #expect(joined.status.notices.contains("frames are 192 x 128 from frame 30 on"))
  }

  @Test("Priority and job of a session go with every question; each session is a job of its own")
  func handling() async throws {
    let film = try await VideoClips.pattern("a.mp4", seconds: 1, in: folder)
    var jobs: [String] = []
    for priority in [Handling.Priority.interactive, .batch] {
      let handlings = Mutex<[Handling]>([])
      let service = FakeService(delay: { request in
        handlings.withLock { $0.append(request.handling) }
        return .zero
      })
      _ = try await VideoClips.records(film, service) { $0.priority = priority }
      let all = handlings.withLock { $0 }
      #expect(all.count == 10 && all.allSatisfy { $0.priority == priority })
      #expect(Set(all.map(\.job)).count == 1)
      jobs.append(all[0].job)
    }
    #expect(jobs[0] != jobs[1] && !jobs.contains(""))
    // A live source overtakes batch work unless told otherwise; a file doesn't.
    for (text, priority) in [("udp://127.0.0.1:9", Handling.Priority.interactive), (film, .batch)] {
      let options = VideoSessionOptions(prompt: "x", source: try VideoSource(text))
      #expect(options.priority == priority)
    }
  }
}
