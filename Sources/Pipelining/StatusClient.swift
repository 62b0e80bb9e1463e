import Messaging

/// Asks a coordinator how its cluster is, as often as wanted. Used by one thread at a time.
public struct StatusClient: ~Copyable {
  private let socket: Socket

  /// Connects, which succeeds whether or not somebody listens.
  ///
  /// - Throws: when the endpoint is none, or leaves the machine without keys.
  public init(_ endpoint: String, links: Links = .local) throws(MessagingError) {
    let context = try Context()
    var options = SocketOptions()
    options.identity = Endpoints.clientIdentity()
    options.isImmediate = false
    options.lingerMilliseconds = 0
    let socket = try Socket(.dealer, in: context, options: links.toCoordinator(options))
    try socket.connect(endpoint)
    self.socket = socket
  }

  /// Asks for the state of the pipeline.
  ///
  /// - Returns: nil when no answer came in `milliseconds`.
  public func status(milliseconds: Int) throws(MessagingError) -> Status? {
    try ask(.status, milliseconds: milliseconds) { message in
      if case .status(let status) = message { status } else { nil }
    }
  }

  /// Asks what the stages computed lately: at most `spanCount` spans.
  ///
  /// - Returns: nil when no answer came in `milliseconds`.
  public func trace(spanCount: Int, milliseconds: Int) throws(MessagingError) -> Trace? {
    try ask(.trace(spanCount: spanCount), milliseconds: milliseconds) { message in
      if case .trace(let trace) = message { trace } else { nil }
    }
  }

  /// Orders something of the cluster.
  ///
  /// - Returns: nil when no answer came in `milliseconds`; whether it was followed is not known then.
  public func order(
    _ order: ClusterOrder, milliseconds: Int
  ) throws(MessagingError) -> OrderAnswer? {
    try ask(.order(order), milliseconds: milliseconds) { message in
      if case .orderAnswer(let answer) = message { answer } else { nil }
    }
  }

  /// One question on a connection of its own.
  public static func ask(
    _ endpoint: String, links: Links = .local, milliseconds: Int
  ) throws(MessagingError) -> Status? {
    try StatusClient(endpoint, links: links).status(milliseconds: milliseconds)
  }

  /// A late answer to an earlier question of another kind is passed over.
  private func ask<Value>(
    _ question: ClientMessage, milliseconds: Int, _ read: (ServerMessage) -> Value?
  ) throws(MessagingError) -> Value? {
    try socket.send(question.encode())
    let deadline = Clock.milliseconds + milliseconds
    while true {
      let left = deadline - Clock.milliseconds
      guard left >= 0, let frames = try socket.receive(wait: .milliseconds(left)) else {
        return nil
      }
      if let value = read(try ServerMessage.decode(frames)) { return value }
    }
  }
}
