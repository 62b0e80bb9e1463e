import HTTPTypes
import Hummingbird
import Jobs
import Messaging

/// `POST /v1/chat/completions`, `POST /v1/completions`, and `DELETE /v1/requests/{id}`, which ends what
/// they began.
func addCompletionRoutes(to router: HTTPRouter, _ core: ServiceCore) {
  for (path, form) in [("/v1/chat/completions", CompletionForm.chat), ("/v1/completions", .text)] {
    router.post(RouterPath(path)) { request, context in
      let answering = try await Answering(request, form: form, core: core)
      let work = await answering.begin(context)
      return answering.request.isStreaming
        ? try await answering.stream(work) : try await answering.whole(work)
    }
  }
  router.delete("/v1/requests/:id") { _, context in
    let id = try context.parameters.require("id")
    guard core.registry.cancel(id) > 0 else {
      throw APIError.notFound(
        "no request \(id.prefix(64)) is under way; it may have been answered")
    }
    return Response.json(
      .object(["id": .string(id), "object": .string("request"), "cancelled": .bool(true)]))
  }
}

extension Answering {
  /// The response with all choices, when they are whole.
  func whole(_ work: AnswerWork) async throws -> Response {
    var answers = [Answer?](repeating: nil, count: choices.count)
    for try await events in work.events {
      for case .finished(let index, let answer) in events { answers[index] = answer }
    }
    withExtendedLifetime(work) {}
    let done = answers.compactMap { $0 }
    guard done.count == choices.count else { throw CancellationError() }
    var response = Response.json(CompletionWriter(self).response(done))
    response.headers.append(contentsOf: headers)
    return response
  }

  /// The response whose choices come as events, as soon as there is a first: until then a failure still
  /// has a status of its own.
  func stream(_ work: AnswerWork) async throws -> Response {
    var iterator = work.events.makeAsyncIterator()
    guard let first = try await iterator.next() else { throw CancellationError() }
    core.metrics.countFirstToken(seconds: seconds)
    var headers = headers
    headers[.contentType] = "text/event-stream; charset=utf-8"
    headers[.cacheControl] = "no-cache"
    headers[.accelBuffering] = "no"
    return Response(
      status: .ok, headers: headers,
      body: ResponseBody { writer in
        // What is awaited here is held here: the work goes on while somebody reads.
        var stream = EventStream(self)
        try await writer.write(stream.events(for: first))
        do {
          for try await next in work.events {
            let events = stream.events(for: next)
            if events.readableBytes > 0 { try await writer.write(events) }
          }
        } catch let failure as Failure {
          try await writer.write(EventStream.event(APIError(failure, limits: core.limits).json))
        }
        withExtendedLifetime(work) {}
        try await writer.finish(nil)
      })
  }
}

extension HTTPField.Name {
  /// Tells nginx to pass events on at once.
  static let accelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .cacheControl
}

/// Writes what happens as server-sent events, as OpenAI's streams have them.
struct EventStream {
  private let writer: CompletionWriter
  private let includesUsage: Bool
  private let choiceCount: Int
  private var isOpen: Set<Int> = []
  private var answers: [(offset: Int, element: Answer)] = []

  init(_ answering: Answering) {
    writer = CompletionWriter(answering)
    includesUsage = answering.request.includesUsage
    choiceCount = answering.choices.count
  }

  /// One event.
  static func event(_ json: JSONText) -> ByteBuffer { ByteBuffer(string: "data: \(json.line)\n\n") }

  /// The events for what happened: none for a delta that shows nothing; with the last choice's end
  /// also the usage, if asked for, and `[DONE]`, so that all of it is one write.
  mutating func events(for events: [AnswerEvent]) -> ByteBuffer {
    var buffer = ByteBuffer()
    for event in events {
      switch event {
      case .delta(let index, let delta):
        open(index, &buffer)
        if !delta.text.isEmpty || writer.wantsLogprobs && !delta.tokens.isEmpty {
          add(writer.piece(index, delta), &buffer)
        }
      case .finished(let index, let answer):
        open(index, &buffer)
        answers.append((index, answer))
        add(writer.closing(index, answer), &buffer)
        if answers.count == choiceCount { end(&buffer) }
      }
    }
    return buffer
  }

  private func end(_ buffer: inout ByteBuffer) {
    if includesUsage {
      buffer.writeImmutableBuffer(
        Self.event(writer.chunk(nil, usage: writer.usage(answers))))
    }
    buffer.writeString("data: [DONE]\n\n")
  }

  private mutating func open(_ index: Int, _ buffer: inout ByteBuffer) {
    guard isOpen.insert(index).inserted, let opening = writer.opening(index) else { return }
    add(opening, &buffer)
  }

  /// With usage asked for, every chunk has the field, null in all but the last.
  private func add(_ choice: JSONText, _ buffer: inout ByteBuffer) {
    buffer.writeString("data: ")
    buffer.writeString(writer.chunk(choice, usage: includesUsage ? .null : nil).line)
    buffer.writeString("\n\n")
  }
}
