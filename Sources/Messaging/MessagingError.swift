/// Why a message could not be sent, received, written or read.
public struct MessagingError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What kind of thing went wrong; a closed set, for callers to decide on.
  public enum Code: Sendable, Equatable {
    /// The socket could not take the message now: its high-water mark is reached or no peer is there.
    case wouldBlock
    /// The same, and the time given has passed.
    case timedOut
    /// A router knows no peer of that identity (any more).
    case unreachable
    /// The context was shut down.
    case terminated
    /// The endpoint cannot be bound because somebody else has it.
    case addressInUse
    /// The endpoint is not one ZeroMQ understands or can reach.
    case invalidEndpoint
    /// Policy forbids this: a plain socket on an endpoint that leaves the machine.
    case insecure
    /// More frames or bytes than `MessageLimits` allow.
    case tooLarge
    /// The other end speaks another version of the protocol.
    case versionMismatch
    /// The bytes are not a message of the protocol, or a value is out of its bounds.
    case malformed
    /// A payload does not match its checksum.
    case checksumMismatch
    /// The operating system or ZeroMQ refused; the number is errno.
    case system(Int32)
  }

  /// What kind of thing went wrong.
  public let code: Code
  /// What was being done, such as "bind" or "decode MicroBatch".
  public let operation: String
  /// Where; empty when no endpoint is involved.
  public let endpoint: String
  /// What was found, in words.
  public let cause: String
  /// What to do about it.
  public let remedy: String

  /// Makes an error from its parts.
  public init(
    code: Code,
    operation: String,
    endpoint: String = "",
    cause: String,
    remedy: String
  ) {
    self.code = code
    self.operation = operation
    self.endpoint = endpoint
    self.cause = cause
    self.remedy = remedy
  }

  /// Whether a message was no good, rather than a socket or a peer.
  public var isOfTheMessage: Bool {
    switch code {
    case .malformed, .tooLarge, .versionMismatch, .checksumMismatch: true
    default: false
    }
  }

  /// One line for a log: operation, endpoint, cause, remedy.
  public var description: String {
    let place = endpoint.isEmpty ? "" : " \(endpoint)"
    return "\(operation)\(place): \(cause); \(remedy)"
  }

  /// A value outside its bounds, in a message read or about to be written.
  static func malformed(_ field: String, _ cause: String) -> MessagingError {
    MessagingError(
      code: .malformed,
      operation: field,
      cause: cause,
      remedy: "drop this message; if it repeats, the sender is broken or not a Palisade process"
    )
  }

  /// More than the bounds allow.
  static func tooLarge(_ field: String, _ count: Int, atMost maximum: Int) -> MessagingError {
    MessagingError(
      code: .tooLarge,
      operation: field,
      cause: "\(count) is more than the \(maximum) allowed",
      remedy: "send less in one message, or raise the bound in MessageLimits"
    )
  }
}
