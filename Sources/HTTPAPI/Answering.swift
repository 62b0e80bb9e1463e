import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Messaging

/// One request for answers, admitted and read: everything the two completion routes share.
struct Answering: Sendable {
  let core: ServiceCore
  /// Chat or text.
  let form: CompletionForm
  /// What was asked.
  let request: CompletionRequest
  /// One for each choice.
  let choices: [AnswerRequest]
  /// The response's id, such as `chatcmpl-…`.
  let id: String
  /// What the request is called by whoever wants to end it.
  let names: [String]
  /// When it came.
  let start: ContinuousClock.Instant
  /// Its place, given back with this value.
  private let pass: RequestGate.Pass

  /// Reads a request's body and its pictures.
  ///
  /// - Throws: why it is refused.
  init(_ httpRequest: Request, form: CompletionForm, core: ServiceCore) async throws {
    start = .now
    self.core = core
    self.form = form
    let limits = core.limits
    pass = try core.gate.enter(
      declaredByteCount: httpRequest.headers[.contentLength].flatMap { Int($0) })
    let request = try await form.read(httpRequest, limits: limits)
    if let model = request.model, model != core.backend.model { throw core.unknownModel(model) }
    guard request.choiceCount <= limits.choices else {
      throw APIError.invalid(
        "n times the prompts makes \(request.choiceCount) choices; at most \(limits.choices)",
        parameter: "n")
    }
    guard request.maximumTokens ?? 1 <= limits.answerTokenCount else {
      throw APIError.invalid(
        "max_tokens must be at most \(limits.answerTokenCount)", parameter: "max_tokens")
    }
    try pass.widen(choices: request.choiceCount)
    let seconds = min(request.timeoutSeconds ?? .infinity, Double(limits.requestSeconds))
    let status = await core.backend.status()
    guard status.isReady else { throw core.notReady(status) }
    let images = try await request.loadImages(remote: core.backend.images)
    let left = Duration.seconds(seconds) - (ContinuousClock.now - start)
    choices = request.answerRequests(
      images: images, defaultTokens: limits.defaultAnswerTokenCount,
      handling: Handling(deadline: max(left, .milliseconds(1))))
    self.request = request
    id = FileStore.identifier(form.idPrefix)
    names = [id] + (httpRequest.headers[.clientRequestID].map { [$0] } ?? [])
  }

  /// The work on all choices, begun: events come as they happen.
  func begin(_ context: HTTPContext) async -> AnswerWork {
    await AnswerWork(self, watch: context.connectionWatch())
  }

  /// Answers one choice, and counts it.
  func answer(
    _ index: Int, onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer {
    do throws(Failure) {
      let answer = try await core.backend.service.answer(choices[index], onDelta: onDelta)
      core.metrics.count(answer, seconds: seconds)
      return answer
    } catch {
      core.metrics.count(failure: error.code)
      throw error
    }
  }

  /// Since the request came.
  var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }

  /// Headers of the response, whatever it is.
  var headers: HTTPFields { [.requestID: id] }
}

extension HTTPField.Name {
  /// How a client calls its own request, as OpenAI has it.
  static let clientRequestID = Self.known("X-Client-Request-Id")
  /// How the server calls it.
  static let requestID = Self.known("X-Request-Id")

  /// A name that is known to be well-formed.
  private static func known(_ name: String) -> HTTPField.Name {
    HTTPField.Name(name) ?? .cacheControl
  }
}

extension ServiceCore {
  /// What a request gets while the cluster lacks workers.
  func notReady(_ status: Status) -> APIError {
    APIError(
      Failure(
        code: "cluster_not_ready", message: "the cluster is \(status.state): \(status.message)"),
      limits: limits)
  }
}

/// What happens while answers are made.
enum AnswerEvent: Sendable {
  /// More of one choice.
  case delta(Int, AnswerDelta)
  /// One choice is whole.
  case finished(Int, Answer)
}

/// Answers under way. When nobody holds this any more, or the client goes, or somebody asks for it by
/// name, they are given up: places and caches become free.
final class AnswerWork: Sendable {
  /// What happens, until all choices are whole or one fails. Not bounded by itself: a slow reader's
  /// events are at most the tokens of its own answers, which the limits bound.
  let events: AsyncThrowingStream<[AnswerEvent], any Error>
  private let task: Task<Void, Never>
  private let watch: ConnectionWatch?
  private let watchNumber: Int?
  private let entry: RequestRegistry.Entry

  init(_ answering: Answering, watch: ConnectionWatch?) {
    let (events, sink) = AsyncThrowingStream<[AnswerEvent], any Error>.makeStream()
    let paced = PacedEvents(answering.core.pacer, into: sink)
    let isStreaming = answering.request.isStreaming
    let task = Task {
      do {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for index in answering.choices.indices {
            let forward: @Sendable (AnswerDelta) -> Void = { paced.add($0, to: index) }
            group.addTask {
              let answer = try await answering.answer(index, onDelta: isStreaming ? forward : nil)
              paced.finish(index, answer)
            }
          }
          try await group.waitForAll()
        }
        paced.end()
      } catch {
        paced.end(throwing: error)
      }
    }
    self.events = events
    self.task = task
    self.watch = watch
    watchNumber = watch?.onClose { task.cancel() }
    entry = answering.core.registry.register(answering.names) { task.cancel() }
  }

  deinit {
    task.cancel()
    if let watchNumber { watch?.forget(watchNumber) }
  }
}
