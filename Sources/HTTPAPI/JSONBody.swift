import Foundation
import Hummingbird
import Jobs
import Messaging
import NIOCore
import Pipelining

/// JSON that clients send.
enum JSONBody {
  private static let alarms = Alarms()

  /// Reads a body, within the limits of size and time.
  ///
  /// - Throws: 413, 408, 400.
  static func read<Value: Decodable & Sendable>(
    _ type: Value.Type, _ request: Request, limits: HTTPLimits
  ) async throws -> Value {
    let body = request.body
    let work = Task { try await body.collect(upTo: limits.bodyByteCount) }
    let alarm = alarms.call(after: .seconds(limits.bodySeconds)) {
      work.cancel()
    }
    defer { alarms.cancel(alarm) }
    let buffer: ByteBuffer
    do {
      buffer = try await withTaskCancellationHandler {
        try await work.value
      } onCancel: {
        work.cancel()
      }
    } catch {
      // Nobody else cancels the reading while this goes on.
      guard work.isCancelled, !Task.isCancelled else { throw error }
      throw APIError(
        .requestTimeout, code: "body_timeout",
        message: "the body did not arrive within \(limits.bodySeconds) s")
    }
    return try decode(type, Data(buffer.readableBytesView))
  }

  /// Decodes a body.
  ///
  /// - Throws: 400, which names the field that is wrong.
  static func decode<Value: Decodable>(_ type: Value.Type, _ data: Data) throws -> Value {
    do { return try JSONDecoder().decode(type, from: data) } catch let error as DecodingError {
      let path = error.path
      guard !path.isEmpty else {
        throw APIError(
          .badRequest, code: "invalid_json", message: "the body must be a JSON object in UTF-8")
      }
      throw APIError.invalid(error.jsonReason, parameter: path)
    }
  }
}

extension DecodingError {
  /// Where in the body the wrong value stands, such as `messages[0].content`.
  fileprivate var path: String {
    let keys: [any CodingKey] =
      switch self {
      case .keyNotFound(let key, let context): context.codingPath + [key]
      case .valueNotFound(_, let context), .typeMismatch(_, let context),
        .dataCorrupted(let context):
        context.codingPath
      @unknown default: []
      }
    return keys.reduce("") { text, key in
      if let index = key.intValue { return "\(text)[\(index)]" }
      return text.isEmpty ? key.stringValue : "\(text).\(key.stringValue)"
    }
  }
}
