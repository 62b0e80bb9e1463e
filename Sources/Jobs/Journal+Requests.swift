import GRDB

/// One request as its line makes it known.
struct NewRequest: Sendable, Equatable {
  /// Its name if it has a usable one.
  var customID: String?
  /// Number of its line, where that begins, and its length with the line end.
  var line: Int
  var lineOffset: Int
  /// 0 for all but the first of the requests of one line.
  var lineLength: Int
  /// The picture, where one line stands for many.
  var picture: String?
}

/// A request that the journal knows and that has no result.
struct PendingRequest: Sendable, Equatable {
  /// Its number among all requests of the batch, from 1 in the order of the input.
  var sequence: Int
  var request: NewRequest
}

/// A request whose result's line has been appended.
struct FinishedRequest: Sendable, Equatable {
  var sequence: Int
  /// The failure's code; nil for an answer.
  var code: String?
  /// Where its line begins in its file.
  var place: Int
  /// Bytes of the line, line end included.
  var length: Int
  /// Tries beyond the first of this run.
  var furtherAttempts = 0
}

extension Journal {
  /// Notes the requests of a portion of the input, and the place behind it.
  ///
  /// - Parameters:
  ///   - requests: in the order of the input; each counts as tried once.
  ///   - place: behind their lines.
  ///   - isRead: whether that is the end of the input.
  /// - Returns: for each request its number, and whether an earlier one has its `custom_id`.
  /// - Throws: `.journal` or `.unwritable`.
  func note(
    _ requests: [NewRequest], place: ReadingPlace, isRead: Bool
  ) async throws(BatchError) -> [(sequence: Int, isDuplicate: Bool)] {
    try await write { db in
      let insert = try db.cachedStatement(
        sql: """
          INSERT INTO requests (custom_id, line, line_offset, line_length, picture, state, attempts)
          VALUES (?, ?, ?, ?, ?, 0, 1) ON CONFLICT (custom_id) DO NOTHING
          """)
      let noted = try requests.map { request -> (Int, Bool) in
        func add(_ id: String?) throws {
          try insert.execute(arguments: [
            id, request.line, request.lineOffset, request.lineLength, request.picture,
          ])
        }
        try add(request.customID)
        let isDuplicate = db.changesCount == 0
        if isDuplicate { try add(nil) }
        return (Int(db.lastInsertedRowID), isDuplicate)
      }
      try db.execute(
        sql: "UPDATE run SET place_offset = ?, place_line = ?, place_digest = ?, is_read = ?",
        arguments: [place.offset, place.line, Int64(bitPattern: place.digest), isRead])
      return noted
    }
  }

  /// Requests left over from earlier runs, which are now tried once more.
  ///
  /// - Parameters:
  ///   - sequence: those behind it, in order.
  ///   - count: at most so many.
  /// - Returns: none when there are no more.
  /// - Throws: `.journal` or `.unwritable`.
  func takePending(after sequence: Int, count: Int) async throws(BatchError) -> [PendingRequest] {
    try await write { db in
      let rows = try Row.fetchAll(
        db,
        sql: "SELECT * FROM requests WHERE state = 0 AND sequence > ? ORDER BY sequence LIMIT ?",
        arguments: [sequence, count])
      guard let first = rows.first, let last = rows.last else { return [] }
      try db.execute(
        sql: """
          UPDATE requests SET attempts = attempts + 1
          WHERE state = 0 AND sequence BETWEEN ? AND ?
          """, arguments: [first["sequence"] as Int, last["sequence"] as Int])
      return rows.map(Self.pending)
    }
  }

  /// The request without a result that has this name.
  func pending(named customID: String) async throws(BatchError) -> PendingRequest? {
    try await write { db in
      try Row.fetchOne(
        db, sql: "SELECT * FROM requests WHERE custom_id = ? AND state = 0", arguments: [customID]
      ).map(Self.pending)
    }
  }

  private static func pending(_ row: Row) -> PendingRequest {
    PendingRequest(
      sequence: row["sequence"],
      request: NewRequest(
        customID: row["custom_id"], line: row["line"], lineOffset: row["line_offset"],
        lineLength: row["line_length"], picture: row["picture"]))
  }

  /// Notes results, after their lines are on disk.
  ///
  /// - Parameters:
  ///   - finished: what to note.
  ///   - files: fsynced first; their lengths are noted with the states.
  /// - Throws: `.journal` or `.unwritable`; then none of this group is noted.
  func commit(_ finished: [FinishedRequest], in files: BatchOutput.Files) async throws(BatchError) {
    try await write { db in
      try files.synchronize()
      let update = try db.cachedStatement(
        sql: """
          UPDATE requests SET state = ?, code = ?, place = ?, length = ?, attempts = attempts + ?
          WHERE sequence = ?
          """)
      for request in finished {
        let state = request.code == nil ? RequestState.done : .failed
        try update.execute(arguments: [
          state.rawValue, request.code, request.place, request.length, request.furtherAttempts,
          request.sequence,
        ])
      }
      let failedCount = finished.count { $0.code != nil }
      try db.execute(
        sql: """
          UPDATE run SET results_length = ?, errors_length = ?, done = done + ?, failed = failed + ?
          """,
        arguments: [
          files.resultsLength, files.errorsLength, finished.count - failedCount, failedCount,
        ])
    }
  }
}
