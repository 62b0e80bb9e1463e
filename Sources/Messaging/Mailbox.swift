import CZeroMQ
import Foundation
import Synchronization

/// Values handed to a socket thread from any other: a bounded queue, and an eventfd for its poller.
///
/// The lock is held to append or to swap only, never across a C call or an `await`.
public final class Mailbox<Element: Sendable>: Sendable {
  /// Readable while something waits; give it to `Poller.add(fileDescriptor:)`.
  public let wakeup: Int32
  /// How many elements may wait.
  public let capacity: Int
  private let elements = Mutex<[Element]>([])

  /// Makes an empty mailbox; fails when the process has no file descriptor left.
  public init(capacity: Int) throws(MessagingError) {
    wakeup = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
    self.capacity = max(1, capacity)
    guard wakeup >= 0 else {
      throw MessagingError(
        code: .system(errno),
        operation: "make a mailbox",
        cause: String(cString: strerror(errno)),
        remedy: "raise the limit of open files (ulimit -n)"
      )
    }
  }

  deinit { if wakeup >= 0 { close(wakeup) } }

  /// Leaves `element` for the owner and wakes it.
  ///
  /// - Returns: false when the mailbox is full; the element was not taken.
  public func post(_ element: Element) -> Bool {
    let isAccepted = elements.withLock { elements in
      guard elements.count < capacity else { return false }
      elements.append(element)
      return true
    }
    if isAccepted { eventfd_write(wakeup, 1) }
    return isAccepted
  }

  /// Takes everything that waits, oldest first, and clears the wake-up.
  public func takeAll() -> [Element] {
    var count: eventfd_t = 0
    // Cleared before the swap: a post in between wakes the owner once more, in vain but harmless.
    eventfd_read(wakeup, &count)
    return elements.withLock { elements in
      let taken = elements
      elements = []
      return taken
    }
  }
}
