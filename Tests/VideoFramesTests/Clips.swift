import Foundation
import Imaging
import Testing
import VideoFrames

/// Clips whose content is known frame by frame, made by ffmpeg from frames drawn here.
///
/// Frame `k` of 64 x 48 pixels is dark, but for sixteen blocks of 16 x 12 that are white where bit `b` of `k` is set: no codec blurs that away.
struct Clips: ~Copyable {
  static let width = 64
  static let height = 48
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "video-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func path(_ name: String) -> String { folder.appending(path: name).path(percentEncoded: false) }

  /// The bytes of frame `k`.
  static func pixels(_ k: Int, scale: Int = 1) -> [UInt8] {
    let (width, height) = (width * scale, height * scale)
    var bytes = [UInt8](repeating: 16, count: 3 * width * height)
    for bit in 0..<16 where k >> bit & 1 == 1 {
      let (left, top) = (bit % 4 * 16 * scale, bit / 4 * 12 * scale)
      for y in top..<(top + 12 * scale) {
        let start = 3 * (y * width + left)
        for at in start..<(start + 48 * scale) { bytes[at] = 235 }
      }
    }
    return bytes
  }

  /// Reads the number back.
  static func number(_ picture: Picture) -> Int {
    (0..<16).reduce(0) { sum, bit in
      let x = (2 * (bit % 4) + 1) * picture.width / 8
      let y = (2 * (bit / 4) + 1) * picture.height / 8
      return picture.rgb[3 * (y * picture.width + x)] > 128 ? sum | 1 << bit : sum
    }
  }

  /// Encodes frames `first..<(first + count)` at 25 a second and says where; `codec` is arguments of ffmpeg, `filter` a `setpts` or the like.
  @discardableResult
  func encode(
    _ name: String, count: Int, scale: Int = 1, first: Int = 0,
    codec: [String] = ["-c:v", "libx264", "-g", "10", "-pix_fmt", "yuv420p"],
    filter: String = "null"
  ) throws -> String {
    let raw = path("raw-\(UUID().uuidString)")
    var bytes = Data()
    for k in first..<(first + count) { bytes.append(contentsOf: Self.pixels(k, scale: scale)) }
    try bytes.write(to: URL(filePath: raw))
    let size = "\(Self.width * scale)x\(Self.height * scale)"
    let output = path(name)
    try Self.run(
      "ffmpeg",
      ["-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", "25"]
        + ["-i", "file:" + raw, "-vf", filter, "-fps_mode", "passthrough"] + codec + [
          "file:" + output
        ])
    try FileManager.default.removeItem(atPath: raw)
    return output
  }

  /// Runs a tool and returns what it prints.
  @discardableResult
  static func run(_ tool: String, _ arguments: [String]) throws -> String {
    let process = try start(tool, arguments)
    let text = try (process.standardOutput as? Pipe)?.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(tool) \(arguments)")
    return String(decoding: text, as: UTF8.self)
  }

  static func start(_ tool: String, _ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/" + tool)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = Pipe()
    // Not the test's own: whoever reads that would wait for this process too.
    process.standardError = FileHandle.nullDevice
    try process.run()
    return process
  }

  /// What ffprobe says of each frame's time, in nanoseconds.
  static func probedTimes(_ path: String) throws -> [MediaTime] {
    let fields = ["-v", "error", "-select_streams", "v:0", "-show_entries"]
    let base = try run("ffprobe", fields + ["stream=time_base", "-of", "csv=p=0", "file:" + path])
      .split { "/\n,".contains($0) }.compactMap { Int32($0) }
    let timeBase = try #require(TimeBase(base[0], base[1]))
    return try run("ffprobe", fields + ["frame=pts", "-of", "csv=p=0", "file:" + path])
      .split { "\n,".contains($0) }.compactMap { Int64($0) }
      .compactMap { MediaTime(ticks: $0, timeBase: timeBase) }
  }
}

/// Everything a feed said.
struct Heard {
  var frames: [VideoFrame] = []
  var drops: [FrameDrop] = []
  var states: [FeedState] = []
  var notices: [FeedNotice] = []

  var numbers: [Int] { frames.map(\.number) }
  var contents: [Int] { frames.map { Clips.number($0.picture) } }
  var error: VideoError? { if case .failed(let error) = states.last { error } else { nil } }

  mutating func add(_ event: FeedEvent) {
    switch event {
    case .frame(let frame): frames.append(frame)
    case .drop(let drop): drops.append(drop)
    case .state(let state): states.append(state)
    case .notice(let notice): notices.append(notice)
    }
  }

  /// Listens to the end.
  static func all(_ feed: VideoFeed, _ react: (FeedEvent) async throws -> Void = { _ in })
    async throws -> Heard
  {
    var heard = Heard()
    for await event in feed {
      heard.add(event)
      try await react(event)
    }
    #expect(heard.states.last?.isFinal == true)
    #expect(feed.status.decoderProcessID == nil)
    return heard
  }

  static func file(_ path: String, _ change: (inout FeedOptions) -> Void = { _ in }) async throws
    -> Heard
  {
    var options = FeedOptions()
    change(&options)
    return try await all(VideoFeed(VideoSource(path), options: options))
  }
}
