import Foundation
import Testing

/// Films for `palisade video`, and the records it leaves.
enum VideoFiles {
  struct Record: Decodable {
    struct Failure: Decodable { let code: String }
    struct Box: Decodable, Equatable { let xyxy: [Double] }
    let source: String
    let frame: Int
    let pts: Double
    let text: String?
    let boxes: [Box]
    let dropped: String?
    let repeats: Int?
    let error: Failure?
  }

  /// The demo's film: 8 s of moving shapes, ten frames a second.
  static let shapes = Program.demo + "/video/shapes.mp4"

  static func records(_ path: String) throws -> [Record] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode(Record.self, from: Data($0.utf8))
    }
  }

  static func lineCount(_ path: String) -> Int {
    (FileManager.default.contents(atPath: path) ?? Data()).count { $0 == 10 }
  }

  /// ffmpeg's moving test pattern, every frame different.
  static func film(
    _ path: String, seconds: Int, rate: String = "10", size: String = "96x64",
    filter: String = "null"
  ) async throws -> String {
    try await run(
      "ffmpeg",
      [
        "-y", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i",
        "testsrc2=size=\(size):rate=\(rate):duration=\(seconds)", "-vf", filter, "-c:v", "libx264",
        "-preset", "ultrafast", "-pix_fmt", "yuv420p", path,
      ])
    return path
  }

  /// Runs a tool to its end.
  ///
  /// - Returns: what it printed.
  @discardableResult
  static func run(_ tool: String, _ arguments: [String]) async throws -> String {
    let file = try Program.temporaryFolder().appending(path: "stdout")
    defer { try? FileManager.default.removeItem(at: file.deletingLastPathComponent()) }
    try Data().write(to: file)
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [tool] + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: file)
    try process.run()
    // Not waitUntilExit: it would hold one of the few threads that all tests share.
    while process.isRunning { try await Task.sleep(for: .milliseconds(10)) }
    try #require(process.terminationStatus == 0, "\(tool) \(arguments)")
    return try String(contentsOf: file, encoding: .utf8)
  }
}
