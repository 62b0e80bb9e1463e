import CZeroMQ
import Foundation

/// What became of one attempt to connect, for telling a user why nobody answers.
public enum ConnectionTrial: Sendable, Equatable {
  /// Nothing listens there, or no packet comes through.
  case nobody
  /// Something listens, and ended the connection before a word was said: keys that don't go together.
  case turnedAway
  /// The connection stands.
  case connected

  /// The longest that a trial takes; only where packets vanish, all else is known at once.
  static let milliseconds = 1000

  /// Connects to `endpoint` once, with a socket of its own.
  ///
  /// - Throws: when the endpoint is none, or leaves the machine without keys.
  public static func attempt(
    _ endpoint: String, options: SocketOptions
  ) throws(MessagingError) -> ConnectionTrial {
    let context = try Context()
    var options = options
    // It must not take the place of the socket that waits for an answer.
    options.identity = []
    options.lingerMilliseconds = 0
    let socket = try Socket(.dealer, in: context, options: options)
    let name = "inproc://trial"
    let events =
      ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED
      | ended | ZMQ_EVENT_HANDSHAKE_SUCCEEDED
    guard zmq_socket_monitor(socket.handle.pointer, name, events) == 0,
      let monitor = zmq_socket(context.handle, ZMQ_PAIR)
    else { throw .zeroMQ("watch a connection") }
    defer { zmq_close(monitor) }
    guard zmq_connect(monitor, name) == 0 else { throw .zeroMQ("watch a connection") }
    try socket.connect(endpoint)
    return follow(monitor)
  }

  private static let ended =
    ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
    | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH

  private static func follow(_ monitor: UnsafeMutableRawPointer) -> ConnectionTrial {
    let deadline = Deadline(.milliseconds(milliseconds))
    var isThere = false
    while let event = next(monitor, deadline) {
      if event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED { return .connected }
      guard event == ZMQ_EVENT_CONNECTED else {
        return isThere || event & ended != 0 ? .turnedAway : .nobody
      }
      isThere = true
    }
    return isThere ? .turnedAway : .nobody
  }

  /// The number of the next event; nil when none came in time.
  private static func next(
    _ monitor: UnsafeMutableRawPointer, _ deadline: Deadline
  ) -> Int32? {
    var item = zmq_pollitem_t(socket: monitor, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
    guard zmq_poll(&item, 1, deadline.remainingMilliseconds) > 0 else { return nil }
    guard case .frame(let number, _, _) = receiveFrame(from: monitor, flags: 0),
      // The second frame is the endpoint, which is known.
      case .frame = receiveFrame(from: monitor, flags: 0), number.byteCount >= 2
    else { return nil }
    return number.withBytes { Int32($0.loadUnaligned(as: UInt16.self)) }
  }

  /// What a user can do about it, to be put behind "nobody answers at …; ".
  public static func advice(_ endpoint: String, options: SocketOptions) -> String {
    let isKeyed = options.security != .plain
    switch try? attempt(endpoint, options: options) {
    case .turnedAway where isKeyed:
      return "something listens there and turned this key away: it has no keys, is another "
        + "cluster's, or doesn't let this one in (`palisade keys list` on its machine says whom it "
        + "does)"
    case .turnedAway:
      return
        "something listens there and turned this process away: it has keys, so give one that it "
        + "lets in with --key FILE"
    case .connected:
      return "something listens there and is silent: look at its log, or try again in a moment"
        + (isKeyed ? "; it hears no key that is of another role" : "")
    case .nobody, nil:
      return "nothing listens there: start a coordinator with `palisade serve`, or check the "
        + "endpoint and the network"
    }
  }
}
