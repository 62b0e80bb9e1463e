import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Many clients of OpenAI's interface at once, each asking again as soon as it has its answer.
struct ServiceLoad {
  /// How many.
  let clients: Int
  /// Where.
  let url: String
  /// Encoded requests, which they take in turn.
  let bodies: [ByteBuffer]

  /// What became of the requests.
  struct Result: Sendable {
    /// Streams that ended with `[DONE]`.
    var answered = 0
    /// Refused with 429.
    var refused = 0
    /// Anything else, by what it was.
    var failures: [String: Int] = [:]
    /// From sending the request to the first event, in seconds.
    var firsts: [Double] = []
    /// From sending the request to the last event, in seconds.
    var wholes: [Double] = []

    /// The value that `share` of the sorted values lie below.
    static func percentile(_ values: [Double], _ share: Double) -> Double {
      guard !values.isEmpty else { return 0 }
      let sorted = values.sorted()
      return sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
    }

    fileprivate mutating func add(_ other: Result) {
      answered += other.answered
      refused += other.refused
      failures.merge(other.failures, uniquingKeysWith: +)
      firsts += other.firsts
      wholes += other.wholes
    }
  }

  /// How a stream ends that is whole.
  private static let lastWords = "data: [DONE]\n\n"

  /// A request that streams the answer to `prompt` about a picture.
  static func body(picture: Data, type: String, prompt: String) throws -> ByteBuffer {
    let object: [String: Any] = [
      "stream": true,
      "messages": [
        [
          "role": "user",
          "content": [
            ["type": "text", "text": prompt],
            [
              "type": "image_url",
              "image_url": ["url": "data:\(type);base64," + picture.base64EncodedString()],
            ],
          ],
        ]
      ],
    ]
    return ByteBuffer(bytes: try JSONSerialization.data(withJSONObject: object))
  }

  /// Runs all clients for a while; the last answers are awaited.
  func run(for duration: Duration) async -> Result {
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = clients
    configuration.connectionPool.retryConnectionEstablishment = true
    configuration.timeout.connect = .seconds(30)
    let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    let end = ContinuousClock.now + duration
    let total = await withTaskGroup(of: Result.self) { group in
      for index in 0..<clients { group.addTask { await ask(client, from: index, until: end) } }
      var total = Result()
      for await result in group { total.add(result) }
      return total
    }
    try? await client.shutdown()
    return total
  }

  private func ask(
    _ client: HTTPClient, from first: Int, until end: ContinuousClock.Instant
  ) async -> Result {
    var result = Result()
    var index = first
    while ContinuousClock.now < end {
      var request = HTTPClientRequest(url: url + "/v1/chat/completions")
      request.method = .POST
      request.headers.add(name: "Content-Type", value: "application/json")
      request.body = .bytes(bodies[index % bodies.count])
      index += 1
      let start = ContinuousClock.now
      do {
        let response = try await client.execute(request, timeout: .seconds(300))
        // The last words may come in pieces.
        var end = ""
        var isFirst = true
        for try await chunk in response.body {
          if isFirst, response.status == .ok {
            result.firsts.append(start.duration(to: .now) / .seconds(1))
          }
          isFirst = false
          end = String((end + String(buffer: chunk)).suffix(Self.lastWords.count))
        }
        if response.status == .tooManyRequests {
          result.refused += 1
          try? await Task.sleep(for: .seconds(1))
        } else if response.status == .ok, end == Self.lastWords {
          result.answered += 1
          result.wholes.append(start.duration(to: .now) / .seconds(1))
        } else {
          result.failures["status \(response.status.code)", default: 0] += 1
        }
      } catch {
        result.failures["\(type(of: error))", default: 0] += 1
      }
    }
    return result
  }
}
