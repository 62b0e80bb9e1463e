import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Messaging
import NIOCore
import Testing

@testable import HTTPAPI

/// Files and batches through the router, in a folder of the test's own.
@Suite struct BatchTests {
  private static func line(_ id: Int) throws -> String {
    """
    {"custom_id": "r\(id)", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": \
    [{"role": "user", "content": [{"type": "text", "text": "ocr"}, {"type": "image_url", \
    "image_url": {"url": "\(try pictureURI())"}}]}]}}
    """
  }

  private static func upload(
    _ content: String, purpose: String = "batch", _ client: any TestClientProtocol
  ) async throws -> (status: Int, json: [String: Any]) {
    let form = """
      --x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n\(purpose)\r\n--x\r\n\
      Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n\(content)\r\n--x--\r\n
      """
    let response = try await client.execute(
      uri: "/v1/files", method: .post,
      headers: [.contentType: "multipart/form-data; boundary=x"], body: ByteBuffer(string: form))
    return (response.status.code, try response.object())
  }

  private static func create(
    _ file: String, _ client: any TestClientProtocol
  ) async throws -> String {
    let (status, body, _) = try await client.post(
      "/v1/batches",
      json(["input_file_id": file, "endpoint": "/v1/chat/completions", "metadata": ["a": "b"]]))
    #expect(status == 200 && text(body, "status") == "validating")
    return try #require(text(body, "id"))
  }

  private static func content(_ id: String, _ client: any TestClientProtocol) async throws -> String
  {
    let response = try await client.execute(uri: "/v1/files/\(id)/content", method: .get)
    return String(buffer: response.body)
  }

  @Test func filesAreKept() async throws {
    let folder = try TemporaryFolder()
    let bench = try Bench { $0.filesDirectory = folder.path }
    let id = try await bench.test { client in
      let (status, body) = try await Self.upload("hello", client)
      #expect(status == 200 && number(body, "bytes") == 5)
      let id = try #require(text(body, "id"))
      #expect(try await Self.content(id, client) == "hello")
      #expect(try await Self.upload("x", purpose: "fine-tune", client).status == 400)
      for path in ["/v1/files/../lock", "/v1/files/file-000000000000000000000000"] {
        #expect(try await client.fetch(path).status == 404)
      }
      return id
    }
    // A refused upload leaves nothing.
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(names == ["batches", "\(id).data", "\(id).json", "lock"].sorted())
    // One server at a time.
    let failure = #expect(throws: Failure.self) { try Bench { $0.filesDirectory = folder.path } }
    #expect(failure?.code == "files_directory")
    withExtendedLifetime(bench) {}
  }

  @Test func filesHaveLimits() async throws {
    let folder = try TemporaryFolder()
    let bench = try Bench {
      $0.filesDirectory = folder.path
      $0.limits.fileByteCount = 100
      $0.limits.files = 1
    }
    try await bench.test { client in
      let large = String(repeating: "x", count: 101)
      var statuses: [Int] = []
      for content in [large, "a", "b"] {
        statuses.append(try await Self.upload(content, client).status)
      }
      #expect(statuses == [413, 200, 507])
    }
  }

  @Test func aBatchIsAnsweredAndSurvivesARestart() async throws {
    let folder = try TemporaryFolder()
    let input = try (0..<6).map(Self.line).joined(separator: "\n") + "\n\nbroken\n"
    var batch = ""
    do {
      let bench = try Bench(delay: .milliseconds(50)) { $0.filesDirectory = folder.path }
      await bench.server.core.start()
      batch = try await bench.test { client in
        let file = try #require(text(try await Self.upload(input, client).json, "id"))
        let id = try await Self.create(file, client)
        #expect(try await client.fetch("/v1/files/\(file)", .delete).status == 409)
        return id
      }
      await bench.server.core.stop()
    }
    let id = batch
    // Another server, the same folder.
    let bench = try Bench { $0.filesDirectory = folder.path }
    await bench.server.core.start()
    try await bench.test { client in
      let isDone = try await eventually {
        text(try await client.fetch("/v1/batches/\(id)").json, "status") == "completed"
      }
      let body = try await client.fetch("/v1/batches/\(id)").json
      #expect(isDone, "\(body)")
      #expect(number(body, "request_counts.total") == 7)
      #expect(number(body, "request_counts.completed") == 6)
      #expect(number(body, "request_counts.failed") == 1)
      #expect(text(body, "metadata.a") == "b")
      let output = try await Self.content(
        try #require(text(body, "output_file_id")), client)
      #expect(output.split(separator: "\n").count == 6)
      let errors = try await Self.content(try #require(text(body, "error_file_id")), client)
      #expect(errors.contains("invalid_json"))
      let list = try await client.fetch("/v1/batches?limit=1").json
      #expect(text(list, "data.0.id") == id && at(list, "has_more") as? Bool == false)
    }
    await bench.server.core.stop()
  }

  @Test func batchesEndAsTheyAreTold() async throws {
    let folder = try TemporaryFolder()
    let bench = try Bench(delay: .seconds(5)) { $0.filesDirectory = folder.path }
    await bench.server.core.start()
    let line = try Self.line(1)
    try await bench.test { client in
      let file = try #require(text(try await Self.upload(line, client).json, "id"))
      let id = try await Self.create(file, client)
      #expect(try await eventually { bench.fake.running == 1 })
      let cancelled = try await client.post("/v1/batches/\(id)/cancel", ByteBuffer())
      #expect(text(cancelled.json, "status") == "cancelling")
      let isDone = try await eventually {
        text(try await client.fetch("/v1/batches/\(id)").json, "status") == "cancelled"
      }
      #expect(isDone && bench.fake.running == 0)
      #expect(try await client.post("/v1/batches/\(id)/cancel", ByteBuffer()).status == 409)
      // A file without lines is no batch.
      let empty = try #require(text(try await Self.upload("\n \n", client).json, "id"))
      let failed = try await Self.create(empty, client)
      #expect(
        try await eventually {
          text(try await client.fetch("/v1/batches/\(failed)").json, "status") == "failed"
        })
      let body = try await client.fetch("/v1/batches/\(failed)").json
      #expect(text(body, "errors.data.0.code") == "empty_file")
    }
    await bench.server.core.stop()
  }

  @Test func aBatchOutOfTimeExpires() async throws {
    let folder = try TemporaryFolder()
    let bench = try Bench(delay: .seconds(60)) {
      $0.filesDirectory = folder.path
      $0.limits.batchSeconds = 1
    }
    await bench.server.core.start()
    let line = try Self.line(1)
    try await bench.test { client in
      let file = try #require(text(try await Self.upload(line, client).json, "id"))
      let id = try await Self.create(file, client)
      #expect(
        try await eventually {
          text(try await client.fetch("/v1/batches/\(id)").json, "status") == "expired"
        })
    }
    await bench.server.core.stop()
  }
}
