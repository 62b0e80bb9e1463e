import Foundation
import GRDB

/// How far a batch has come, as its journal says.
struct JournalState: Sendable, Equatable {
  /// What it belongs to.
  var identity: BatchIdentity
  /// Of the machine when it was last written.
  var boot: String
  /// Behind the last line that has its rows.
  var place = ReadingPlace()
  /// Whether that is the end.
  var isRead = false
  /// Bytes of the file of results that are on disk.
  var resultsLength = 0
  /// Bytes of the file of errors that are on disk.
  var errorsLength = 0
  /// The file that is being replaced, if one is.
  var replacing: Replacement?
  /// Requests answered.
  var doneCount = 0
  /// Requests that failed.
  var failedCount = 0
}

extension Journal {
  /// The state; nil when the journal was made and never begun.
  func state() async throws(BatchError) -> JournalState? {
    try await write { db in
      guard let row = try Row.fetchOne(db, sql: "SELECT * FROM run") else { return nil }
      let identity = try JSONDecoder().decode(
        BatchIdentity.self, from: Data((row["identity"] as String).utf8))
      return JournalState(
        identity: identity, boot: row["boot"],
        place: ReadingPlace(
          offset: row["place_offset"], line: row["place_line"],
          digest: UInt64(bitPattern: row["place_digest"])),
        isRead: row["is_read"], resultsLength: row["results_length"],
        errorsLength: row["errors_length"],
        replacing: (row["replacing"] as String?).flatMap(Replacement.init(rawValue:)),
        doneCount: row["done"], failedCount: row["failed"])
    }
  }

  /// Begins a batch; whatever was here is forgotten.
  func begin(_ identity: BatchIdentity) async throws(BatchError) {
    try await write { db in
      try db.execute(sql: "DELETE FROM requests; DELETE FROM run")
      let text = String(decoding: try JSONEncoder().encode(identity), as: UTF8.self)
      try db.execute(
        sql: """
          INSERT INTO run (id, identity, boot, place_offset, place_line, place_digest, is_read,
            results_length, errors_length, done, failed) VALUES (1, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0)
          """, arguments: [text, Boot.id])
    }
  }

  /// Goes on with a batch: notes this boot, and the input's new time.
  func goOn(_ identity: BatchIdentity) async throws(BatchError) {
    try await write { db in
      let text = String(decoding: try JSONEncoder().encode(identity), as: UTF8.self)
      try db.execute(sql: "UPDATE run SET identity = ?, boot = ?", arguments: [text, Boot.id])
    }
  }

  /// How many requests failed, by code; of all runs.
  func failures() async throws(BatchError) -> [String: Int] {
    try await write { db in
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT COALESCE(code, 'unknown') AS code, COUNT(*) AS count FROM requests
          WHERE state = 2 GROUP BY 1
          """)
      return Dictionary(uniqueKeysWithValues: rows.map { ($0["code"], $0["count"]) })
    }
  }

  /// How many requests are pending, and bytes of their lines.
  func pending() async throws(BatchError) -> (count: Int, byteCount: Int) {
    try await write { db in
      let row = try Row.fetchOne(
        db, sql: "SELECT COUNT(*), COALESCE(SUM(line_length), 0) FROM requests WHERE state = 0")
      return (row?[0] ?? 0, row?[1] ?? 0)
    }
  }
}
