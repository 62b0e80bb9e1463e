import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Messaging
import NIOCore
import Testing

@testable import HTTPAPI

@Suite struct VideoTests {
  private static let film = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "cluster/demo/video/shapes.mp4").path(percentEncoded: false)
  private static var folder: String {
    URL(filePath: film).deletingLastPathComponent().path(percentEncoded: false)
  }

  private func bench(delay: Duration = .zero, streams: Int = 4, events: Int = 1000) throws -> Bench
  {
    try Bench(delay: delay) {
      $0.videoSources = try VideoAllowList([Self.folder, "udp://127.0.0.1", "rtsp"])
      $0.limits.videoStreams = streams
      $0.limits.videoEvents = events
    }
  }

  private func begin(
    _ client: any TestClientProtocol, _ more: [String: Any] = [:]
  ) async throws -> String {
    let body: [String: Any] = ["source": Self.film, "prompt": "caption en", "every": "0.5s"]
    let (status, object, _) = try await client.post(
      "/v1/video/streams", try json(body.merging(more) { $1 }))
    try #require(status == 200, "\(object)")
    return try #require(text(object, "id"))
  }

  private func waitForEnd(_ client: any TestClientProtocol, _ id: String) async throws {
    let isOver = try await eventually {
      text(try await client.fetch("/v1/video/streams/\(id)").json, "state") == "ended"
    }
    #expect(isOver)
  }

  /// The events of a stream that has ended: id, name, data.
  private func events(
    _ client: any TestClientProtocol, _ id: String, after: Int? = nil
  ) async throws -> [(id: Int?, name: String, data: [String: Any])] {
    var headers: HTTPFields = [:]
    if let after { headers[try #require(HTTPField.Name("Last-Event-ID"))] = "\(after)" }
    let response = try await client.execute(
      uri: "/v1/video/streams/\(id)/events", method: .get, headers: headers)
    #expect(response.headers[.contentType] == "text/event-stream; charset=utf-8")
    return try String(buffer: response.body).split(separator: "\n\n").compactMap { event in
      var fields: [String: String] = [:]
      for line in event.split(separator: "\n") {
        let parts = line.split(separator: ":", maxSplits: 1)
        guard parts.count == 2 else { continue }
        fields[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces)
      }
      guard let name = fields["event"], let data = fields["data"] else { return nil }
      let object = try JSONSerialization.jsonObject(with: Data(data.utf8)) as? [String: Any]
      return (fields["id"].flatMap { Int($0) }, name, object ?? [:])
    }
  }

  @Test("A film from its beginning to its end: records as events, picture, figures, metrics")
  func wholeWay() async throws {
    try await bench().test { client in
      let id = try await begin(client)
      let all = try await events(client, id)
      let records = all.filter { $0.name == "record" }
      #expect(records.map { number($0.data, "frame") } == Array(stride(from: 0, to: 80, by: 5)))
      #expect(all.last?.name == "end")
      #expect(all.contains { $0.name == "state" && text($0.data, "state") == "ended" })
      // Where a client was cut off, it goes on.
      let place = try #require(records[9].id)
      let rest = try await events(client, id, after: place).filter { $0.name == "record" }
      #expect(rest.map(\.id) == records[10...].map(\.id))
      let object = try await client.fetch("/v1/video/streams/\(id)").json
      #expect(number(object, "frames.answered") == 16)
      #expect(number(object, "last.frame") == 75)
      let picture = try await client.execute(
        uri: "/v1/video/streams/\(id)/frame.jpg", method: .get)
      #expect(picture.headers[.contentType] == "image/jpeg")
      #expect(picture.body.readableBytes > 1000)
      let metrics = try await client.execute(uri: "/metrics", method: .get)
      let figures = String(buffer: metrics.body)
      #expect(figures.contains(#"palisade_video_frames_total{outcome="answered"} 16"#))
      #expect(figures.contains("palisade_video_latency_seconds_count 16"))
      #expect(figures.contains(#"palisade_video_streams{state="ended"} 1"#))
      let list = try await client.fetch("/v1/video/streams").json
      #expect(text(list, "data.0.id") == id)
      #expect(try await client.fetch("/v1/video/streams/\(id)", .delete).status == 200)
      #expect(try await client.fetch("/v1/video/streams/\(id)").status == 404)
    }
  }

  @Test("An uploaded film is called by its name, and nobody hears where it lies on the server")
  func uploaded() async throws {
    let folder = try TemporaryFolder()
    let bench = try Bench { $0.filesDirectory = folder.path }
    try await bench.test { client in
      let boundary = "palisade-\(UUID().uuidString)"
      let head = """
        --\(boundary)\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvideo\r\n--\(boundary)\r\n\
        Content-Disposition: form-data; name="file"; filename="my shapes.mp4"\r\n\r\n
        """
      let film = try Data(contentsOf: URL(filePath: Self.film))
      let response = try await client.execute(
        uri: "/v1/files", method: .post,
        headers: [.contentType: "multipart/form-data; boundary=\(boundary)"],
        body: ByteBuffer(
          bytes: Array(head.utf8) + film + Array("\r\n--\(boundary)--\r\n".utf8)))
      let file = try #require(text(try response.object(), "id"))
      let (status, begun, _) = try await client.post(
        "/v1/video/streams", try json(["file": file, "prompt": "caption en", "every": "1s"]))
      try #require(status == 200, "\(begun)")
      let id = try #require(text(begun, "id"))
      #expect(text(begun, "source") == "my shapes.mp4")
      try await waitForEnd(client, id)
      let all = try await events(client, id)
      #expect(all.contains { $0.name == "record" })
      #expect(all.allSatisfy { !"\($0.data)".contains(folder.path) })
      #expect(
        all.filter { $0.name == "record" }.allSatisfy { text($0.data, "source") == "my shapes.mp4" }
      )
    }
  }

  @Test("A client that comes too late for some events is told how many")
  func forgotten() async throws {
    try await bench(events: 5).test { client in
      let id = try await begin(client)
      try await waitForEnd(client, id)
      let all = try await events(client, id)
      let gap = try #require(all.first)
      #expect(gap.name == "gap")
      let first = try #require(all.dropFirst().first?.id)
      #expect(number(gap.data, "missed") == first - 1)
      #expect(all.count == 7)
    }
  }

  @Test("Only so many at once; an ended or deleted one makes room")
  func limits() async throws {
    try await bench(delay: .seconds(30), streams: 2).test { client in
      let one = try await begin(client)
      _ = try await begin(client)
      let body: [String: Any] = ["source": Self.film, "prompt": "caption en"]
      let (status, object, headers) = try await client.post("/v1/video/streams", try json(body))
      #expect(status == 429 && text(object, "error.code") == "too_many_streams")
      #expect(headers[.retryAfter] != nil)
      #expect(try await client.fetch("/v1/video/streams/\(one)", .delete).status == 200)
      _ = try await begin(client)
    }
  }

  @Test(
    "What isn't allowed isn't opened",
    arguments: [
      "/etc/passwd", "http://127.0.0.1/video.mp4", "udp://10.0.0.1:1234", "-", "/dev/video0",
      "cluster/demo/video/../../../Package.swift", "concat:a.mp4|b.mp4",
    ])
  func refusing(_ source: String) async throws {
    try await bench().test { client in
      let (status, object, _) = try await client.post(
        "/v1/video/streams", try json(["source": source, "prompt": "caption en"]))
      #expect(status == 403 || status == 400, "\(object)")
      let list = try await client.fetch("/v1/video/streams").json
      #expect((list["data"] as? [Any])?.isEmpty == true)
    }
  }

  @Test("Wrong fields are refused by name")
  func wrongFields() async throws {
    try await bench().test { client in
      let bodies: [[String: Any]] = [
        ["prompt": "caption en"], ["source": Self.film],
        ["source": Self.film, "prompt": "caption en", "every": "soon"],
        ["source": Self.film, "prompt": "caption en", "policy": "lose"],
        ["source": Self.film, "prompt": "caption en", "clip": 0],
        ["source": Self.film, "prompt": "caption en", "stride": 2],
        ["source": Self.film, "prompt": "caption en", "clip": 4, "skip_duplicates": 0.1],
        ["source": Self.film, "file": "file-1", "prompt": "caption en"],
        ["file": "file-1", "prompt": "caption en"],
        ["source": Self.film, "prompt": "caption en", "max_tokens": 1_000_000],
      ]
      for body in bodies {
        let (status, object, _) = try await client.post("/v1/video/streams", try json(body))
        #expect(status == 400, "\(body): \(object)")
        #expect(text(object, "error.message")?.isEmpty == false)
      }
    }
  }

  @Test("Keys are asked for here, too")
  func keys() async throws {
    let bench = try Bench { $0.keys = try APIKeys([Bench.key]) }
    try await bench.test { client in
      let status = try await client.fetch("/v1/video/streams").status
      #expect(status == 401)
    }
  }
}
