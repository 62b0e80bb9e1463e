import Messaging
import Synchronization
import Tensors

/// The way from callers into an engine's thread and back: a bounded mailbox in, one continuation
/// per request out.
final class SubmissionQueue: Sendable {
  /// What a caller wants.
  enum Command: Sendable {
    case submit(UInt64, PreparedRequest)
    case cancel(UInt64)
    case stop
    /// Look again: something stands beside the mailbox.
    case wake
  }
  private struct Caller {
    let answer: CheckedContinuation<Result<Completion, Failure>, Never>
    let onToken: (@Sendable (TokenLogprob) -> Void)?
  }

  let mailbox: Mailbox<Command>
  /// What is measured of the engine.
  let telemetry = Telemetry()
  private let nextID = Atomic<UInt64>(1)
  private let callers = Mutex<[UInt64: Caller]>([:])
  private let alarms = Alarms()
  private let end = Mutex<Failure?>(nil)
  private let isStopping = Atomic(false)
  /// Beside the bounded mailbox, because these must not be refused; one per caller at most.
  private let cancelled = Mutex<[UInt64]>([])

  init(capacity: Int) throws(MessagingError) {
    mailbox = try Mailbox(capacity: capacity)
  }

  /// Asks the engine's thread to end; heard even when the mailbox is full.
  func stop() {
    isStopping.store(true, ordering: .releasing)
    _ = mailbox.post(.stop)
  }

  /// Everything that callers want; cancellations come behind submissions.
  func takeAll() -> [Command] {
    let commands = mailbox.takeAll()
    let cancelled = cancelled.withLock { cancelled in
      defer { cancelled = [] }
      return cancelled
    }
    let isStopping = isStopping.load(ordering: .acquiring)
    return commands + cancelled.map(Command.cancel) + (isStopping ? [.stop] : [])
  }

  /// Submits a request and waits for its one answer.
  func complete(
    _ request: PreparedRequest, onToken: (@Sendable (TokenLogprob) -> Void)?
  ) async throws(Failure) -> Completion {
    let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
    let alarm = request.handling.deadline.map { deadline in
      alarms.call(after: deadline) { [weak self] in
        self?.giveUp(id, Failure.deadlineExceeded(deadline))
      }
    }
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { answer in
        callers.withLock { $0[id] = Caller(answer: answer, onToken: onToken) }
        telemetry.began(id, images: request.pixels.rowCount)
        if let failure = end.withLock({ $0 }) {
          finish(id, .failure(failure))
        } else if Task.isCancelled {
          // A cancellation that came before the caller was noted found nothing to end.
          finish(id, .failure(.cancelled))
        } else if !mailbox.post(.submit(id, request)) {
          finish(
            id,
            .failure(Failure(code: "overloaded", message: "too many requests; try again later")))
        } else if Task.isCancelled {
          // Cancelled while it was being posted: the first word of it may have come too early.
          giveUp(id, .cancelled)
        }
      }
    } onCancel: {
      giveUp(id, .cancelled)
    }
    if let alarm { alarms.cancel(alarm) }
    return try result.get()
  }

  /// Frees what a request holds, and tells its caller why.
  private func giveUp(_ id: UInt64, _ failure: Failure) {
    cancelled.withLock { $0.append(id) }
    // Wakes the thread; when the mailbox is full it is awake already.
    _ = mailbox.post(.wake)
    finish(id, .failure(failure))
  }

  /// Gives a request its answer; a second one is ignored.
  func finish(_ id: UInt64, _ result: Result<Completion, Failure>) {
    guard let caller = callers.withLock({ $0.removeValue(forKey: id) }) else { return }
    telemetry.ended(id, result)
    caller.answer.resume(returning: result)
  }

  /// Hands over what a scheduler has to say.
  func deliver(_ events: [Scheduler.Event]) {
    for event in events {
      switch event {
      case .token(let id, let token): callers.withLock { $0[id]?.onToken }?(token)
      case .finished(let id, let result): finish(id, result)
      }
    }
  }

  /// Answers everybody, now and later, with `failure`: the engine's thread has ended.
  func close(_ failure: Failure) {
    end.withLock { $0 = failure }
    let left = callers.withLock { callers in
      defer { callers = [:] }
      return callers
    }
    for (id, caller) in left {
      telemetry.ended(id, .failure(failure))
      caller.answer.resume(returning: .failure(failure))
    }
  }
}

extension Failure {
  /// Nobody waits for the answer any more.
  static let cancelled = Failure(code: "cancelled", message: "the request was cancelled")

  /// The time a caller gave was over.
  static func deadlineExceeded(_ deadline: Duration) -> Failure {
    let seconds = deadline / .seconds(1)
    return Failure(
      code: "deadline_exceeded",
      message: "there was no answer within \((seconds * 1000).rounded() / 1000) s; allow more "
        + "time, ask for fewer tokens, or add workers")
  }
}
