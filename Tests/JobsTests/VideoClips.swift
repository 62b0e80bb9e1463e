import Foundation
import Imaging
import Testing
import VideoFrames

@testable import Jobs

/// Short films for tests: the demo's, whose content is known frame by frame, and plain ones made on the spot.
enum VideoClips {
  /// What is in one frame of the demo's film.
  struct Truth: Decodable {
    struct Item: Decodable {
      let kind: String
      let colour: String
      let xyxy: [Double]
    }
    let frame: Int
    let pts: Double
    let items: [Item]
  }

  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "cluster/demo/video")
  /// 8 s of moving shapes, ten frames a second.
  static let shapes = folder.appending(path: "shapes.mp4").path(percentEncoded: false)

  static func truth() throws -> [Truth] {
    try String(contentsOf: folder.appending(path: "shapes.jsonl"), encoding: .utf8)
      .split(separator: "\n").map { try JSONDecoder().decode(Truth.self, from: Data($0.utf8)) }
  }

  /// A film of ffmpeg's test pattern, every frame different.
  ///
  /// - Returns: its path.
  static func pattern(
    _ name: String, seconds: Int, rate: Int = 10, filter: String = "null",
    in folder: TemporaryFolder
  ) async throws -> String {
    let path = folder.path(name)
    try await ffmpeg([
      "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=\(rate):duration=\(seconds)", "-vf", filter,
      "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", path,
    ])
    return path
  }

  /// Starts ffmpeg.
  static func start(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["ffmpeg", "-y", "-nostdin", "-loglevel", "error"] + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    return process
  }

  /// Runs ffmpeg to its end.
  static func ffmpeg(_ arguments: [String]) async throws {
    let process = try start(arguments)
    // Not waitUntilExit: it would hold one of the few threads that all tests share.
    while process.isRunning { try await Task.sleep(for: .milliseconds(10)) }
    try #require(process.terminationStatus == 0, "ffmpeg \(arguments.joined(separator: " "))")
  }

  /// Runs a session to its end.
  static func records(
    _ path: String, _ service: any AnswerService,
    _ change: (inout VideoSessionOptions) -> Void = { _ in }
  ) async throws -> (records: [VideoRecord], session: VideoSession, end: FeedState) {
    let source = try VideoSource(path)
    var options = VideoSessionOptions(prompt: "caption en", source: source)
    change(&options)
    let session = try VideoSession(source, options: options, service: service)
    var records: [VideoRecord] = []
    let end = try await session.run { record, _ in records.append(record) }
    return (records, session, end)
  }
}
