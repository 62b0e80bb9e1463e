import Messaging

/// The hosts that pictures may be fetched from: an entry names a host, and perhaps a port.
public struct RemoteImageHosts: Sendable, Equatable {
  private struct Entry: Sendable, Equatable {
    let host: String
    let port: Int?
    /// A literal loopback address, opened on purpose.
    let isUnsafe: Bool
  }
  private let entries: [Entry]
  /// What stands in front of a loopback address that is opened on purpose.
  static let unsafePrefix = "unsafe-loopback:"

  /// Whether nothing is allowed.
  public var isEmpty: Bool { entries.isEmpty }

  /// Reads entries: `images.example.com` or `images.example.com:8443`.
  ///
  /// Addresses are refused, and so is every name that leads to a private one, whatever stands here. The
  /// one exception is for tests, and cannot be written by accident: `unsafe-loopback:127.0.0.1:PORT`
  /// opens exactly that address and port, for URLs that have them literally; a name that leads there
  /// stays refused.
  ///
  /// - Throws: `invalid_image_host`, naming the entry.
  public init(_ texts: [String]) throws(Failure) {
    var entries: [Entry] = []
    for text in texts { entries.append(try Self.entry(text)) }
    self.entries = entries
  }

  private static func entry(_ text: String) throws(Failure) -> Entry {
    func refuse(_ why: String) -> Failure {
      Failure(code: "invalid_image_host", message: "\"\(text.prefix(100))\": \(why)")
    }
    let isUnsafe = text.hasPrefix(unsafePrefix)
    let parts = text.dropFirst(isUnsafe ? unsafePrefix.count : 0)
      .split(separator: ":", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), let host = parts.first?.lowercased(), !host.isEmpty else {
      throw refuse("give a host such as images.example.com, or with a port, example.com:8443")
    }
    let port = parts.count == 2 ? UInt16(parts[1]).map(Int.init) : nil
    guard parts.count == 1 || (port ?? 0) > 0 else { throw refuse("the port must be 1 to 65535") }
    if isUnsafe {
      guard let address = IPAddress(host), address.isLoopback, port != nil else {
        throw refuse("\(unsafePrefix) takes a loopback address and a port, 127.0.0.1:PORT")
      }
      return Entry(host: host, port: port, isUnsafe: true)
    }
    guard IPAddress(host) == nil else { throw refuse("give a host's name, not its address") }
    let isName = host.utf8.allSatisfy {
      (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 46
    }
    guard isName, !host.hasPrefix("."), !host.hasSuffix(".") else {
      throw refuse("this is no host's name; patterns aren't supported")
    }
    return Entry(host: host, port: port, isUnsafe: false)
  }

  /// Whether pictures may be fetched from this host and port.
  ///
  /// An entry without a port means the port of the scheme.
  func allows(host: String, port: Int, schemePort: Int) -> Bool {
    entries.contains { $0.host == host && ($0.port ?? schemePort) == port }
  }

  /// Whether this literal address was opened on purpose.
  func isUnsafelyOpen(host: String, port: Int) -> Bool {
    entries.contains { $0.isUnsafe && $0.host == host && $0.port == port }
  }
}
