import Foundation
import Messaging
import Synchronization
import Testing
import VideoFrames

@testable import Jobs

/// A live source on this machine: ffmpeg shows a film round and round, until it is killed.
final class Camera: Sendable {
  enum Kind: String, CaseIterable, Sendable { case rtsp, udp, http, rtmp }

  let address: String
  private let kind: Kind
  private let film: String
  private let port: Int
  private let process = Mutex<Process?>(nil)

  init(_ kind: Kind, film: String) throws {
    (self.kind, self.film) = (kind, film)
    port = try Self.freePort(kind == .udp ? SOCK_DGRAM : SOCK_STREAM)
    address = "\(kind.rawValue)://127.0.0.1:\(port)" + (kind == .udp ? "" : "/live/film")
  }

  deinit { stop() }

  /// Shows the film, from its beginning; returns when it can be seen.
  func start() async throws {
    try begin()
    guard kind != .udp else { return }
    // Not by connecting: the one viewer that ffmpeg waits for would be this look.
    let local = String(format: ":%04X 00000000:0000 0A", port)
    let deadline = ContinuousClock.now + .seconds(60)
    while !((try? String(contentsOfFile: "/proc/net/tcp", encoding: .utf8)) ?? "").contains(local) {
      try #require(ContinuousClock.now < deadline, "nobody listens")
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  private func begin() throws {
    let show = ["-re", "-stream_loop", "-1", "-i", film, "-c", "copy"]
    let process: Process
    switch kind {
    case .rtsp:
      let script = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Fixtures/rtsp_camera.py").path(percentEncoded: false)
      process = Process()
      process.executableURL = URL(filePath: "/usr/bin/python3")
      process.arguments = [script, "\(port)", film]
      process.standardInput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
    case .udp:
      process = try VideoClips.start(show + ["-f", "mpegts", address + "?pkt_size=1316"])
    case .http:
      process = try VideoClips.start(show + ["-f", "mpegts", "-listen", "1", address])
    case .rtmp:
      process = try VideoClips.start(show + ["-f", "flv", "-listen", "1", address])
    }
    self.process.withLock { $0 = process }
  }

  /// Pulls the plug.
  func stop() {
    process.withLock { process in
      if let process, process.isRunning { kill(process.processIdentifier, SIGKILL) }
      process = nil
    }
  }

  /// A port nobody listens on, as far as can be known.
  static func freePort(_ type: __socket_type) throws -> Int {
    let descriptor = socket(AF_INET, Int32(type.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    try #require(isBound)
    return Int(UInt16(bigEndian: address.sin_port))
  }
}

/// Live sources, and decoders that fail, under a whole session.
@Suite(.serialized) struct VideoLiveTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A session that runs, and what it has said so far.
  final class Watched: Sendable {
    let session: VideoSession
    private let said = Mutex<(records: [VideoRecord], states: [FeedState])>(([], []))

    init(
      _ text: String, _ service: any AnswerService = FakeService(),
      _ change: (inout VideoSessionOptions) -> Void = { _ in }
    ) throws {
      let source = try VideoSource(text)
      var feed = FeedOptions()
      feed.policy = source.isLive ? .dropOldest : .wait
      feed.bufferedFrameCount = 200
      feed.stallLimit = .milliseconds(700)
      feed.stallTimeout = .seconds(2)
      feed.backoffFirst = .milliseconds(100)
      feed.backoffMaximum = .milliseconds(400)
      feed.attemptLimit = 1000
      feed.sampling = .all
      var options = VideoSessionOptions(prompt: "caption en", source: source, feed: feed)
      change(&options)
      session = try VideoSession(source, options: options, service: service)
    }

    var records: [VideoRecord] { said.withLock { $0.records } }
    var states: [FeedState] { said.withLock { $0.states } }
    var names: [String] { states.map(\.name) }

    func run() async throws -> FeedState {
      try await session.run(onState: { state in self.said.withLock { $0.states.append(state) } }) {
        record, _ in self.said.withLock { $0.records.append(record) }
      }
    }

    /// Waits until something holds; a minute at most.
    func wait(_ condition: (Watched) -> Bool) async throws {
      let deadline = ContinuousClock.now + .seconds(60)
      while !condition(self) {
        try #require(ContinuousClock.now < deadline, "\(states) \(session.status.notices)")
        try await Task.sleep(for: .milliseconds(5))
      }
    }

    /// One record for each sampled frame, in order of frame and time; what waits when a session is ended has none.
    func expectWhole(isCancelled: Bool) {
      #expect(records.map(\.frame) == Array(0..<records.count))
      let sampled = session.feedStatus.sampledCount
      #expect(isCancelled ? records.count <= sampled : records.count == sampled)
      #expect(zip(records, records.dropFirst()).allSatisfy { $0.pts < $1.pts })
    }
  }

  @Test(
    "A stream that is cut off and comes back: its states, and one record a frame throughout",
    .timeLimit(.minutes(3)), arguments: Camera.Kind.allCases)
  func cutOff(_ kind: Camera.Kind) async throws {
    let film = try await VideoClips.pattern("a.ts", seconds: 4, rate: 25, in: folder)
    let camera = try Camera(kind, film: film)
    // A source that was never there is not tried again.
    try await camera.start()
    let watched = try Watched(camera.address)
    let task = Task { try await watched.run() }
    try await watched.wait { $0.records.count >= 20 }
    camera.stop()
    try await watched.wait { $0.names.last == "reconnecting" }
    try await camera.start()
    let before = watched.records.count
    try await watched.wait { $0.names.last == "live" && $0.records.count >= before + 20 }
    await watched.session.cancel()
    #expect(try await task.value == .ended(.cancelled))
    watched.expectWhole(isCancelled: true)
    let names = watched.names
    #expect(names.first == "connecting" && names.last == "ended", "\(names)")
    let cut = try #require(names.firstIndex(of: "reconnecting"))
    #expect(names[..<cut].contains("live") && names[cut...].contains("live"), "\(names)")
    // Silence is all there is to see of a sender of datagrams that is gone.
    #expect(kind != .udp || names[..<cut].contains("stalled"), "\(names)")
    #expect(watched.session.feedStatus.reconnectionCount >= 1)
    #expect(watched.session.status.states == Array(watched.states.suffix(64)))
    #expect(
      watched.records.suffix(15).allSatisfy { $0.answer != nil || $0.json.line.contains("drop") })
  }

  @Test("What was never there fails, with cause and remedy, and has no record")
  func neverThere() async throws {
    let port = try Camera.freePort(SOCK_STREAM)
    let watched = try Watched("rtsp://anna:geheim99@127.0.0.1:\(port)/live")
    guard case .failed(let error) = try await watched.run() else {
      Issue.record("\(watched.states)")
      return
    }
    #expect(error.code == .disconnected && !error.remedy.isEmpty)
    #expect(watched.names == ["connecting", "failed"] && watched.records.isEmpty)
    #expect(watched.session.status.state == .failed(error))
    #expect(!"\(watched.states) \(watched.session.status)".contains("geheim99"))
  }

  @Test("The freshest frame is asked about, and what it overtakes is dropped, counted, recorded")
  func freshest() async throws {
    let film = try await VideoClips.pattern("a.ts", seconds: 4, rate: 25, in: folder)
    let camera = try Camera(.udp, film: film)
    try await camera.start()
    let asked = Mutex<[(frame: Int, newest: Int)]>([])
    let session = Mutex<VideoSession?>(nil)
    let service = FakeService(delay: { request in
      let newest = session.withLock { $0?.feedStatus.sampledCount ?? 0 }
      let frame = Int(request.images[0].name.split(separator: " ").last ?? "0") ?? 0
      asked.withLock { $0.append((frame, newest)) }
      return .milliseconds(200)
    })
    let watched = try Watched(camera.address, service) {
      $0.feed.sampling = .freshest
      $0.feed.policy = nil
      $0.feed.bufferedFrameCount = nil
      ($0.budget, $0.window) = (nil, 1)
    }
    session.withLock { $0 = watched.session }
    let task = Task { try await watched.run() }
    try await watched.wait { $0.records.count { $0.answer != nil } >= 8 }
    await watched.session.cancel()
    _ = try await task.value
    session.withLock { $0 = nil }
    watched.expectWhole(isCancelled: true)
    #expect(watched.session.status.dropped["oldest"] ?? 0 > 0)
    // One frame stands in the buffer, and one is on its way: nothing older is ever asked about.
    let pairs = asked.withLock { $0 }
    let fresh = pairs.count { $0.newest - $0.frame <= 8 }
    #expect(fresh > pairs.count / 2, "\(pairs)")
  }

  @Test(
    "A decoder that is killed, and one that hangs, cost a file nothing", .timeLimit(.minutes(3)))
  func decoders() async throws {
    let film = try await VideoClips.pattern("a.mp4", seconds: 30, in: folder)
    for signal in [SIGKILL, SIGSTOP] {
      let watched = try Watched(film, FakeService(delay: { _ in .milliseconds(2) })) {
        $0.feed.bufferedFrameCount = 4
        // Longer than a busy machine keeps a decoder from its next frame.
        ($0.feed.stallLimit, $0.feed.stallTimeout) = (.seconds(1), .seconds(4))
      }
      let task = Task { try await watched.run() }
      try await watched.wait { $0.records.count >= 30 }
      let decoder = try #require(watched.session.feedStatus.decoderProcessID)
      #expect(kill(decoder, signal) == 0)
      #expect(try await task.value == .ended(.complete))
      watched.expectWhole(isCancelled: false)
      #expect(watched.records.count == 300 && watched.records.allSatisfy { $0.answer != nil })
      #expect(watched.names.contains("reconnecting"), "\(watched.names)")
      #expect(signal != SIGSTOP || watched.names.contains("stalled"), "\(watched.names)")
      #expect(watched.session.status.notices.contains { $0.contains("goes on after") })
    }
  }
}
