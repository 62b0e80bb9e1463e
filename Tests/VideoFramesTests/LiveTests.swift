import Foundation
import Imaging
import Testing
import VideoFrames

/// Live sources over loop-back: cut off, brought back, silent, and never there.
@Suite(.serialized) struct LiveTests {
  /// A port nobody listens on, as far as can be known.
  static func freePort(_ kind: Int32) throws -> Int {
    let descriptor = socket(AF_INET, kind, 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutableBytes(of: &address) { raw in
      raw.withMemoryRebound(to: sockaddr.self) { pointer -> Int32 in
        guard let base = pointer.baseAddress, bind(descriptor, base, size) == 0 else { return -1 }
        return getsockname(descriptor, base, &size)
      }
    }
    try #require(status == 0)
    return Int(UInt16(bigEndian: address.sin_port))
  }

  /// A camera: frames at their own pace, as MPEG-TS, until it is killed.
  private func camera(_ clip: String, to address: String, format: String = "mpegts") throws
    -> Process
  {
    try Clips.start(
      "ffmpeg",
      [
        "-loglevel", "quiet", "-re", "-stream_loop", "-1", "-i", "file:" + clip, "-c", "copy", "-f",
        format, address,
      ])
  }

  private func options() -> FeedOptions {
    var options = FeedOptions()
    options.stallLimit = .milliseconds(700)
    options.stallTimeout = .milliseconds(1500)
    options.backoffFirst = .milliseconds(100)
    options.backoffMaximum = .milliseconds(400)
    options.policy = .dropOldest
    options.bufferedFrameCount = 200
    options.attemptLimit = 100
    return options
  }

  @Test(.timeLimit(.minutes(3))) func udpIsCutOffAndComesBack() async throws {
    let clips = try Clips()
    let clip = try clips.encode("c.ts", count: 50, codec: FileTests.codecs[2].1)
    let url = "udp://127.0.0.1:\(try Self.freePort(Int32(SOCK_DGRAM.rawValue)))"
    var sender = try camera(clip, to: url + "?pkt_size=1316")
    // ffmpeg may sleep through a gentler signal.
    defer { kill(sender.processIdentifier, SIGKILL) }
    let feed = try VideoFeed(VideoSource(url), options: options())
    var heard = Heard()
    var framesAfter = 0
    for await event in feed {
      heard.add(event)
      if case .frame = event {
        if heard.frames.count == 20 { kill(sender.processIdentifier, SIGKILL) }
        if heard.states.contains(where: { $0.name == "reconnecting" }) { framesAfter += 1 }
        if framesAfter == 20 { feed.cancelSoon() }
      }
      if case .state(.reconnecting) = event, !sender.isRunning {
        sender = try camera(clip, to: url + "?pkt_size=1316")
      }
    }
    let names = heard.states.map(\.name)
    #expect(names.starts(with: ["connecting", "live", "stalled", "reconnecting"]), "\(names)")
    #expect(names.filter { $0 == "live" }.count >= 2 && names.last == "ended", "\(names)")
    #expect(framesAfter >= 20)
    #expect(
      zip(heard.frames, heard.frames.dropFirst()).allSatisfy {
        $0.pts < $1.pts && $0.number < $1.number
      })
    #expect(feed.status.reconnectionCount >= 1 && feed.status.decoderProcessID == nil)
  }

  @Test(.timeLimit(.minutes(3))) func tcpThatClosesIsTriedAgainAndThenEnds() async throws {
    let clips = try Clips()
    let clip = try clips.encode("c.ts", count: 50, codec: FileTests.codecs[2].1)
    let url = "tcp://127.0.0.1:\(try Self.freePort(Int32(SOCK_STREAM.rawValue)))"
    let server = try Clips.start(
      "ffmpeg",
      [
        "-loglevel", "quiet", "-re", "-i", "file:" + clip, "-c", "copy", "-f", "mpegts",
        url + "?listen=1",
      ])
    defer { kill(server.processIdentifier, SIGKILL) }
    try await Task.sleep(for: .seconds(1))
    var options = options()
    options.attemptLimit = 2
    options.stallTimeout = .seconds(20)
    let heard = try await Heard.all(VideoFeed(VideoSource(url), options: options))
    #expect(
      heard.frames.count > 30
        && Array(heard.contents.prefix(5)) == Array(heard.contents[0]..<(heard.contents[0] + 5)))
    let attempts = heard.states.compactMap { state -> Int? in
      if case .reconnecting(let attempt, _, _) = state { attempt } else { nil }
    }
    #expect(attempts == [1, 2])
    #expect(heard.states.last == .ended(.closed), "\(heard.states)")
  }

  @Test(.timeLimit(.minutes(1))) func whatWasNeverThereFailsAtOnceAndKeepsItsSecrets() async throws
  {
    let port = try Self.freePort(Int32(SOCK_STREAM.rawValue))
    for scheme in ["rtsp", "http", "rtmp"] {
      let source = try VideoSource(
        "\(scheme)://anna:geheim99@127.0.0.1:\(port)/live?token=s3cr3tvalue")
      let heard = try await Heard.all(VideoFeed(source, options: options()))
      #expect(heard.states.map(\.name) == ["connecting", "failed"])
      #expect(heard.error?.code == .disconnected)
      let said = "\(heard.states) \(heard.notices) \(source) \(source.name)"
      #expect(
        !said.contains("geheim99") && !said.contains("anna") && !said.contains("s3cr3tvalue"),
        "\(said)")
      #expect(said.contains("127.0.0.1:\(port)/live?token=***"))
    }
  }

  @Test(.timeLimit(.minutes(1))) func redirectsAreNotFollowed() async throws {
    let target = try Self.freePort(Int32(SOCK_STREAM.rawValue))
    let (listener, port) = try Self.answering(
      "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:\(target)/x\r\nContent-Length: 0\r\n\r\n")
    defer { close(listener) }
    let heard = try await Heard.all(
      VideoFeed(VideoSource("http://127.0.0.1:\(port)/v.mp4"), options: options()))
    #expect(heard.error?.code == .disconnected || heard.error?.code == .protocolNotAllowed)
    #expect(!"\(heard.states)".contains("\(target)"), "\(heard.states)")
  }

  /// A server that gives every connection the same answer.
  static func answering(_ text: String) throws -> (Int32, Int) {
    let port = try freePort(Int32(SOCK_STREAM.rawValue))
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafeBytes(of: &address) { raw in
      raw.withMemoryRebound(to: sockaddr.self) { pointer in
        pointer.baseAddress.map { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
          ?? -1
      }
    }
    try #require(status == 0 && listen(listener, 8) == 0)
    Thread {
      while true {
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else { return }
        var request = [UInt8](repeating: 0, count: 4096)
        _ = recv(connection, &request, request.count, 0)
        let bytes = Array(text.utf8)
        _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        close(connection)
      }
    }.start()
    return (listener, port)
  }

  @Test func onlyWhatIsAllowedIsOpened() throws {
    for text in [
      "ftp://h/x", "concat:a|b", "gopher://h/", "crypto+file:///etc/passwd",
      "subfile:,,start,0,end,0,,:/etc/passwd",
    ] {
      do { #expect(try VideoSource(text).kind == .file, "\(text)") } catch {
        #expect(error.code == .protocolNotAllowed, "\(text)")
      }
    }
    #expect(throws: VideoError.self) {
      try VideoSource("movie.mp4", allowed: VideoProtocol.network)
    }
    #expect(throws: VideoError.self) { try VideoSource("-", allowed: VideoProtocol.network) }
    for bad in ["", "http://", "rtsp:// x/", "http://h/\u{0}"] {
      #expect(throws: VideoError.self) { try VideoSource(bad) }
    }
    #expect(try VideoSource("rtsp://u:p@ss/w@h:8554/x?a=1#f").name == "rtsp://***@h:8554/x?a=***")
    #expect(
      try VideoSource("RTSP://h/x").kind == .rtsp && VideoSource("/dev/video0").kind == .device)
    #expect(
      try VideoSource("http://h:81/x").authority.map { "\($0.host) \($0.port ?? 0)" } == "h 81")
  }

  /// A list of files is a video to ffmpeg, and opens others.
  @Test func listsOfFilesAreNotFollowed() async throws {
    let clips = try Clips()
    try clips.encode("inner.mkv", count: 3)
    try "ffconcat version 1.0\nfile inner.mkv\n".write(
      toFile: clips.path("list.mkv"), atomically: true, encoding: .utf8)
    #expect(try await Heard.file(clips.path("list.mkv")).error != nil)
    try "#EXTM3U\n#EXTINF:1,\ninner.mkv\n#EXT-X-ENDLIST\n".write(
      toFile: clips.path("l.m3u8"), atomically: true, encoding: .utf8)
    #expect(try await Heard.file(clips.path("l.m3u8")).error != nil)
  }
}

extension VideoFeed {
  /// For a consumer that goes on listening.
  func cancelSoon() { Task { await self.cancel() } }
}
