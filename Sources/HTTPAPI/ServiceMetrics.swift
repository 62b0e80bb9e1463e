import Jobs
import Synchronization

/// What the service counts about itself.
final class ServiceMetrics: Sendable {
  private struct Request: Hashable {
    let route: String
    let method: String
    let status: Int
  }
  private struct State {
    var requests: [Request: UInt64] = [:]
    var requestSeconds: [String: Histogram] = [:]
    var firstToken = Histogram()
    var answer = Histogram()
    var answers: [String: UInt64] = [:]
    var promptTokens = 0
    var completionTokens = 0
    var pictures = 0
  }
  private let state = Mutex(State())

  /// A response's head was ready after so long.
  func count(route: String, method: String, status: Int, seconds: Double) {
    state.withLock {
      $0.requests[Request(route: route, method: method, status: status), default: 0] += 1
      $0.requestSeconds[route, default: Histogram()].observe(seconds)
    }
  }

  /// The first token of an answer was there after so long.
  func countFirstToken(seconds: Double) { state.withLock { $0.firstToken.observe(seconds) } }

  /// An answer is whole.
  func count(_ answer: Answer, seconds: Double) {
    state.withLock {
      $0.answer.observe(seconds)
      $0.answers[answer.finishWord, default: 0] += 1
      $0.promptTokens += answer.promptTokens
      $0.completionTokens += answer.completionTokens
      $0.pictures += answer.imageSizes.count
    }
  }

  /// An answer failed.
  func count(failure code: String) { state.withLock { $0.answers[code, default: 0] += 1 } }

  /// Writes all of it.
  func write(to text: inout MetricsText) {
    let state = state.withLock { $0 }
    text.family("palisade_http_requests_total", "counter", "Responses by route and status.")
    let rows = state.requests.sorted {
      ($0.key.route, $0.key.method, $0.key.status) < ($1.key.route, $1.key.method, $1.key.status)
    }
    for (request, count) in rows {
      text.sample(
        "palisade_http_requests_total",
        [
          ("route", request.route), ("method", request.method), ("status", "\(request.status)"),
        ], Double(count))
    }
    text.family(
      "palisade_http_request_seconds", "histogram", "Time until a response's head was ready.")
    for (route, histogram) in state.requestSeconds.sorted(by: { $0.key < $1.key }) {
      text.histogram("palisade_http_request_seconds", [("route", route)], histogram)
    }
    text.family(
      "palisade_first_token_seconds", "histogram", "Time to the first token of streamed answers.")
    text.histogram("palisade_first_token_seconds", [], state.firstToken)
    text.family("palisade_answer_seconds", "histogram", "Time to whole answers.")
    text.histogram("palisade_answer_seconds", [], state.answer)
    text.family("palisade_answers_total", "counter", "Answers by how they ended.")
    for (outcome, count) in state.answers.sorted(by: { $0.key < $1.key }) {
      text.sample("palisade_answers_total", [("outcome", outcome)], Double(count))
    }
    text.family("palisade_tokens_total", "counter", "Tokens read and generated over HTTP.")
    text.sample("palisade_tokens_total", [("kind", "prompt")], Double(state.promptTokens))
    text.sample("palisade_tokens_total", [("kind", "completion")], Double(state.completionTokens))
    text.single(
      "palisade_pictures_total", "counter", "Pictures answered over HTTP.", Double(state.pictures))
  }
}
