import CZeroMQ
import Foundation

/// Owns one ZeroMQ socket.
///
/// A class, so that a poller can keep the socket it looks at alive; not
/// Sendable, so that both stay on one thread.
final class SocketHandle {
  let pointer: UnsafeMutableRawPointer
  private let context: Context

  init(_ kind: SocketKind, in context: Context) throws(MessagingError) {
    let type: Int32 =
      switch kind {
      case .push: ZMQ_PUSH
      case .pull: ZMQ_PULL
      case .dealer: ZMQ_DEALER
      case .router: ZMQ_ROUTER
      case .reply: ZMQ_REP
      }
    guard let pointer = zmq_socket(context.handle, type) else { throw .zeroMQ("open a socket") }
    self.pointer = pointer
    self.context = context
  }

  deinit { zmq_close(pointer) }

  func apply(_ options: SocketOptions, kind: SocketKind) throws(MessagingError) {
    try set(ZMQ_SNDHWM, max(1, options.sendHighWaterMark), "send high-water mark")
    try set(ZMQ_RCVHWM, max(1, options.receiveHighWaterMark), "receive high-water mark")
    try set(ZMQ_LINGER, max(0, options.lingerMilliseconds), "linger time")
    try set(ZMQ_IMMEDIATE, options.isImmediate ? 1 : 0, "immediate")
    try set(ZMQ_HANDSHAKE_IVL, max(1, options.handshakeMilliseconds), "handshake time")
    // libzmq 4.3.4 ends the whole process by an assertion when a CURVE connection is pinged; there
    // TCP's own probes and the heartbeats of worker and coordinator must do.
    if options.security == .plain {
      try set(ZMQ_HEARTBEAT_IVL, max(0, options.heartbeatMilliseconds), "heartbeat interval")
      try set(
        ZMQ_HEARTBEAT_TIMEOUT, max(1, options.heartbeatTimeoutMilliseconds), "heartbeat timeout")
    }
    try set(ZMQ_RECONNECT_IVL, max(1, options.reconnectMilliseconds), "reconnect interval")
    try set(
      ZMQ_RECONNECT_IVL_MAX,
      max(1, options.maximumReconnectMilliseconds),
      "reconnect maximum"
    )
    if options.keepsAlive {
      try set(ZMQ_TCP_KEEPALIVE, 1, "TCP keep-alive")
      try set(ZMQ_TCP_KEEPALIVE_IDLE, 30, "TCP keep-alive idle time")
      try set(ZMQ_TCP_KEEPALIVE_INTVL, 10, "TCP keep-alive interval")
      try set(ZMQ_TCP_KEEPALIVE_CNT, 3, "TCP keep-alive count")
    }
    var byteCount = Int64(options.limits.maximumByteCount)
    try check(
      zmq_setsockopt(pointer, ZMQ_MAXMSGSIZE, &byteCount, MemoryLayout<Int64>.size),
      "largest message"
    )
    if kind == .router {
      try set(ZMQ_ROUTER_MANDATORY, options.isRouterMandatory ? 1 : 0, "router mandatory")
      try set(ZMQ_ROUTER_HANDOVER, options.isRouterHandover ? 1 : 0, "router handover")
    }
    if !options.identity.isEmpty {
      try check(
        zmq_setsockopt(pointer, ZMQ_ROUTING_ID, options.identity, options.identity.count),
        "identity"
      )
    }
    try apply(options.security)
  }

  private func apply(_ security: Security) throws(MessagingError) {
    switch security {
    case .plain: return
    case .curveServer(let keys, let door):
      // Where nobody watches, libzmq lets everybody in who has any key.
      guard context.isWatched else {
        throw MessagingError(
          code: .insecure, operation: "open the \(door.rawValue) door",
          cause: "the context has no gatekeeper",
          remedy: "make one first, with Links.gatekeeper(in:)")
      }
      try set(ZMQ_ZAP_DOMAIN, door.rawValue, "door")
      try set(ZMQ_CURVE_SERVER, 1, "CURVE server")
      try set(ZMQ_CURVE_SECRETKEY, keys.secretKey, "CURVE secret key")
    case .curveClient(let keys, let serverPublicKey):
      try CurveKeyPair.check(serverPublicKey, named: "server key")
      try set(ZMQ_CURVE_SERVERKEY, serverPublicKey, "CURVE server key")
      try set(ZMQ_CURVE_PUBLICKEY, keys.publicKey, "CURVE public key")
      try set(ZMQ_CURVE_SECRETKEY, keys.secretKey, "CURVE secret key")
    }
  }

  private func set(_ option: Int32, _ value: Int, _ name: String) throws(MessagingError) {
    var number = Int32(clamping: value)
    try check(zmq_setsockopt(pointer, option, &number, MemoryLayout<Int32>.size), name)
  }

  /// Texts are given without a final NUL; keys are 40 characters of Z85.
  private func set(_ option: Int32, _ text: String, _ name: String) throws(MessagingError) {
    let bytes = Array(text.utf8)
    try check(zmq_setsockopt(pointer, option, bytes, bytes.count), name)
  }

  private func check(_ result: Int32, _ name: String) throws(MessagingError) {
    guard result == 0 else { throw .zeroMQ("set the socket's \(name)") }
  }
}
