import CZeroMQ
import Foundation

/// Waits for any of several sockets and file descriptors.
///
/// It belongs to its sockets' thread, and
/// keeps them open while it lives.
public struct Poller: ~Copyable {
  /// What to wait for, or what has come.
  public struct Events: OptionSet, Sendable {
    /// The bits as ZeroMQ has them.
    public let rawValue: Int16
    /// Takes the bits as ZeroMQ has them.
    public init(rawValue: Int16) { self.rawValue = rawValue }
    /// A message, or bytes, can be read.
    public static let readable = Events(rawValue: Int16(ZMQ_POLLIN))
    /// A message, or bytes, can be written.
    public static let writable = Events(rawValue: Int16(ZMQ_POLLOUT))
    /// The file descriptor failed or was hung up.
    public static let failed = Events(rawValue: Int16(ZMQ_POLLERR))
  }

  /// Names one source within its poller.
  public struct Source: Sendable, Hashable {
    let index: Int
  }

  private var items: [zmq_pollitem_t] = []
  private var handles: [SocketHandle] = []

  /// Makes a poller that waits for nothing yet.
  public init() {}

  /// Adds a socket.
  public mutating func add(_ socket: borrowing Socket, _ events: Events = .readable) -> Source {
    handles.append(socket.handle)
    items.append(
      zmq_pollitem_t(socket: socket.handle.pointer, fd: 0, events: events.rawValue, revents: 0)
    )
    return Source(index: items.count - 1)
  }

  /// Adds a file descriptor, such as a mailbox's `wakeup`; it must stay open while polled.
  public mutating func add(fileDescriptor: Int32, _ events: Events = .readable) -> Source {
    items.append(
      zmq_pollitem_t(socket: nil, fd: fileDescriptor, events: events.rawValue, revents: 0)
    )
    return Source(index: items.count - 1)
  }

  /// Changes what is waited for; an empty set pauses the source, which is how to stop reading.
  public mutating func watch(_ source: Source, for events: Events) {
    guard items.indices.contains(source.index) else { return }
    items[source.index].events = events.rawValue
  }

  /// Waits until a source is ready.
  ///
  /// - Returns: false when the time has passed and nothing is.
  /// - Throws: `.terminated` after a shutdown of the context.
  public mutating func wait(_ wait: Wait) throws(MessagingError) -> Bool {
    let deadline = Deadline(wait)
    while true {
      let milliseconds = deadline.remainingMilliseconds
      let count = zmq_poll(&items, Int32(clamping: items.count), milliseconds)
      if count > 0 { return true }
      if count == 0 && deadline.remainingMilliseconds == 0 { return false }
      if count < 0 && zmq_errno() != EINTR { throw .zeroMQ("poll") }
    }
  }

  /// What the last wait found for `source`.
  public func events(of source: Source) -> Events {
    guard items.indices.contains(source.index) else { return [] }
    return Events(rawValue: items[source.index].revents)
  }
}
