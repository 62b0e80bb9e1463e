import Foundation

/// The addresses of this machine.
enum LocalAddress {
  /// The address by which this machine reaches `host`, as the kernel's routes have it; no packet is
  /// sent. Brackets stand around one of IPv6.
  ///
  /// - Returns: nil when there is no way to it, or no such host.
  static func toward(_ host: String, port: String) -> String? {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
    guard getaddrinfo(name, port, &hints, &found) == 0, let target = found?.pointee else {
      return nil
    }
    defer { freeaddrinfo(found) }
    let file = socket(target.ai_family, target.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard file >= 0 else { return nil }
    defer { close(file) }
    guard connect(file, target.ai_addr, target.ai_addrlen) == 0 else { return nil }
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let isKnown = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        getsockname(file, address, &length) == 0
          && getnameinfo(
            address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
      }
    }
    guard isKnown else { return nil }
    let address = String(
      decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return target.ai_family == AF_INET6 ? "[\(address)]" : address
  }
}
