import Foundation
import Messaging
import PaliGemma
import Pipelining
import Synchronization
import Tensors

/// Requests with made-up pictures, and how fast an engine answers them.
struct BenchEngineLoad: Sendable {
  let config: ModelConfig
  let promptTokens: Int
  /// Requests under way at once.
  let window: Int

  /// What one run gave.
  struct Result: Sendable {
    /// From the first submission to the last answer.
    var seconds = 0.0
    /// Of this process.
    var cpuSeconds = 0.0
    /// On the clock of spans.
    var start: UInt64 = 0
    var end: UInt64 = 0
    /// When each answer was complete, in seconds from the start, in order.
    var ends: [Double] = []
    /// When each token of each request came.
    var tokenTimes: [[Double]] = []
    /// The tokens of each request.
    var tokens: [[Int32]] = []

    var imagesPerSecond: Double { Double(tokens.count) / max(seconds, 1e-9) }

    /// Tokens a second while every request was in its decode steps: from the last first token until an
    /// answer is complete; nil when there was no such time.
    var decodeTokensPerSecond: Double? {
      let begin = tokenTimes.compactMap(\.first).max() ?? 0
      let end = tokenTimes.compactMap(\.last).min() ?? 0
      let count = tokenTimes.joined().count { $0 > begin && $0 <= end }
      return end > begin && count > 0 ? Double(count) / (end - begin) : nil
    }
  }

  /// Asks about `images` pictures, no two alike and none as in a run with another `seed`, and waits for all
  /// answers of `tokens` tokens each. With `isOnePicture` all ask about the same one: vision is computed once.
  ///
  /// - Throws: a request's failure; `CancellationError`.
  func run(
    _ engine: any Engine, images: Int, tokens: Int, seed: Int, isOnePicture: Bool = false
  ) async throws -> Result {
    let atOnce = min(window, images)
    let log = Log(count: images)
    let (start, cpu) = (BenchClock.nanoseconds, BenchClock.cpuSeconds)
    let answers = try await withThrowingTaskGroup(of: (Int, [Int32]).self) { group in
      var answers = [[Int32]](repeating: [], count: images)
      var next = 0
      func submit() {
        let index = next
        next += 1
        let picture = seed &* 1_000_003 &+ (isOnePicture ? 0 : index)
        group.addTask {
          let completion = try await engine.complete(
            self.request(picture: picture, tokens: tokens),
            onToken: { _ in log.token(index, start) })
          log.end(start)
          return (index, completion.tokens.map(\.tokenID))
        }
      }
      while next < atOnce { submit() }
      while let (index, answer) = try await group.next() {
        answers[index] = answer
        if next < images { submit() }
      }
      return answers
    }
    let end = BenchClock.nanoseconds
    try Task.checkCancellation()
    var result = log.result
    result.seconds = Double(end - start) / 1e9
    result.cpuSeconds = BenchClock.cpuSeconds - cpu
    (result.start, result.end, result.tokens) = (start, end, answers)
    return result
  }

  private func request(picture: Int, tokens: Int) -> PreparedRequest {
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    var state = UInt64(bitPattern: Int64(picture)) &* 0x9E37_79B9_7F4A_7C15 | 1
    pixels.withBytes { bytes in
      for index in bytes.indices {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        bytes[index] = UInt8(truncatingIfNeeded: state >> 32)
      }
    }
    let ordinary = Int32(clamping: min(1000, config.text.vocabularyCount / 2))
    let prompt = (1..<Int32(promptTokens)).map { 3 + ($0 &* 37) % max(1, ordinary - 3) }
    return PreparedRequest(
      pixels: pixels, textTokenIDs: [config.beginTokenID] + prompt,
      // No end token: every answer has its full length.
      sampling: Sampling(maximumTokens: tokens, stopsRepetition: false))
  }

  /// Takes times down from the engine's thread.
  private final class Log: Sendable {
    private let times: Mutex<Result>

    init(count: Int) {
      var empty = Result()
      empty.tokenTimes = Array(repeating: [], count: count)
      times = Mutex(empty)
    }
    func token(_ index: Int, _ start: UInt64) {
      let now = Double(BenchClock.nanoseconds - start) / 1e9
      times.withLock { $0.tokenTimes[index].append(now) }
    }
    func end(_ start: UInt64) {
      let now = Double(BenchClock.nanoseconds - start) / 1e9
      times.withLock { $0.ends.append(now) }
    }
    var result: Result {
      var result = times.withLock { $0 }
      result.ends.sort()
      return result
    }
  }
}

extension BenchEngineLoad {
  /// As many under way as `requests` says.
  init(_ config: ModelConfig, _ requests: BenchRequestOptions) {
    self.init(config: config, promptTokens: requests.promptTokens, window: requests.window)
  }
}
