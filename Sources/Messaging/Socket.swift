import CZeroMQ
import Foundation

/// How long an operation may wait.
public enum Wait: Sendable, Equatable {
  /// Not at all.
  case never
  /// At most so many milliseconds.
  case milliseconds(Int)
  /// Until it is done or the context is shut down.
  case forever
}

/// Who stands at the other end of a router's connection.
public struct PeerIdentity: Sendable, Hashable {
  /// 1 to 255 bytes.
  public let bytes: [UInt8]
  /// Takes an identity as received, or as set in a dealer's options.
  public init(_ bytes: [UInt8]) { self.bytes = bytes }
}

/// One ZeroMQ socket.
///
/// It belongs to the thread that made it: the handle is not Sendable, so the
/// compiler refuses to let it cross. It closes when the value and every poller over it have gone.
public struct Socket: ~Copyable {
  let handle: SocketHandle
  let options: SocketOptions

  /// Opens a socket of `kind` and sets every option, before any endpoint is known.
  public init(
    _ kind: SocketKind,
    in context: Context,
    options: SocketOptions = SocketOptions()
  ) throws(MessagingError) {
    let handle = try SocketHandle(kind, in: context)
    try handle.apply(options, kind: kind)
    self.handle = handle
    self.options = options
  }

  /// Listens on `endpoint`.
  ///
  /// With port `*` the system chooses; see `lastEndpoint()`.
  public func bind(_ endpoint: String) throws(MessagingError) {
    try attach(endpoint, "bind", zmq_bind)
  }

  /// Stops listening on `endpoint`, spelled as `lastEndpoint()` gave it.
  public func unbind(_ endpoint: String) throws(MessagingError) {
    guard zmq_unbind(handle.pointer, endpoint) == 0 else {
      throw .zeroMQ("unbind", endpoint: endpoint)
    }
  }

  /// Connects to `endpoint`, which need not exist yet; ZeroMQ keeps trying.
  public func connect(_ endpoint: String) throws(MessagingError) {
    try attach(endpoint, "connect", zmq_connect)
  }

  /// Gives up the connection to `endpoint` and what was queued for it.
  public func disconnect(_ endpoint: String) throws(MessagingError) {
    guard zmq_disconnect(handle.pointer, endpoint) == 0 else {
      throw .zeroMQ("disconnect", endpoint: endpoint)
    }
  }

  /// The endpoint bound or connected last, with the port the system chose.
  public func lastEndpoint() throws(MessagingError) -> String {
    var text = [UInt8](repeating: 0, count: 1024)
    var length = text.count
    guard zmq_getsockopt(handle.pointer, ZMQ_LAST_ENDPOINT, &text, &length) == 0 else {
      throw .zeroMQ("read the last endpoint")
    }
    return String(decoding: text.prefix(length).prefix { $0 != 0 }, as: UTF8.self)
  }

  private func attach(
    _ endpoint: String,
    _ operation: String,
    _ call: (UnsafeMutableRawPointer?, UnsafePointer<CChar>?) -> Int32
  ) throws(MessagingError) {
    if !options.allowsPlainOffHost {
      try EndpointPolicy.check(endpoint, security: options.security, operation: operation)
    }
    guard call(handle.pointer, endpoint) == 0 else {
      throw .zeroMQ(operation, endpoint: endpoint)
    }
  }
}
