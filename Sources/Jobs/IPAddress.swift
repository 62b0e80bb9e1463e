import Foundation
import NIOCore

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
    let isNAT64 =
      Array(bytes[..<4]) == [0, 0x64, 0xFF, 0x9B] && bytes[4..<12].allSatisfy { $0 == 0 }
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

extension IPAddress {
  /// Reads an address as it is written; nil for names.
  init?(_ text: String) {
    let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
    let bare = isBracketed ? String(text.dropFirst().dropLast()) : text
    guard let address = try? SocketAddress(ipAddress: bare, port: 0) else { return nil }
    self.init(address)
  }

  /// The address of a socket.
  init?(_ address: SocketAddress) {
    switch address {
    case .v4(let four): self.init(bytes: withUnsafeBytes(of: four.address.sin_addr) { Array($0) })
    case .v6(let six): self.init(bytes: withUnsafeBytes(of: six.address.sin6_addr) { Array($0) })
    case .unixDomainSocket: return nil
    }
  }
}
