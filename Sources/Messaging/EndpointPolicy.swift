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

  /// Refuses a plain socket on an endpoint that leaves the machine.
  public static func check(
    _ endpoint: String,
    security: Security,
    operation: String
  ) throws(MessagingError) {
    guard case .plain = security, !isLocal(endpoint) else { return }
    throw MessagingError(
      code: .insecure,
      operation: operation,
      endpoint: endpoint,
      cause: "a plain socket would leave this machine unencrypted and open to anybody",
      remedy: "give CURVE keys, or use a loopback address"
    )
  }
}
