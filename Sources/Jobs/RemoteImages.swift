import AsyncHTTPClient
import Foundation
import Messaging
import NIOCore
import NIOHTTP1
import NIOPosix

/// Fetches pictures over http and https, from allowed hosts only.
///
/// A name that is allowed may still lead into the network behind the firewall, by mistake or by malice.
/// So the name is resolved first, every address it has must be public, and the connection is made to the
/// address that was checked, not to what the name says a moment later. Redirects are followed by hand,
/// each as if it were the first.
public struct RemoteImages: RemoteImageSource {
  /// Bytes of one picture: a photograph of 50 megapixels at high quality.
  static let byteCount = 32 << 20
  /// Seconds for one picture, redirects included.
  static let seconds: Int64 = 20
  /// Redirects that are followed.
  static let redirectCount = 3
  /// Bytes of an address.
  static let urlByteCount = 4096
  /// Pictures fetched at once over all requests; more wait. Each holds up to `byteCount`.
  static let fetchCount = 16

  private let hosts: RemoteImageHosts
  private let turns = FetchTurns(count: RemoteImages.fetchCount)

  /// Fetches from `hosts`.
  public init(hosts: RemoteImageHosts) { self.hosts = hosts }

  /// The encoded picture at `url`; what it is, its decoder finds out.
  ///
  /// - Throws: `remote_image` when the address isn't allowed, `remote_image_failed` when its server
  ///   doesn't give it, `image_too_large`.
  public func image(at url: String) async throws(Failure) -> EncodedImage {
    await turns.take()
    let result: Result<EncodedImage, Failure> = await withTimeout {
      do throws(Failure) { return .success(try await fetch(url)) } catch { return .failure(error) }
    }
    await turns.giveBack()
    return try result.get()
  }

  private func withTimeout(
    _ work: @escaping @Sendable () async -> Result<EncodedImage, Failure>
  ) async -> Result<EncodedImage, Failure> {
    await withTaskGroup(of: Result<EncodedImage, Failure>.self) { group in
      group.addTask { await work() }
      group.addTask {
        try? await Task.sleep(for: .seconds(Self.seconds))
        return .failure(
          Failure(
            code: "remote_image_failed",
            message: "the picture's server took more than \(Self.seconds) s"))
      }
      let first = await group.next()
      group.cancelAll()
      return first ?? .failure(Failure(code: "cancelled", message: "the picture was given up"))
    }
  }

  private func fetch(_ url: String) async throws(Failure) -> EncodedImage {
    var target = try Target(url, hosts: hosts)
    for _ in 0...Self.redirectCount {
      switch try await request(target) {
      case .image(let bytes):
        let name = target.url.lastPathComponent
        return EncodedImage(name: name.isEmpty ? target.host : name, bytes: bytes)
      case .redirect(let location):
        guard let next = URL(string: location, relativeTo: target.url) else {
          throw Self.failed(target, "its redirect leads nowhere")
        }
        target = try Target(next.absoluteString, hosts: hosts)
      }
    }
    throw Self.failed(target, "it redirects more than \(Self.redirectCount) times")
  }

  private enum Reply {
    case image([UInt8])
    case redirect(String)
  }

  private func request(_ target: Target) async throws(Failure) -> Reply {
    let address = try await target.checkedAddress(hosts: hosts)
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      timeout: HTTPClient.Configuration.Timeout(
        connect: .seconds(Self.seconds / 2), read: .seconds(Self.seconds / 2)))
    // The address that was checked, whatever the name says by now.
    configuration.dnsOverride = [target.host: address]
    configuration.maximumUsesPerConnection = 1
    let client = HTTPClient(
      eventLoopGroupProvider: .singleton, configuration: configuration)
    let result = await Self.execute(target, client)
    try? await client.shutdown()
    return try result.get()
  }

  private static func execute(
    _ target: Target, _ client: HTTPClient
  ) async -> Result<Reply, Failure> {
    var request = HTTPClientRequest(url: target.url.absoluteString)
    request.headers = ["Accept": "image/jpeg, image/png, image/webp", "User-Agent": "palisade"]
    do {
      let response = try await client.execute(request, timeout: .seconds(seconds))
      switch response.status.code {
      case 200:
        let body = try await response.body.collect(upTo: byteCount)
        guard body.readableBytes > 0 else { throw failed(target, "it sent nothing") }
        return .success(.image(Array(body.readableBytesView)))
      case 301, 302, 303, 307, 308:
        guard let location = response.headers.first(name: "Location") else {
          throw failed(target, "it redirects to nowhere")
        }
        return .success(.redirect(location))
      default: throw failed(target, "it answered \(response.status.code)")
      }
    } catch let failure as Failure {
      return .failure(failure)
    } catch is NIOTooManyBytesError {
      return .failure(
        Failure(
          code: "image_too_large",
          message: "the picture has more than \(byteCount) bytes; give a smaller one"))
    } catch { return .failure(failed(target, "it can't be reached or broke off")) }
  }

  private static func failed(_ target: Target, _ why: String) -> Failure {
    Failure(
      code: "remote_image_failed",
      message: "the picture could not be fetched from \(target.host): \(why)")
  }
}

/// An address that may be asked, as far as its name says.
private struct Target {
  let url: URL
  let host: String
  let port: Int

  init(_ text: String, hosts: RemoteImageHosts) throws(Failure) {
    func refuse(_ why: String) -> Failure { Failure(code: "remote_image", message: why) }
    guard text.utf8.count <= RemoteImages.urlByteCount else {
      throw refuse("the picture's address has more than \(RemoteImages.urlByteCount) bytes")
    }
    guard let url = URL(string: text), let scheme = url.scheme?.lowercased(),
      scheme == "http" || scheme == "https", let host = url.host()?.lowercased(), !host.isEmpty
    else { throw refuse("the picture's address is no http or https URL with a host") }
    guard url.user() == nil, url.password() == nil else {
      throw refuse("the picture's address has a user name in it; leave it out")
    }
    let schemePort = scheme == "https" ? 443 : 80
    let port = url.port ?? schemePort
    guard hosts.allows(host: host, port: port, schemePort: schemePort) else {
      throw refuse(
        "pictures from \(host.prefix(100)):\(port) are not fetched; send the picture as a data: "
          + "URI, or allow the host with --allow-image-host")
    }
    (self.url, self.host, self.port) = (url, host, port)
  }

  /// An address of the host, when all it has are public.
  func checkedAddress(hosts: RemoteImageHosts) async throws(Failure) -> String {
    if hosts.isUnsafelyOpen(host: host, port: port) { return host }
    let (host, port) = (host, port)
    let addresses: [SocketAddress]
    do {
      addresses = try await NIOThreadPool.singleton.runIfActive {
        SocketAddress.all(host: host, port: port)
      }
    } catch {
      throw Self.noAddress(host)
    }
    for address in addresses {
      guard let ip = IPAddress(address), ip.isPublic else {
        throw Failure(
          code: "remote_image",
          message: "\(host) leads to an address that isn't public; nothing is fetched from there")
      }
    }
    guard let first = addresses.first?.ipAddress else {
      throw Self.noAddress(host)
    }
    return first
  }

  private static func noAddress(_ host: String) -> Failure {
    Failure(code: "remote_image_failed", message: "the picture's host \(host) has no address")
  }
}

extension SocketAddress {
  /// Every address that the system's resolver has for a name, or none; blocks.
  fileprivate static func all(host: String, port: Int) -> [SocketAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &list) == 0 else { return [] }
    defer { freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = list
    while let info = next?.pointee {
      if let raw = info.ai_addr {
        switch info.ai_family {
        case AF_INET:
          raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            addresses.append(SocketAddress($0.pointee))
          }
        case AF_INET6:
          raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
            addresses.append(SocketAddress($0.pointee))
          }
        default: break
        }
      }
      next = info.ai_next
    }
    return addresses
  }
}

/// Lets so many through at once; the rest wait in order.
private actor FetchTurns {
  private var left: Int
  private var waiting: [CheckedContinuation<Void, Never>] = []

  init(count: Int) { left = count }

  func take() async {
    if left > 0 {
      left -= 1
      return
    }
    await withCheckedContinuation { waiting.append($0) }
  }

  func giveBack() {
    if waiting.isEmpty { left += 1 } else { waiting.removeFirst().resume() }
  }
}
