import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Imaging
import Jobs
import Messaging
import NIOCore
import Synchronization
import Testing
import Tokenization

@testable import HTTPAPI

/// A folder of its own for one test, removed with the value.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    path = "/tmp/palisade-http-\(UUID().uuidString.prefix(12))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file that only its owner may read.
  func write(_ text: String, _ name: String, mode: Int = 0o600) throws -> String {
    let file = "\(path)/\(name)"
    try Data(text.utf8).write(to: URL(filePath: file))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
    return file
  }
}

/// Answers with the prompt, word by word; waits, fails or counts as a test wants.
final class FakeService: AnswerService {
  struct State {
    var running = 0
    var requests: [AnswerRequest] = []
    var cancelled = 0
  }
  let state = Mutex(State())
  private let failure: Failure?
  private let delay: Duration
  private let tokenizer: Tokenizer

  init(_ tokenizer: Tokenizer, failure: Failure? = nil, delay: Duration = .zero) {
    self.tokenizer = tokenizer
    self.failure = failure
    self.delay = delay
  }

  var running: Int { state.withLock { $0.running } }
  var requests: [AnswerRequest] { state.withLock { $0.requests } }
  var cancelled: Int { state.withLock { $0.cancelled } }

  func answer(
    _ request: AnswerRequest, onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer {
    state.withLock {
      $0.running += 1
      $0.requests.append(request)
    }
    defer { state.withLock { $0.running -= 1 } }
    if let failure { throw failure }
    let ids: [Int32]
    do { ids = try tokenizer.encode(request.prompt) } catch {
      throw Failure(code: "invalid_prompt", message: "\(error)")
    }
    let tokens = ids.map {
      TokenLogprob(
        tokenID: $0, logprob: -0.5, alternatives: [Alternative(tokenID: $0, logprob: -0.5)])
    }
    var decoder = StreamingDecoder(tokenizer)
    for token in tokens {
      do { try await Task.sleep(for: delay) } catch {
        state.withLock { $0.cancelled += 1 }
        throw Failure(code: "cancelled", message: "the request was cancelled")
      }
      onDelta?(AnswerDelta(text: decoder.push(token.tokenID), tokens: [token]))
    }
    let isSegment = request.prompt.hasPrefix("segment")
    let segments = isSegment ? [UInt8](0..<16) : []
    let mask =
      isSegment
      ? (try? RunLengthMask(counts: [0, 10, 190], width: 20, height: 10))?.cocoString ?? "" : ""
    let rest = decoder.finish()
    if !rest.isEmpty { onDelta?(AnswerDelta(text: rest, tokens: [])) }
    return Answer(
      text: tokenizer.decode(ids), tokenIDs: ids, finish: .stop, promptTokens: 70,
      completionTokens: ids.count + 1,
      imageSizes: request.images.map { _ in ImageSize(width: 20, height: 10) },
      // A mask of the picture's first column.
      boxes: [
        Box(label: "cat", x1: 1.005, y1: 2, x2: 3.14159, y2: 4, segments: segments, mask: mask)
      ],
      logprobs: request.sampling.wantsLogprobs ? tokens : [])
  }
}

/// A service in front of a fake.
struct Bench {
  static let key = "sk-palisade-0123456789"
  let fake: FakeService
  let server: HTTPServer

  init(
    failure: Failure? = nil, delay: Duration = .zero, state: String = "ready",
    _ change: (inout HTTPConfiguration) throws -> Void = { _ in }
  ) throws {
    let tokenizer = try Self.tokenizer()
    var configuration = HTTPConfiguration(host: "127.0.0.1", port: 0)
    try change(&configuration)
    fake = FakeService(tokenizer, failure: failure, delay: delay)
    server = try HTTPServer(
      configuration,
      backend: HTTPBackend(service: fake, tokenizer: tokenizer, model: "paligemma") {
        Status(state: state, message: "for a test")
      })
  }

  static func tokenizer() throws -> Tokenizer {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return try Tokenizer(folder: tests.appending(path: "TokenizationTests/Fixtures/paligemma"))
  }

  /// Runs `body` with a client that talks to the router.
  func test<Value>(
    _ setting: TestingSetup = .router,
    _ body: @Sendable (any TestClientProtocol) async throws -> Value
  ) async throws -> Value {
    try await server.application().test(setting, body)
  }
}

/// A `data:` URI of a picture in one colour.
func pictureURI() throws -> String {
  let rgb = [UInt8](repeating: 90, count: 3 * 20 * 10)
  let png = try Picture(width: 20, height: 10, rgb: rgb).encodedPNG()
  return "data:image/png;base64," + Data(png).base64EncodedString()
}

/// The body of a chat about one picture.
func chat(_ prompt: String, _ more: [String: Any] = [:]) throws -> ByteBuffer {
  let content: [[String: Any]] = [
    ["type": "text", "text": prompt],
    ["type": "image_url", "image_url": ["url": try pictureURI()]],
  ]
  let body: [String: Any] = ["messages": [["role": "user", "content": content] as [String: Any]]]
  return try json(body.merging(more) { $1 })
}

func json(_ object: [String: Any]) throws -> ByteBuffer {
  ByteBuffer(bytes: try JSONSerialization.data(withJSONObject: object))
}

extension TestClientProtocol {
  /// Posts JSON, and gives status and object of the response.
  func post(
    _ uri: String, _ body: ByteBuffer, headers: HTTPFields = [:]
  ) async throws -> (status: Int, json: [String: Any], headers: HTTPFields) {
    var headers = headers
    headers[.contentType] = "application/json"
    let response = try await execute(uri: uri, method: .post, headers: headers, body: body)
    return (response.status.code, try response.object(), response.headers)
  }

  func fetch(
    _ uri: String, _ method: HTTPRequest.Method = .get, headers: HTTPFields = [:]
  ) async throws -> (status: Int, json: [String: Any], headers: HTTPFields) {
    let response = try await execute(uri: uri, method: method, headers: headers)
    return (response.status.code, try response.object(), response.headers)
  }
}

extension TestResponse {
  func object() throws -> [String: Any] {
    let data = Data(body.readableBytesView)
    if data.isEmpty { return [:] }
    return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  /// The objects of a stream's events, and whether it ended with `[DONE]`.
  func events() throws -> (objects: [[String: Any]], isDone: Bool) {
    let lines = String(buffer: body).split(separator: "\n\n").map { $0.dropFirst("data: ".count) }
    let objects = try lines.filter { $0 != "[DONE]" }.map {
      try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    return (objects, lines.last == "[DONE]")
  }
}

/// The value at a path such as `choices.0.message.content`.
func at(_ value: Any?, _ path: String) -> Any? {
  path.split(separator: ".").reduce(value) { value, key in
    if let index = Int(key) {
      guard let list = value as? [Any], list.indices.contains(index) else { return nil }
      return list[index]
    }
    return (value as? [String: Any])?[String(key)]
  }
}

func text(_ value: Any?, _ path: String) -> String? { at(value, path) as? String }
func number(_ value: Any?, _ path: String) -> Int? { at(value, path) as? Int }

/// Waits until something is so, at most ten seconds.
func eventually(_ isSo: () async throws -> Bool) async throws -> Bool {
  for _ in 0..<1000 {
    if try await isSo() { return true }
    try await Task.sleep(for: .milliseconds(10))
  }
  return false
}
