import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Messaging
import NIOCore
import Testing

@testable import HTTPAPI
@testable import Pipelining

/// The page and what it reads.
@Suite struct DashboardTests {
  private struct Document: Decodable {
    struct Stage: Decodable {
      let name: String
      let worker: String
      let bubble: Double
    }
    let model: String
    let state: String
    let stages: [Stage]
  }

  private func server(
    _ telemetry: Telemetry, keys: APIKeys? = nil
  ) throws -> some ApplicationProtocol {
    let tokenizer = try Bench.tokenizer()
    var configuration = HTTPConfiguration(host: "127.0.0.1", port: 0)
    configuration.keys = keys
    var backend = HTTPBackend(
      service: FakeService(tokenizer), tokenizer: tokenizer, model: "tiny"
    ) { telemetry.status }
    backend.telemetry = telemetry
    return try HTTPServer(configuration, backend: backend).application()
  }

  private func telemetry() -> Telemetry {
    let telemetry = Telemetry()
    let row = StageStatus(name: "vision", blocks: 0..<8, worker: "</script>", node: "n")
    telemetry.publish(Status(state: "ready", stages: [row]), epoch: 1, inFlight: 0)
    telemetry.began(1, images: 1)
    telemetry.ended(1, .success(Completion(tokens: [], finish: .stop)))
    let span = TraceSpan(
      sequence: 1 << 63 | 5, stage: 0, phase: .decode, requestCount: 1, rowCount: 1,
      startNanoseconds: 2_000_000, busyNanoseconds: 1_500_000)
    telemetry.heard(Heartbeat(epoch: 1, spans: [span]), from: 0)
    return telemetry
  }

  @Test func thePageComesWholeAndRunsNothingForeign() async throws {
    try await server(telemetry()).test(.router) { client in
      for file in DashboardFile.all {
        #expect(!file.bytes.isEmpty)
        try await client.execute(uri: file.path, method: .get) { response in
          #expect(response.status == .ok)
          #expect(response.headers[.contentType] == file.type)
          #expect(response.body.readableBytes == file.bytes.count)
          let policy = response.headers[.contentSecurityPolicy] ?? ""
          #expect(policy.contains("default-src 'none'") && !policy.contains("unsafe"))
        }
        try await client.execute(
          uri: file.path, method: .get, headers: [.ifNoneMatch: file.tag]
        ) { #expect($0.status == .notModified && $0.body.readableBytes == 0) }
      }
      // Everything that the page and its scripts name is there.
      let paths = Set(DashboardFile.all.map(\.path))
      for file in DashboardFile.all {
        let text = String(decoding: file.bytes, as: UTF8.self)
        for match in text.matches(of: /(?:src|href)="(\/dashboard\/[^"]+)"/) {
          #expect(paths.contains(String(match.1)), "\(match.1)")
        }
        for match in text.matches(of: /from "\.\/([^"]+)"/) {
          #expect(paths.contains("/dashboard/" + match.1), "\(match.1)")
        }
        // Nothing inline, which the policy would not run, and nothing from elsewhere.
        #expect(!text.contains("onclick=") && !text.contains("style=\""))
        #expect(!text.contains("innerHTML") && !text.contains("https://"))
      }
    }
  }

  @Test func whatThePageReads() async throws {
    try await server(telemetry()).test(.router) { client in
      try await client.execute(uri: "/v1/cluster", method: .get) { response in
        let document = try JSONDecoder().decode(
          Document.self, from: Data(response.body.readableBytesView))
        #expect(document.model == "tiny" && document.state == "ready")
        #expect(document.stages.map(\.name) == ["vision"])
        #expect(document.stages.map(\.worker) == ["</script>"])
      }
      // Long enough for a machine that has other things to do.
      try await client.execute(uri: "/v1/cluster/history?seconds=600", method: .get) { response in
        let history = try JSONDecoder().decode(
          HistoryDocument.self, from: Data(response.body.readableBytesView))
        #expect(history.images.reduce(0, +) == 1 && history.second.last == history.second.max())
        #expect(history.answerP50.compactMap { $0 }.count == 1)
      }
      var next = 0
      try await client.execute(uri: "/v1/cluster/trace", method: .get) { response in
        let trace = try #require(
          try JSONSerialization.jsonObject(with: Data(response.body.readableBytesView))
            as? [String: Any])
        let spans = try #require(trace["spans"] as? [[Any]])
        #expect(spans.count == 1 && spans[0][1] as? String == "decode")
        #expect(spans[0][2] as? Double == 2 && spans[0][4] as? Double == 1.5)
        #expect(spans[0].last as? String == "d5")
        next = try #require(trace["cursor"] as? Int)
      }
      try await client.execute(uri: "/v1/cluster/trace?after=\(next)", method: .get) { response in
        #expect(String(buffer: response.body).contains("\"spans\":[]"))
      }
      try await client.execute(uri: "/v1/cluster/trace?format=chrome", method: .get) { response in
        let file = try JSONDecoder().decode(
          ChromeTrace.File.self, from: Data(response.body.readableBytesView))
        #expect(file.traceEvents.contains { $0.ph == "X" && $0.name == "decode" })
      }
      for query in [
        "trace?after=-1", "trace?after=x", "trace?count=0", "trace?format=svg",
        "history?seconds=0", "history?seconds=1e9",
      ] {
        try await client.execute(uri: "/v1/cluster/\(query)", method: .get) { response in
          #expect(response.status == .badRequest, "\(query)")
        }
      }
    }
  }

  @Test func nothingOfItIsOpenWithoutTheKey() async throws {
    try await server(telemetry(), keys: APIKeys([Bench.key])).test(.router) { client in
      let data = ["/v1/cluster", "/v1/cluster/history", "/v1/cluster/trace"]
      let paths = DashboardFile.all.map(\.path) + data
      for path in paths {
        try await client.execute(uri: path, method: .get) { response in
          #expect(response.status == .unauthorized, "\(path)")
        }
        try await client.execute(
          uri: path, method: .get, headers: [.authorization: "Bearer \(Bench.key)"]
        ) { #expect($0.status == .ok, "\(path)") }
      }
    }
  }

  @Test func metricsHaveTheStages() async throws {
    try await server(telemetry()).test(.router) { client in
      try await client.execute(uri: "/metrics", method: .get) { response in
        let text = String(buffer: response.body)
        #expect(text.contains("palisade_requests_total{outcome=\"answered\"} 1"))
        for name in ["busy_share", "bubble_share", "queue_length", "sent_bytes_total"] {
          #expect(text.contains("palisade_stage_\(name){stage=\"vision\""), "\(name)")
        }
      }
    }
  }
}
