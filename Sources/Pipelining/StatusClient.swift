import Messaging

/// Asks a coordinator how its cluster is.
public enum StatusClient {
  /// Sends one question and waits for the answer.
  ///
  /// - Parameters:
  ///   - endpoint: where the coordinator listens.
  ///   - milliseconds: how long to wait.
  /// - Returns: nil when no answer came in time.
  /// - Throws: when the endpoint is none, or leaves the machine without keys.
  public static func ask(
    _ endpoint: String, milliseconds: Int
  ) throws(MessagingError) -> Status? {
    let context = try Context()
    var options = SocketOptions()
    options.identity = Endpoints.clientIdentity()
    options.isImmediate = false
    options.lingerMilliseconds = 0
    let socket = try Socket(.dealer, in: context, options: options)
    try socket.connect(endpoint)
    try socket.send(ClientMessage.status.encode())
    guard let frames = try socket.receive(wait: .milliseconds(milliseconds)) else { return nil }
    guard case .status(let status) = try ServerMessage.decode(frames) else { return nil }
    return status
  }
}
