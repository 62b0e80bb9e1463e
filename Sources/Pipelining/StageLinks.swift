import Messaging

/// Sockets to other workers, by worker index. Owned by the thread that made it.
struct StageLinks: ~Copyable {
  // Noncopyable sockets can't be in an array; a small class owns each.
  private final class Link {
    let socket: Socket
    init(_ socket: consuming Socket) { self.socket = socket }
  }
  private let links: [Int: Link]

  /// Connects to each of `workers`, protected as `protection` says.
  init(
    _ workers: [WorkerAddress], in context: Context, highWaterMark: Int, _ protection: Links
  ) throws(MessagingError) {
    var links: [Int: Link] = [:]
    var options = SocketOptions()
    options.sendHighWaterMark = highWaterMark
    options.lingerMilliseconds = 0
    for worker in workers where links[worker.worker] == nil {
      let socket = try Socket(
        .push, in: context,
        options: worker.worker == WorkerAddress.coordinator
          ? protection.toCoordinator(options)
          : protection.toWorker(options, publicKey: worker.publicKey))
      try socket.connect(worker.endpoint)
      links[worker.worker] = Link(socket)
    }
    self.links = links
  }

  /// Sends a message to worker `index`.
  ///
  /// - Returns: its bytes.
  @discardableResult
  func send(_ message: StageMessage, to index: Int, wait: Wait) throws(MessagingError) -> Int {
    guard let link = links[index] else {
      throw MessagingError(
        code: .unreachable, operation: "send", cause: "worker \(index) is not in the plan",
        remedy: "this is a mistake in Palisade; please report it")
    }
    let frames = try message.encode()
    try link.socket.send(frames, wait: wait)
    return frames.reduce(0) { $0 + $1.byteCount }
  }

  /// Tells all workers that the way to them is open; one that takes nothing now does without.
  func pulse(_ pulse: Pulse) {
    for index in links.keys { _ = try? send(.pulse(pulse), to: index, wait: .never) }
  }
}
