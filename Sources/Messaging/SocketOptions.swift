/// What ZeroMQ pattern a socket follows.
public enum SocketKind: Sendable {
  /// Sends to whoever pulls, in turn.
  case push
  /// Receives from whoever pushes.
  case pull
  /// Talks to one router, by its own identity.
  case dealer
  /// Talks to many dealers; each message begins with the peer's identity.
  case router
  /// Answers questions one by one.
  case reply
}

/// Everything that is set on a socket before it binds or connects.
public struct SocketOptions: Sendable, Equatable {
  /// Messages queued per peer before sending is refused; 0 would mean no bound and is not allowed.
  public var sendHighWaterMark = 64
  /// Messages queued per peer before ZeroMQ stops reading from it.
  public var receiveHighWaterMark = 64
  /// How long closing waits for messages not yet sent.
  public var lingerMilliseconds = 1000
  /// Queue only for peers that are there; else a message for a dead peer waits in its queue.
  public var isImmediate = true
  /// Router: an unknown identity is an error, not a silent loss.
  public var isRouterMandatory = true
  /// Router: a peer that reconnects under a known identity takes over from its dead connection.
  public var isRouterHandover = true
  /// Dealer: the identity shown to a router, 1 to 255 bytes, the first not 0; empty lets it choose.
  public var identity: [UInt8] = []
  /// What one received message may measure; a larger frame closes the connection.
  public var limits = MessageLimits.standard
  /// How long a peer may take to say who it is; then its connection is closed.
  public var handshakeMilliseconds = 10_000
  /// How often ZeroMQ pings an idle peer of a plain socket (ZMTP heartbeats); 0 never.
  public var heartbeatMilliseconds = 2000
  /// Silence after which ZeroMQ drops a connection.
  public var heartbeatTimeoutMilliseconds = 10_000
  /// Whether TCP itself probes idle connections (after 30 s, every 10 s, 3 times).
  public var keepsAlive = true
  /// How long to wait before connecting again.
  public var reconnectMilliseconds = 100
  /// The longest wait before connecting again; the wait doubles up to here.
  public var maximumReconnectMilliseconds = 2000
  /// How the connection is protected.
  public var security = Security.plain
  /// Allows a plain socket on an endpoint that leaves the machine; never a default.
  public var allowsPlainOffHost = false

  /// The defaults.
  public init() {}
}
