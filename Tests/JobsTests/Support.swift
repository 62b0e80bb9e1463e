import Checkpoints
import Foundation
import Imaging
import Messaging
import PaliGemma
import Pipelining
import Synchronization
import Tensors
import Testing
import Tokenization

@testable import Jobs

/// A folder of its own for one test, removed with the value.
final class TemporaryFolder: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appending(
      path: "palisade-jobs-\(UUID().uuidString)", directoryHint: .isDirectory)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appending(path: name).path(percentEncoded: false) }

  func write(_ text: String, _ name: String) throws -> String {
    try write(Array(text.utf8), name)
  }

  func write(_ bytes: [UInt8], _ name: String) throws -> String {
    try Data(bytes).write(to: URL(filePath: path(name)))
    return path(name)
  }

  func text(_ name: String) -> String {
    (try? String(contentsOf: URL(filePath: path(name)), encoding: .utf8)) ?? ""
  }

  /// The JSON objects of a file, one a line.
  func objects(_ name: String) throws -> [[String: Any]] {
    try text(name).split(separator: "\n").map { line in
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
      return try #require(object as? [String: Any])
    }
  }
}

/// The encoded bytes of a picture in one colour.
func png(width: Int = 20, height: Int = 10, grey: UInt8 = 90) throws -> [UInt8] {
  let rgb = [UInt8](repeating: grey, count: 3 * width * height)
  return try Picture(width: width, height: height, rgb: rgb).encodedPNG()
}

/// The failure that `body` ends in.
func failure<Value>(_ body: () async throws -> Value) async -> Failure? {
  do {
    _ = try await body()
    return nil
  } catch { return error as? Failure }
}

/// Answers with the prompt itself, after a delay that depends on it; counts what is under way.
final class FakeService: AnswerService {
  struct Counts {
    var running = 0
    var most = 0
    var total = 0
  }
  let counts = Mutex(Counts())
  private let delay: @Sendable (AnswerRequest) -> Duration
  private let failure: @Sendable (AnswerRequest, _ call: Int) -> Failure?

  init(
    delay: @escaping @Sendable (AnswerRequest) -> Duration = { _ in .zero },
    failure: @escaping @Sendable (AnswerRequest, Int) -> Failure? = { _, _ in nil }
  ) {
    self.delay = delay
    self.failure = failure
  }

  func answer(
    _ request: AnswerRequest, onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer {
    let call = counts.withLock { counts in
      counts.running += 1
      counts.total += 1
      counts.most = max(counts.most, counts.running)
      return counts.total
    }
    defer { counts.withLock { $0.running -= 1 } }
    do { try await Task.sleep(for: delay(request)) } catch {
      throw Failure(code: "cancelled", message: "cancelled")
    }
    if let failure = failure(request, call) { throw failure }
    return Answer(
      text: request.prompt, tokenIDs: [7, 8], finish: .stop, promptTokens: 5, completionTokens: 3,
      imageSizes: request.images.map { _ in ImageSize(width: 20, height: 10) },
      boxes: [Box(label: "cat", x1: 1.005, y1: 2, x2: 3.14159, y2: 4)])
  }
}

/// Gives a completion that was written down, and keeps the requests.
final class FakeEngine: Engine {
  let config: ModelConfig
  let requests = Mutex<[PreparedRequest]>([])
  private let completion: Result<Completion, Failure>

  init(config: ModelConfig, _ completion: Result<Completion, Failure>) {
    self.config = config
    self.completion = completion
  }

  func complete(
    _ request: PreparedRequest, onToken: (@Sendable (TokenLogprob) -> Void)?
  ) async throws(Failure) -> Completion {
    requests.withLock { $0.append(request) }
    let completion = try completion.get()
    for token in completion.tokens {
      if Task.isCancelled { throw Failure(code: "cancelled", message: "cancelled") }
      onToken?(token)
    }
    return completion
  }
}

/// Fixtures of other targets' tests.
enum Fixture {
  private static let tests = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()

  static func config() throws -> ModelConfig {
    try ModelConfig(
      directory: tests.appending(path: "PaliGemmaTests/Fixtures/tiny-a/model").path())
  }
  static func checkpoint() throws -> Checkpoint {
    try Checkpoint(
      directory: tests.appending(path: "PaliGemmaTests/Fixtures/tiny-a/model").path())
  }
  /// The file of a small mask decoder in the published layout.
  static let maskDecoder = tests.appending(
    path: "PaliGemmaTests/Fixtures/mask-decoder/small.npz"
  ).path()
  static func tokenizer() throws -> Tokenizer {
    try Tokenizer(folder: tests.appending(path: "TokenizationTests/Fixtures/paligemma"))
  }
}
