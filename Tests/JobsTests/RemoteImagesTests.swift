import Foundation
import Glibc
import Messaging
import Synchronization
import Testing

@testable import Jobs

/// Pictures by URL: only from where they may come. The server is the test's own, on loopback, which has
/// to be opened by name.
@Suite struct RemoteImagesTests {
  /// Answers each connection with what stands under its path.
  private final class Server: Sendable {
    let port: Int
    private let descriptor: Int32
    private let answers: [String: [UInt8]]
    let paths = Mutex<[String]>([])

    init(_ answers: [String: [UInt8]]) throws {
      self.answers = answers
      descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = inet_addr("127.0.0.1")
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let descriptor = descriptor
      let isBound = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, size) == 0 && listen(descriptor, 16) == 0
            && getsockname(descriptor, $0, &size) == 0
        }
      }
      try #require(isBound)
      port = Int(UInt16(bigEndian: address.sin_port))
      Thread { [weak self] in
        while true {
          let connection = accept(descriptor, nil, nil)
          guard connection >= 0, let self else { return }
          self.answer(connection)
        }
      }.start()
    }

    deinit {
      shutdown(descriptor, Int32(SHUT_RDWR))
      close(descriptor)
    }

    private func answer(_ connection: Int32) {
      var bytes = [UInt8](repeating: 0, count: 8192)
      let count = recv(connection, &bytes, bytes.count, 0)
      let head = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
      let words = head.split(separator: " ")
      let path = words.count > 1 ? String(words[1]) : ""
      paths.withLock { $0.append(path) }
      let none = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
      let answer = answers[path] ?? Array(none.utf8)
      _ = send(connection, answer, answer.count, Int32(MSG_NOSIGNAL))
      close(connection)
    }
  }

  private static func ok(_ body: [UInt8]) -> [UInt8] {
    Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body
  }

  private static func redirect(_ location: String) -> [UInt8] {
    Array("HTTP/1.1 302 Found\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n".utf8)
  }

  @Test func picturesAreFetchedAndRedirectsCheckedAnew() async throws {
    let picture = try png()
    var answers = [
      "/a.png": Self.ok(picture), "/once": Self.redirect("/a.png"),
      "/out": Self.redirect("http://localhost/a.png"),
      "/metadata": Self.redirect("http://169.254.169.254/latest"),
      "/file": Self.redirect("file:///etc/passwd"), "/loop": Self.redirect("/loop"),
      "/empty": Self.ok([]),
      "/cut": Array("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxx".utf8),
      "/large": Array("HTTP/1.1 200 OK\r\nContent-Length: \(1 << 30)\r\n\r\nxx".utf8),
    ]
    for hop in 1...4 {
      answers["/hop\(hop)"] = Self.redirect(hop == 1 ? "/a.png" : "/hop\(hop - 1)")
    }
    let server = try Server(answers)
    let images = RemoteImages(
      hosts: try RemoteImageHosts(["unsafe-loopback:127.0.0.1:\(server.port)"]))
    let root = "http://127.0.0.1:\(server.port)"
    for path in ["/a.png", "/once", "/hop3"] {
      let image = try await images.image(at: root + path)
      #expect(image == EncodedImage(name: "a.png", bytes: picture), "\(path)")
    }
    let refused = [
      "/out": "remote_image", "/metadata": "remote_image", "/file": "remote_image",
      "/loop": "remote_image_failed", "/hop4": "remote_image_failed",
      "/none": "remote_image_failed", "/empty": "remote_image_failed",
      "/cut": "remote_image_failed", "/large": "image_too_large",
    ]
    for (path, code) in refused {
      #expect(await failure { try await images.image(at: root + path) }?.code == code, "\(path)")
    }
    #expect(server.paths.withLock { $0.filter { $0 == "/loop" }.count } == 4)
  }

  @Test func namesThatLeadInsideAreRefused() async throws {
    let server = try Server(["/a.png": Self.ok(try png())])
    // The name is allowed, but where it leads is not; nor is any other spelling of the open address.
    let images = RemoteImages(
      hosts: try RemoteImageHosts([
        "localhost:\(server.port)", "2130706433:\(server.port)",
        "unsafe-loopback:127.0.0.1:\(server.port)",
      ]))
    for host in ["localhost", "2130706433", "127.1", "0x7f.0.0.1", "[::ffff:127.0.0.1]", "[::1]"] {
      let failure = await failure {
        try await images.image(at: "http://\(host):\(server.port)/a.png")
      }
      #expect(failure?.code == "remote_image", "\(host): \(failure?.message ?? "")")
    }
    for url in [
      "http://example.org/a.png", "http://user:word@127.0.0.1:\(server.port)/a.png", "ftp://a/b",
      "http://127.0.0.1:1/a.png", "http:///a.png", "https://127.0.0.1.example/\u{0}",
      "http://127.0.0.1:\(server.port)/" + String(repeating: "x", count: 5000),
    ] {
      #expect(await failure { try await images.image(at: url) }?.code == "remote_image", "\(url)")
    }
    #expect(server.paths.withLock { $0.isEmpty })
  }

  @Test func entriesAreChecked() throws {
    for wrong in [
      "127.0.0.1", "127.0.0.1:80", "10.0.0.1", "*.example.com", "", ":80", "a:b", "a:0", "a:1:2",
      "http://a", "unsafe-loopback:127.0.0.1", "unsafe-loopback:10.0.0.1:80", ".a",
      "unsafe-loopback:localhost:80", "unsafe-loopback:example.com:80",
    ] {
      let failure = #expect(throws: Failure.self, "\(wrong)") { try RemoteImageHosts([wrong]) }
      #expect(failure?.code == "invalid_image_host")
    }
    let hosts = try RemoteImageHosts(["Example.com", "b.example:8443"])
    #expect(hosts.allows(host: "example.com", port: 443, schemePort: 443))
    #expect(!hosts.allows(host: "example.com", port: 22, schemePort: 443))
    #expect(!hosts.allows(host: "a.example.com", port: 443, schemePort: 443))
    #expect(hosts.allows(host: "b.example", port: 8443, schemePort: 443))
    #expect(!hosts.allows(host: "b.example", port: 443, schemePort: 443))
  }

  @Test(arguments: [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1",
    "64:ff9b::10.0.0.1", "2002:7f00:1::", "2002:a00:1::", "fc00::1", "fd12::1", "fe80::1",
    "fec0::1", "ff02::1", "2001::1", "2001:db8::1", "100::1", "3fff::1", "4000::1",
  ]) func addressesThatAreNotPublic(_ text: String) throws {
    #expect(try !#require(IPAddress(text)).isPublic)
  }

  @Test(arguments: [
    "1.1.1.1", "8.8.8.8", "100.63.0.1", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.1.0.1",
    "198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8", "2002:808:808::",
  ]) func addressesThatArePublic(_ text: String) throws {
    #expect(try #require(IPAddress(text)).isPublic)
  }
}
