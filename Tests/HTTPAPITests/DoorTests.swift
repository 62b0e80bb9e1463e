import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Messaging
import Testing

@testable import HTTPAPI

/// Who is let in, and how much.
@Suite struct DoorTests {
  private static let paths = [
    "/", "/v1/models", "/v1/models/paligemma", "/metrics", "/v1/files", "/v1/batches", "/nothing",
  ]

  @Test func everyRouteButHealthAsksForAKey() async throws {
    let folder = try TemporaryFolder()
    let bench = try Bench {
      $0.keys = try APIKeys(["sk-another-key-of-length", Bench.key])
      $0.filesDirectory = folder.path
    }
    try await bench.test { client in
      for path in Self.paths {
        let refused = try await client.fetch(path)
        #expect(refused.status == 401, "\(path)")
        #expect(text(refused.json, "error.code") == "invalid_api_key")
        #expect(refused.headers[.wwwAuthenticate]?.hasPrefix("Basic") == true)
        for wrong in ["Bearer \(Bench.key)x", "Bearer ", "Basic !", Bench.key, "Bearer"] {
          #expect(try await client.fetch(path, headers: [.authorization: wrong]).status == 401)
        }
      }
      for path in ["/v1/chat/completions", "/v1/completions", "/v1/batches", "/v1/files"] {
        #expect(try await client.post(path, ByteBuffer(string: "{}")).status == 401)
      }
      #expect(try await client.fetch("/v1/requests/x", .delete).status == 401)
      #expect(try await client.fetch("/healthz").status == 200)
      #expect(try await client.fetch("/readyz").status == 200)
      let basic = Data("anybody:\(Bench.key)".utf8).base64EncodedString()
      for right in ["Bearer \(Bench.key)", "bearer \(Bench.key)", "Basic \(basic)"] {
        let response = try await client.fetch("/v1/models", headers: [.authorization: right])
        #expect(response.status == 200)
        #expect(text(response.json, "data.0.id") == "paligemma")
      }
    }
  }

  @Test func otherSitesPagesAreRefused() async throws {
    let bench = try Bench()
    try await bench.test { client in
      for origin in ["https://evil.example", "null", "http://localhost:1"] {
        let response = try await client.fetch("/v1/models", headers: [.origin: origin])
        #expect(response.status == 403, "\(origin)")
      }
      let own = try await client.fetch("/v1/models", headers: [.origin: "http://localhost"])
      #expect(own.status == 200)
    }
    #expect(AuthMiddleware.host(of: "rebound.example:8080") == "rebound.example")
    #expect(AuthMiddleware.host(of: "[::1]:8080") == "::1")
  }

  @Test func keyFilesAreChecked() throws {
    let folder = try TemporaryFolder()
    let good = try folder.write("# ours\n\n  \(Bench.key)  \nsk-second-0123456789\n", "good")
    let keys = try APIKeys(file: good)
    #expect(keys.contains(Bench.key) && keys.contains("sk-second-0123456789"))
    #expect(!keys.contains("# ours") && !keys.contains("") && !keys.contains(Bench.key + "x"))
    let bad = [
      try folder.write(Bench.key, "open", mode: 0o644), try folder.write("short\n", "short"),
      try folder.write("# none\n", "none"), folder.path, folder.path + "/missing",
    ]
    for file in bad {
      #expect(throws: Failure.self) { try APIKeys(file: file) }
    }
  }

  @Test func whatIsNotThereIsSaidInOpenAIsShape() async throws {
    let bench = try Bench()
    try await bench.test { client in
      for (path, method) in [
        ("/v1/nothing", HTTPRequest.Method.get), ("/v1/models/other", .get), ("/v1/models", .put),
        ("/v1/requests/none", .delete), ("/v1/files", .get),
      ] {
        let response = try await client.fetch(path, method)
        #expect(response.status == 404, "\(path)")
        #expect(text(response.json, "error.message")?.isEmpty == false)
        #expect(text(response.json, "error.type") == "not_found_error")
      }
    }
  }

  @Test func tooMuchIsRefused() async throws {
    let bench = try Bench(delay: .milliseconds(200)) {
      $0.limits.requests = 2
      $0.limits.bodyByteCount = 4000
      $0.limits.bodyByteCountTotal = 6000
    }
    let body = try chat("a b c d")
    let large = ByteBuffer(repeating: 32, count: 5000)
    try await bench.test { client in
      #expect(try await client.post("/v1/chat/completions", large).status == 413)
      let statuses = try await withThrowingTaskGroup(of: (Int, String?).self) { group in
        for _ in 0..<6 {
          group.addTask {
            let response = try await client.post("/v1/chat/completions", body)
            return (response.status, response.headers[.retryAfter])
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(statuses.filter { $0.0 == 200 }.count == 2)
      #expect(statuses.filter { $0 == (429, "1") }.count == 4)
      // More choices than there is room for, though fewer than a request may have.
      let many = try await client.post("/v1/chat/completions", chat("a", ["n": 3]))
      #expect(many.status == 429)
    }
    #expect(bench.server.core.gate.current == RequestGate.Load())
  }

  @Test func addressesAreRead() {
    #expect(HTTPConfiguration.address("127.0.0.1:8080")?.port == 8080)
    #expect(HTTPConfiguration.address("[::1]:80")?.host == "::1")
    #expect(HTTPConfiguration.address(":80")?.host == "0.0.0.0")
    for text in ["8080", "::1:80", "host:", "host:70000", "host:-1"] {
      #expect(HTTPConfiguration.address(text) == nil, "\(text)")
    }
    #expect(HTTPConfiguration(host: "127.0.0.2", port: 0).isLoopback)
    #expect(!HTTPConfiguration(host: "0.0.0.0", port: 0).isLoopback)
  }

  @Test func wrongCertificatesAreNamed() throws {
    let folder = try TemporaryFolder()
    let nothing = try folder.write("no certificate", "nothing.pem")
    for files in [
      TLSFiles(certificate: nothing, key: nothing),
      TLSFiles(certificate: folder.path + "/missing.pem", key: nothing),
    ] {
      let failure = #expect(throws: Failure.self) { try Bench { $0.tls = files } }
      #expect(failure?.code == "invalid_tls")
      #expect(failure?.message.contains(files.certificate) == true)
    }
  }
}
