import Foundation
import Messaging

/// Names of the places and peers of a cluster.
public enum Endpoints {
  private static let workerMark = "worker:"
  private static let clientMark = "client:"

  /// A new identity for a worker's socket.
  static func workerIdentity() -> [UInt8] { Array((workerMark + UUID().uuidString).utf8) }

  /// A new identity for a client's socket.
  public static func clientIdentity() -> [UInt8] { Array((clientMark + UUID().uuidString).utf8) }

  /// Whether a peer calls itself a client; its messages are read as a client's, and no others.
  static func isClient(_ peer: PeerIdentity) -> Bool {
    peer.bytes.starts(with: clientMark.utf8)
  }

  /// Where others reach what a process at `coordinator` has bound as `endpoint`: one that is bound to
  /// every address of its machine is reached by the address the coordinator was.
  static func reachable(_ endpoint: String, asSeenFrom coordinator: String) -> String {
    guard let (host, port) = parts(endpoint), everywhere.contains(host),
      let there = parts(coordinator)
    else { return endpoint }
    return "tcp://\(there.host):\(port)"
  }

  /// What a worker tells others of the endpoint it has bound: for one on every address of its machine,
  /// the address by which it reaches the coordinator.
  static func advertised(_ endpoint: String, toward coordinator: String) -> String {
    guard let (host, port) = parts(endpoint), everywhere.contains(host),
      let there = parts(coordinator),
      let address = LocalAddress.toward(there.host, port: there.port)
    else { return endpoint }
    return "tcp://\(address):\(port)"
  }

  /// What others are told of the endpoint `bound`, where `name` is how they reach this machine: a host,
  /// or a whole endpoint that leads here.
  static func told(_ bound: String, as name: String?) -> String {
    guard let name else { return bound }
    if name.hasPrefix("tcp://") { return name }
    return parts(bound).map { "tcp://\(name):\($0.port)" } ?? bound
  }

  /// Whether `name` may be how others reach a machine: a host's name or address.
  public static func isHost(_ name: String) -> Bool {
    let isBracketed = name.hasPrefix("[") && name.hasSuffix("]") && name.count > 2
    let rest = isBracketed ? String(name.dropFirst().dropLast()) : name
    let allowed = isBracketed ? "0123456789abcdefABCDEF:.%" : nil
    return !rest.isEmpty && rest.utf8.count <= 253 && !everywhere.contains(name)
      && rest.unicodeScalars.allSatisfy { scalar in
        allowed.map { $0.unicodeScalars.contains(scalar) }
          ?? (scalar.isASCII
            && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
              || "-._".unicodeScalars.contains(scalar)))
      }
  }

  /// Whether others can connect to `endpoint` as it is written: a host and a port, neither left open.
  public static func isComplete(_ endpoint: String) -> Bool {
    guard let (host, port) = parts(endpoint) else { return false }
    return !host.isEmpty && !everywhere.contains(host) && UInt16(port) ?? 0 > 0
  }

  /// Stand for every address of a machine.
  private static let everywhere: Set = ["*", "0.0.0.0", "[::]"]

  /// Where a worker takes micro-batches if it isn't told: a free port of the address by which this
  /// machine reaches the coordinator; a file beside the coordinator's.
  static func data(for coordinator: String) -> String {
    if !EndpointPolicy.isLocal(coordinator), let (host, port) = parts(coordinator),
      let address = LocalAddress.toward(host, port: port)
    {
      return "tcp://\(address):*"
    }
    return beside(coordinator, suffix: "worker-\(UUID().uuidString.prefix(8))")
  }

  private static func parts(_ endpoint: String) -> (host: String, port: String)? {
    guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":"),
      case let start = endpoint.index(endpoint.startIndex, offsetBy: 6), start <= colon
    else { return nil }
    let host = endpoint[start..<colon]
    return (String(host), String(endpoint[endpoint.index(after: colon)...]))
  }

  /// An endpoint to bind beside another: the same address and a free port, or a file next to it.
  public static func beside(_ endpoint: String, suffix: String) -> String {
    if endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") {
      return endpoint[..<colon] + ":*"
    }
    return "\(endpoint).\(suffix)"
  }
}
