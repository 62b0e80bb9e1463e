import Foundation
import Jobs
import Messaging

/// What is known of one batch; on disk after every change of its status.
struct BatchRecord: Codable, Sendable, Equatable {
  /// OpenAI's words.
  enum Status: String, Codable, Sendable {
    case validating, failed, finalizing, completed, expired, cancelling, cancelled
    case inProgress = "in_progress"

    /// Whether there is nothing left to do.
    var isFinal: Bool {
      switch self {
      case .failed, .completed, .expired, .cancelled: true
      case .validating, .inProgress, .finalizing, .cancelling: false
      }
    }
  }
  struct Counts: Codable, Sendable, Equatable {
    var total = 0
    var completed = 0
    var failed = 0
  }
  struct Problem: Codable, Sendable, Equatable {
    var code: String
    var message: String
  }

  /// `batch_` and 24 hexadecimal digits.
  var id: String
  var inputFileID: String
  var endpoint: String
  var status: Status
  var counts = Counts()
  var createdAt: Int
  var expiresAt: Int
  /// When each status began, in seconds since 1970.
  var times: [String: Int] = [:]
  var outputFileID: String?
  var errorFileID: String?
  var problems: [Problem] = []
  var metadata: [String: String] = [:]

  /// Changes the status, and notes when.
  mutating func become(_ status: Status) {
    self.status = status
    times[status.rawValue] = Int(Date().timeIntervalSince1970)
  }

  /// OpenAI's batch object.
  var json: JSONText {
    var members: [String: JSONText] = [
      "id": .string(id), "object": .string("batch"), "endpoint": .string(endpoint),
      "input_file_id": .string(inputFileID), "completion_window": .string("24h"),
      "status": .string(status.rawValue), "created_at": .integer(createdAt),
      "expires_at": .integer(expiresAt),
      "output_file_id": outputFileID.map(JSONText.string) ?? .null,
      "error_file_id": errorFileID.map(JSONText.string) ?? .null,
      "request_counts": .object([
        "total": .integer(counts.total), "completed": .integer(counts.completed),
        "failed": .integer(counts.failed),
      ]),
      "metadata": metadata.isEmpty ? .null : .object(metadata.mapValues(JSONText.string)),
    ]
    for status in [
      Status.inProgress, .finalizing, .completed, .failed, .expired, .cancelling, .cancelled,
    ] {
      members[status.rawValue + "_at"] = times[status.rawValue].map(JSONText.integer) ?? .null
    }
    members["errors"] =
      problems.isEmpty
      ? .null
      : .object([
        "object": .string("list"),
        "data": .array(
          problems.map {
            .object([
              "code": .string($0.code), "message": .string($0.message), "param": .null,
              "line": .null,
            ])
          }),
      ])
    return .object(members)
  }
}
