import GRDB

/// A file whose lines are being put into the order of the input.
enum Replacement: String, Sendable, CaseIterable {
  case results, errors

  fileprivate var state: RequestState { self == .results ? .done : .failed }
}

extension Journal {
  /// Where a line of a file stands.
  struct Place: Sendable {
    var sequence: Int
    var place: Int
    var length: Int
  }

  /// Whether the lines of a file stand in the order of the input.
  func isInOrder(_ file: Replacement) async throws(BatchError) -> Bool {
    try await write { db in
      try Bool.fetchOne(
        db,
        sql: """
          SELECT NOT EXISTS (
            SELECT 1 FROM (
              SELECT place, LAG(place) OVER (ORDER BY sequence) AS before
              FROM requests WHERE state = ?)
            WHERE before > place)
          """, arguments: [file.state.rawValue]) ?? true
    }
  }

  /// Where the next lines of a file stand, in the order of the input.
  func places(
    _ file: Replacement, after sequence: Int, count: Int
  ) async throws(BatchError) -> [Place] {
    try await write { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT sequence, place, length FROM requests WHERE state = ? AND sequence > ?
          ORDER BY sequence LIMIT ?
          """, arguments: [file.state.rawValue, sequence, count]
      ).map { Place(sequence: $0[0], place: $0[1], length: $0[2]) }
    }
  }

  /// Notes that the new file is whole and on disk, and will be renamed over the old one.
  func beginReplacing(_ file: Replacement) async throws(BatchError) {
    try await write { db in
      try db.execute(sql: "UPDATE run SET replacing = ?", arguments: [file.rawValue])
    }
  }

  /// Notes the new places, which follow from the lengths, after the renaming.
  func endReplacing(_ file: Replacement) async throws(BatchError) {
    try await write { db in
      try db.execute(
        sql: """
          UPDATE requests SET place = places.place
          FROM (
            SELECT sequence AS number,
              SUM(length) OVER (ORDER BY sequence ROWS UNBOUNDED PRECEDING) - length AS place
            FROM requests WHERE state = ?) AS places
          WHERE requests.sequence = places.number
          """, arguments: [file.state.rawValue])
      try db.execute(sql: "UPDATE run SET replacing = NULL")
    }
  }

  /// Makes every failed request pending again. The errors' file counts as empty from here on; what it
  /// holds is cut off next.
  ///
  /// - Returns: how many.
  func retryFailed() async throws(BatchError) -> Int {
    try await write { db in
      try db.execute(
        sql: """
          UPDATE requests SET state = 0, code = NULL, place = NULL, length = NULL WHERE state = 2
          """)
      let count = db.changesCount
      try db.execute(sql: "UPDATE run SET failed = 0, errors_length = 0")
      return count
    }
  }
}
