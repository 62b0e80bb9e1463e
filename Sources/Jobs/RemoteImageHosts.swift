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

/// An IPv4 or IPv6 address, as far as one must know where it leads.
struct IPAddress: Sendable, Equatable {
  /// 4 or 16 bytes, in network order.
  let bytes: [UInt8]

  /// Takes 4 or 16 bytes.
  init?(bytes: [UInt8]) {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    self.bytes = bytes
  }

  /// Whether it leads to this machine itself.
  var isLoopback: Bool {
    if let inner = embedded { return inner.isLoopback }
    if bytes.count == 4 { return bytes[0] == 127 }
    return bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
  }

  /// Whether it is an address of the public internet: none that IANA's registries of special
  /// addresses keep for other purposes.
  var isPublic: Bool {
    if let inner = embedded { return inner.isPublic }
    return bytes.count == 4 ? isPublic4 : isPublic6
  }

  /// The IPv4 address that an IPv6 one stands for: mapped (::ffff:a.b.c.d), compatible (::a.b.c.d),
  /// NAT64 (64:ff9b::/96) and 6to4 (2002::/16). It leads where the inner one leads.
  private var embedded: IPAddress? {
    guard bytes.count == 16 else { return nil }
    let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 255 && bytes[11] == 255
    let isCompatible = bytes[..<12].allSatisfy { $0 == 0 } && bytes[12] != 0
    let isNAT64 = Array(bytes[..<4]) == [0, 0x64, 0xFF, 0x9B] && bytes[4..<12].allSatisfy { $0 == 0 }
    if isMapped || isCompatible || isNAT64 { return IPAddress(bytes: Array(bytes[12...])) }
    if bytes[0] == 0x20 && bytes[1] == 0x02 { return IPAddress(bytes: Array(bytes[2..<6])) }
    return nil
  }

  private var isPublic4: Bool {
    let (a, b, c) = (bytes[0], bytes[1], bytes[2])
    switch a {
    case 0, 10, 127: return false  // this network, private, loopback
    case 100: return !(64...127).contains(b)  // carrier-grade NAT
    case 169: return b != 254  // link-local, the metadata services of clouds among them
    case 172: return !(16...31).contains(b)  // private
    case 192:
      if b == 168 { return false }  // private
      if b == 0 && (c == 0 || c == 2) { return false }  // protocol assignments, documentation
      return !(b == 88 && c == 99)  // 6to4 relays
    case 198: return !(b == 18 || b == 19 || b == 51 && c == 100)  // benchmarks, documentation
    case 203: return !(b == 0 && c == 113)  // documentation
    default: return a < 224  // multicast and reserved
    }
  }

  private var isPublic6: Bool {
    // Only 2000::/3 is given out to the public internet.
    guard bytes[0] & 0xE0 == 0x20 else { return false }
    // 2001::/23 are protocols (Teredo carries an IPv4 address), 2001:db8::/32 documentation.
    if bytes[0] == 0x20 && bytes[1] == 0x01 {
      if bytes[2] < 2 { return false }
      return !(bytes[2] == 0x0D && bytes[3] == 0xB8)
    }
    return !(bytes[0] == 0x3F && bytes[1] == 0xFF && bytes[2] & 0xF0 == 0)  // documentation
  }
}
