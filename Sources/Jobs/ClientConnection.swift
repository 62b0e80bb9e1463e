import Foundation
import Messaging

/// The client's end of the connection to a coordinator: what its thread runs, and what it owns.
///
/// Four rules keep every request from waiting for ever: a silent coordinator is lost; a connection
/// that broke has taken the requests under way with it, because a coordinator that was started anew
/// answers pings but knows none of them; a reply has a deadline; and the end of the thread answers all.
struct ClientConnection {
  /// How often the thread looks whether the connection stands. ZeroMQ waits longer than that before
  /// it connects again, so no break goes unseen.
  private static let tickMilliseconds = 100
  private static let reconnectMilliseconds = 250

  private let endpoint: String
  private let box: ClientMailbox
  private let options: SocketOptions
  private let patience: RemotePatience
  private var pending: PendingReplies
  private var statusHandlers: [StatusHandler] = []
  private var lastHeard: ContinuousClock.Instant
  private var nextPing: ContinuousClock.Instant
  private var wasHeard = false
  private var isLost = false
  /// Why nobody was ever heard; found out once.
  private var advice: String?
  private var isBroken = false
  private var wantsWriting = false

  init(
    endpoint: String, box: ClientMailbox, options: SocketOptions, patience: RemotePatience
  ) {
    self.endpoint = endpoint
    self.box = box
    self.options = options
    self.patience = patience
    pending = PendingReplies(patience: patience)
    lastHeard = .now
    nextPing = .now
  }

  /// The identity tells the coordinator that this is a client, and not a worker.
  static func options(_ links: Links) -> SocketOptions {
    var options = SocketOptions()
    options.identity = Array("client:\(UUID().uuidString)".utf8)
    options.sendHighWaterMark = JobLimits.clientHighWaterMark
    options.receiveHighWaterMark = JobLimits.clientHighWaterMark
    options.reconnectMilliseconds = reconnectMilliseconds
    options.lingerMilliseconds = 200
    return links.toCoordinator(options)
  }

  /// Refuses what the protocol could not carry, before it is sent.
  static func check(_ submit: Submit, of request: AnswerRequest) throws(Failure) {
    guard !request.images.isEmpty else {
      throw Failure(
        code: "no_image", message: "the request has no picture; PaliGemma answers about pictures")
    }
    for image in request.images where image.content.byteCount == 0 {
      throw Failure(code: "invalid_image", message: "\(image.name): the picture has no bytes")
    }
    do { _ = try ClientMessage.submit(submit).encode() } catch {
      throw Failure(
        code: error.code == .tooLarge ? "request_too_large" : "invalid_sampling",
        message: error.description)
    }
  }

  /// Runs until it is told to stop, or the sockets fail.
  consuming func run(in context: Context) {
    var connection = self
    do throws(MessagingError) {
      let socket = try Socket(.dealer, in: context, options: connection.options)
      try socket.connect(connection.endpoint)
      try connection.serve(socket)
      connection.end(Failure(code: "stopped", message: "the client was stopped"))
    } catch {
      connection.end(
        error.code == .terminated
          ? Failure(code: "stopped", message: "the client was stopped") : Failure(error))
    }
  }

  private mutating func end(_ failure: Failure) {
    pending.failAll(failure)
    for handler in statusHandlers { handler.finish(.failure(failure)) }
    statusHandlers = []
    box.close(failure)
  }

  private mutating func serve(_ socket: borrowing Socket) throws(MessagingError) {
    var poller = Poller()
    let source = poller.add(socket)
    _ = poller.add(fileDescriptor: box.mailbox.wakeup)
    var probe = Poller()
    _ = probe.add(socket, .writable)
    while true {
      poller.watch(source, for: wantsWriting ? [.readable, .writable] : .readable)
      _ = try poller.wait(.milliseconds(waitMilliseconds))
      if try takeCommands(socket) { return }
      try receive(socket)
      if try !probe.wait(.never) { isBroken = isBroken || wasHeard }
      try send(socket)
      try watchTime(socket)
    }
  }

  private var waitMilliseconds: Int {
    guard let next = pending.nextSending else { return Self.tickMilliseconds }
    let (seconds, attoseconds) = ContinuousClock.now.duration(to: next).components
    let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
    return Int(min(max(milliseconds, 1), Int64(Self.tickMilliseconds)))
  }

  /// - Returns: whether to stop.
  private mutating func takeCommands(_ socket: borrowing Socket) throws(MessagingError) -> Bool {
    let (commands, cancelled, isStopping) = box.take()
    for command in commands {
      switch command {
      case .submit(_, _) where isLost, .status where isLost: command.fail(lostFailure)
      case .submit(let submit, let handler): pending.add(submit, handler, now: .now)
      case .status(let handler):
        statusHandlers.append(handler)
        nextPing = .now
      case .cancel, .stop: continue
      }
    }
    let failure = Failure(code: "cancelled", message: "the request was cancelled")
    for tag in cancelled where pending.finish(tag, .failure(failure)) {
      try withdraw(tag, socket)
    }
    return isStopping
  }

  private mutating func receive(_ socket: borrowing Socket) throws(MessagingError) {
    while true {
      let message: ServerMessage
      do throws(MessagingError) {
        guard let frames = try socket.receive() else { return }
        message = try ServerMessage.decode(frames)
      } catch {
        switch error.code {
        case .versionMismatch: pending.failAll(Failure(error))
        // Not a message of a coordinator: dropped, and no sign of life.
        case .malformed, .tooLarge, .checksumMismatch: break
        default: throw error
        }
        continue
      }
      if isBroken {
        isBroken = false
        pending.failAll(onlySent: true, lostFailure)
      }
      (lastHeard, wasHeard, isLost) = (.now, true, false)
      switch message {
      case .reply(let reply): pending.receive(reply, now: .now)
      case .status(let status):
        for handler in statusHandlers { handler.finish(.success(status)) }
        statusHandlers = []
      case .trace, .orderAnswer: break  // nobody here asks for one
      }
    }
  }

  private mutating func send(_ socket: borrowing Socket) throws(MessagingError) {
    let now = ContinuousClock.now
    wantsWriting = false
    sending: for submit in pending.due(now) {
      do throws(MessagingError) {
        guard try trySend(.submit(submit), socket) else {
          wantsWriting = wasHeard && !isBroken
          break sending
        }
        pending.markSent(submit.tag)
      } catch {
        guard error.code == .tooLarge || error.code == .malformed else { throw error }
        pending.finish(submit.tag, .failure(Failure(error)))
      }
    }
    if nextPing <= now {
      nextPing = now + .milliseconds(patience.pingMilliseconds)
      _ = try trySend(.status, socket)
    }
  }

  private mutating func watchTime(_ socket: borrowing Socket) throws(MessagingError) {
    let now = ContinuousClock.now
    for tag in pending.expire(now) { try withdraw(tag, socket) }
    if lastHeard + .milliseconds(patience.silenceMilliseconds) <= now {
      isLost = true
      if !wasHeard, advice == nil {
        advice = ConnectionTrial.advice(endpoint, options: options)
      }
      pending.failAll(lostFailure)
      for handler in statusHandlers { handler.finish(.failure(lostFailure)) }
      statusHandlers = []
    }
  }

  private func withdraw(_ tag: UInt64, _ socket: borrowing Socket) throws(MessagingError) {
    _ = try trySend(.cancel(tag: tag), socket)
  }

  /// - Returns: false when nobody is connected now.
  private func trySend(
    _ message: ClientMessage, _ socket: borrowing Socket
  ) throws(MessagingError) -> Bool {
    do throws(MessagingError) {
      try socket.send(message.encode())
      return true
    } catch {
      if error.code == .wouldBlock || error.code == .unreachable { return false }
      throw error
    }
  }

  private var lostFailure: Failure {
    let seconds = Double(patience.silenceMilliseconds) / 1000
    if wasHeard {
      return Failure(
        code: "coordinator_lost",
        message: "the coordinator at \(endpoint) stopped or fell silent (waited \(seconds) s); "
          + "start it again with `palisade serve`, then send these requests again")
    }
    return Failure(
      code: "no_coordinator",
      message: "nobody answered at \(endpoint) within \(seconds) s; "
        + (advice ?? "check the endpoint, and that `palisade serve` runs there"))
  }
}
