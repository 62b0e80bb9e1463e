import Foundation
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Jobs
import Messaging
import NIOCore
import Testing

@testable import HTTPAPI

/// Over real connections: clients that go away, and servers that are told to stop.
@Suite struct LiveTests {
  /// A connection of the test's own, to be closed whenever it likes.
  private struct Connection {
    let descriptor: Int32

    init(port: Int) throws {
      descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = UInt16(port).bigEndian
      address.sin_addr.s_addr = inet_addr("127.0.0.1")
      let status = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      try #require(status == 0)
    }

    func send(_ uri: String, host: String = "localhost", _ body: ByteBuffer) {
      let head =
        "POST \(uri) HTTP/1.1\r\nHost: \(host)\r\nContent-Type: application/json\r\n"
        + "Content-Length: \(body.readableBytes)\r\n\r\n"
      let bytes = Array(head.utf8) + Array(body.readableBytesView)
      _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// What comes next, at most so many bytes.
    func receive() -> String {
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &bytes, bytes.count, 0)
      return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }

    func end() { close(descriptor) }
  }

  @Test(arguments: [true, false])
  func aClosedConnectionEndsTheAnswer(_ isStreaming: Bool) async throws {
    let bench = try Bench(delay: .milliseconds(300))
    let body = try chat("a b c d e f g h i j k l m n o p q r s t", ["stream": isStreaming, "n": 2])
    try await bench.test(.live) { client in
      let connection = try Connection(port: #require(client.port))
      connection.send("/v1/chat/completions", body)
      #expect(try await eventually { bench.fake.running == 2 })
      if isStreaming { #expect(connection.receive().hasPrefix("HTTP/1.1 200 OK")) }
      connection.end()
      #expect(try await eventually { bench.fake.running == 0 })
      #expect(bench.fake.cancelled == 2)
      #expect(try await eventually { bench.server.core.gate.current == RequestGate.Load() })
    }
  }

  @Test func deleteEndsTheAnswer() async throws {
    let bench = try Bench(delay: .milliseconds(300))
    let body = try chat("a b c d e f g h i j k l m n o p q r s t")
    try await bench.test { client in
      async let answer = client.post(
        "/v1/chat/completions", body, headers: [.clientRequestID: "mine"])
      let isRunning = try await eventually { bench.fake.running == 1 }
      #expect(isRunning)
      #expect(try await client.fetch("/v1/requests/mine", .delete).status == 200)
      #expect(try await answer.status == 499)
      #expect(try await client.fetch("/v1/requests/mine", .delete).status == 404)
    }
  }

  @Test func connectionsAreKept() async throws {
    let bench = try Bench()
    let body = try chat("ocr")
    try await bench.test(.live) { client in
      // The client has one connection.
      for _ in 0..<3 {
        let response = try await client.post("/v1/chat/completions", body)
        #expect(response.status == 200)
      }
    }
  }

  @Test func foreignHostsAreRefusedWithoutKeys() async throws {
    let bench = try Bench()
    let body = try chat("ocr")
    try await bench.test(.live) { client in
      let connection = try Connection(port: #require(client.port))
      defer { connection.end() }
      connection.send("/v1/chat/completions", host: "rebound.example", body)
      #expect(connection.receive().hasPrefix("HTTP/1.1 403"))
    }
    #expect(bench.fake.requests.isEmpty)
  }

  @Test func aServerThatIsToldToStopFinishesItsAnswers() async throws {
    let bench = try Bench(delay: .milliseconds(100))
    let body = try chat("a b c d")
    let (ports, sink) = AsyncStream<Int>.makeStream()
    let (stops, stop) = AsyncStream<Void>.makeStream()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        try await bench.server.run {
          for await _ in stops { return }
        } onListening: {
          sink.yield($0)
        }
      }
      var iterator = ports.makeAsyncIterator()
      let connection = try Connection(port: #require(await iterator.next()))
      connection.send("/v1/chat/completions", body)
      #expect(try await eventually { bench.fake.running == 1 })
      stop.yield()
      #expect(try await eventually { bench.fake.running == 0 })
      #expect(connection.receive().hasPrefix("HTTP/1.1 200 OK"))
      connection.end()
      try await group.waitForAll()
    }
    #expect(bench.fake.cancelled == 0)
  }
}
