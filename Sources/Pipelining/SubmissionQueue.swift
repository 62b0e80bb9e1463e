import Messaging
import Synchronization

/// The way from callers into an engine's thread and back: a bounded mailbox in, one continuation
/// per request out.
final class SubmissionQueue: Sendable {
  /// What a caller wants.
  enum Command: Sendable {
    case submit(UInt64, PreparedRequest)
    case cancel(UInt64)
    case stop
  }
  private typealias Answer = CheckedContinuation<Result<Completion, Failure>, Never>

  let mailbox: Mailbox<Command>
  private let nextID = Atomic<UInt64>(1)
  private let answers = Mutex<[UInt64: Answer]>([:])
  private let end = Mutex<Failure?>(nil)

  init(capacity: Int) throws(MessagingError) {
    mailbox = try Mailbox(capacity: capacity)
  }

  /// Submits a request and waits for its one answer.
  func complete(_ request: PreparedRequest) async throws(Failure) -> Completion {
    let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { (answer: Answer) in
        answers.withLock { $0[id] = answer }
        if let failure = end.withLock({ $0 }) {
          finish(id, .failure(failure))
        } else if !mailbox.post(.submit(id, request)) {
          finish(
            id,
            .failure(Failure(code: "overloaded", message: "too many requests; try again later")))
        }
      }
    } onCancel: {
      _ = mailbox.post(.cancel(id))
      finish(id, .failure(Failure(code: "cancelled", message: "the request was cancelled")))
    }
    return try result.get()
  }

  /// Gives a request its answer; a second one is ignored.
  func finish(_ id: UInt64, _ result: Result<Completion, Failure>) {
    answers.withLock { $0.removeValue(forKey: id) }?.resume(returning: result)
  }

  /// Hands over what a scheduler has to say.
  func deliver(_ events: [Scheduler.Event]) {
    for case .finished(let id, let result) in events { finish(id, result) }
  }

  /// Answers everybody, now and later, with `failure`: the engine's thread has ended.
  func close(_ failure: Failure) {
    end.withLock { $0 = failure }
    let left = answers.withLock { answers in
      defer { answers = [:] }
      return answers
    }
    for answer in left.values { answer.resume(returning: .failure(failure)) }
  }
}
