import Foundation

/// Which endpoints stay on this machine, and so may be spoken to in plain text.
public enum EndpointPolicy {
  /// Whether `endpoint` is `inproc://`, `ipc://`, or `tcp://` on a literal loopback address.
  ///
  /// Names other than `localhost` are not looked up: what they mean may change. An endpoint with a
  /// source address (`tcp://a:1;b:2`) is judged to leave the machine.
  public static func isLocal(_ endpoint: String) -> Bool {
    if endpoint.hasPrefix("inproc://") || endpoint.hasPrefix("ipc://") { return true }
    guard endpoint.hasPrefix("tcp://"), !endpoint.contains(";") else { return false }
    let rest = endpoint.dropFirst("tcp://".count)
    guard let colon = rest.lastIndex(of: ":") else { return false }
    let host = rest[..<colon]
    if host == "localhost" || host == "[::1]" { return true }
    var address = in_addr()
    guard inet_pton(AF_INET, String(host), &address) == 1 else { return false }
    return UInt32(bigEndian: address.s_addr) >> 24 == 127
  }

  /// What is wrong with the form of `endpoint`; nil when it is one that ZeroMQ understands.
  static func malformation(of endpoint: String) -> String? {
    if endpoint.hasPrefix("inproc://") || endpoint.hasPrefix("ipc://") { return nil }
    guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") else {
      return "it is not tcp://ADDRESS:PORT or ipc:///path"
    }
    let port = endpoint[endpoint.index(after: colon)...]
    // ZeroMQ itself takes a port modulo 65536.
    return port == "*" || UInt16(port) != nil ? nil : "'\(port)' is no port; they go to 65535"
  }

  /// Refuses what is no endpoint, and a plain socket on one that leaves the machine.
  public static func check(
    _ endpoint: String,
    security: Security,
    operation: String
  ) throws(MessagingError) {
    if let malformation = malformation(of: endpoint) {
      throw MessagingError(
        code: .invalidEndpoint, operation: operation, endpoint: endpoint, cause: malformation,
        remedy: "give one like tcp://127.0.0.1:7400 or ipc:///tmp/palisade")
    }
    guard case .plain = security, !isLocal(endpoint) else { return }
    throw MessagingError(
      code: .insecure,
      operation: operation,
      endpoint: endpoint,
      cause: "a plain socket would leave this machine unencrypted and open to anybody",
      remedy:
        "use a loopback address, or give every process its key: `palisade keys init` makes them"
    )
  }
}
