import Foundation
import Messaging
import Synchronization

/// How patient a client of a coordinator is.
public struct RemotePatience: Sendable, Equatable {
  /// How often the coordinator is asked whether it lives.
  public var pingMilliseconds = 1000
  /// Silence after which the coordinator counts as lost, or as never there.
  public var silenceMilliseconds = 6000
  /// The first wait after a busy reply; it doubles up to `busyMillisecondsMaximum`.
  public var busyMilliseconds = 50
  /// The longest wait after a busy reply.
  public var busyMillisecondsMaximum = 1000
  /// The longest wait for one reply of a coordinator that lives: a whole queue of long answers from
  /// a slow cluster, and an end to the wait if a reply was lost on the way.
  public var replyMilliseconds = 1_800_000

  /// The standard patience.
  public init() {}
}

/// Answers requests through a coordinator in another process.
///
/// One thread owns the socket; callers leave their requests in its bounded mailbox and wait. Every
/// request gets an answer or a failure: `no_coordinator` when nobody ever answered at the endpoint,
/// `coordinator_lost` when it fell silent or was started anew, `reply_timeout`, `overloaded`,
/// `cancelled`, `stopped`, or whatever failure the coordinator replied.
public final class RemoteAnswerService: AnswerService {
  /// Where the coordinator is.
  public let endpoint: String
  private let box: ClientMailbox
  private let nextTag = Atomic<UInt64>(1)

  /// Starts the client's thread; whether a coordinator is there shows with the first request.
  ///
  /// - Parameters:
  ///   - endpoint: of the coordinator's client socket.
  ///   - context: whose I/O thread moves the bytes; nil to make one.
  ///   - links: how the connection is protected.
  ///   - patience: how long to wait for what.
  /// - Throws: `invalid_endpoint`, `insecure_endpoint` or `messaging`.
  public init(
    endpoint: String, context: Context? = nil, links: Links = .local,
    patience: RemotePatience = RemotePatience()
  ) throws(Failure) {
    self.endpoint = endpoint
    // Before the policy looks at it, which takes a typing error for a distant machine.
    guard ["tcp://", "ipc://", "inproc://"].contains(where: endpoint.hasPrefix) else {
      throw Failure(
        code: "invalid_endpoint",
        message: "'\(endpoint)' is no endpoint; write tcp://address:port or ipc:///path")
    }
    do throws(MessagingError) {
      let context = if let context { context } else { try Context() }
      // A socket made and dropped here shows a wrong endpoint at once, not in the thread.
      let options = ClientConnection.options(links)
      try Socket(.dealer, in: context, options: options).connect(endpoint)
      box = try ClientMailbox(capacity: JobLimits.pendingRequestCount)
      let box = box
      let thread = Thread {
        ClientConnection(
          endpoint: endpoint, box: box, options: options, patience: patience
        ).run(in: context)
      }
      thread.name = "client"
      thread.stackSize = 1 << 20
      thread.start()
    } catch { throw Failure(error) }
  }

  /// Answers one request, the text in one piece. Cancelling the task withdraws it from the
  /// coordinator.
  public func answer(
    _ request: AnswerRequest, onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer {
    let tag = nextTag.wrappingAdd(1, ordering: .relaxed).oldValue
    let submit = Submit(request, tag: tag)
    try ClientConnection.check(submit, of: request)
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        box.post(.submit(submit, ReplyHandler { continuation.resume(returning: $0) }))
        // A cancellation that came before the submission was posted found nothing to cancel.
        if Task.isCancelled { box.post(.cancel(tag)) }
      }
    } onCancel: {
      box.post(.cancel(tag))
    }
    let answer = try result.get().answer.get()
    onDelta?(AnswerDelta(text: answer.text, tokens: answer.logprobs))
    return answer
  }

  /// Asks the coordinator how its pipeline is.
  public func status() async throws(Failure) -> Status {
    let result = await withCheckedContinuation { continuation in
      box.post(.status(StatusHandler { continuation.resume(returning: $0) }))
    }
    return try result.get()
  }

  /// Ends the client's thread; requests still waiting fail with `stopped`.
  public func stop() { box.post(.stop) }

  deinit { box.post(.stop) }
}

/// Called once with a reply, or with why there is none.
struct ReplyHandler: Sendable {
  let finish: @Sendable (Result<Reply, Failure>) -> Void
  init(_ finish: @escaping @Sendable (Result<Reply, Failure>) -> Void) { self.finish = finish }
}

/// Called once with a status, or with why there is none.
struct StatusHandler: Sendable {
  let finish: @Sendable (Result<Status, Failure>) -> Void
  init(_ finish: @escaping @Sendable (Result<Status, Failure>) -> Void) { self.finish = finish }
}

/// The way into the client's thread. Whoever posts gets an answer, whether the mailbox is full or the
/// thread has ended.
final class ClientMailbox: Sendable {
  enum Command: Sendable {
    case submit(Submit, ReplyHandler)
    case status(StatusHandler)
    case cancel(UInt64)
    case stop

    func fail(_ failure: Failure) {
      switch self {
      case .submit(_, let handler): handler.finish(.failure(failure))
      case .status(let handler): handler.finish(.failure(failure))
      case .cancel, .stop: return
      }
    }
  }

  private struct State {
    var end: Failure?
    // Beside the bounded mailbox, because these must not be refused; one per pending request.
    var cancelled: Set<UInt64> = []
    var isStopping = false
  }

  let mailbox: Mailbox<Command>
  private let state = Mutex(State())

  init(capacity: Int) throws(MessagingError) { mailbox = try Mailbox(capacity: capacity) }

  func post(_ command: Command) {
    let refusal = state.withLock { state -> Failure? in
      if let end = state.end { return end }
      switch command {
      case .cancel(let tag): state.cancelled.insert(tag)
      case .stop: state.isStopping = true
      case .submit, .status:
        if mailbox.post(command) { return nil }
        return Failure(
          code: "overloaded",
          message: "\(mailbox.capacity) requests wait already; send fewer at once")
      }
      // Wakes the thread; when the mailbox is full it is awake already.
      _ = mailbox.post(command)
      return nil
    }
    if let refusal { command.fail(refusal) }
  }

  /// Everything that was posted, and whether to stop. Cancellations come behind submissions.
  func take() -> (commands: [Command], cancelled: Set<UInt64>, isStopping: Bool) {
    state.withLock { state in
      defer { state.cancelled = [] }
      return (mailbox.takeAll(), state.cancelled, state.isStopping)
    }
  }

  /// Answers everybody who posted or will post with `failure`.
  func close(_ failure: Failure) {
    let left = state.withLock { state in
      state.end = failure
      return mailbox.takeAll()
    }
    for command in left { command.fail(failure) }
  }
}
