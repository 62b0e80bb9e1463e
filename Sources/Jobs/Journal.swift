import Foundation
import GRDB
import Messaging

/// What a batch knows of itself beside its output, so that it goes on after any end: a SQLite file,
/// `out.jsonl.journal`.
///
/// # What is promised
/// A batch that ends at any instruction and is started again with the same words ends with exactly one
/// line for every request, in `out.jsonl` or in `out.errors.jsonl`. What was finished isn't done again.
///
/// # The protocol
/// 1. *Rows before work.* Lines are read in portions; every request of a portion gets its row, and the
///    place in the input behind the portion is noted, in one transaction. Only then is a request worked
///    on. So whatever stands in an output file has a row, and every line is either before the noted
///    place and has its rows, or behind it and has none. The index over `custom_id` finds duplicates,
///    in this run and across runs, without a set in memory.
/// 2. *Lines before states.* A result's line is appended with one `write` as soon as it is there. Every
///    `JobLimits.commitCount` results, or after a second, both output files are fsynced, and after that
///    one transaction notes the states of these requests, where their lines stand, and the length of
///    both files. So the journal never knows of a line that isn't on disk, and the noted lengths always
///    end behind a whole line.
/// 3. *After an end* the files may be longer than noted. If the machine hasn't been started anew since
///    (same boot id), the system still has everything that was written: whole lines of `out.jsonl` are
///    adopted, each checked to be the line of a request that has no result, and a torn one is cut off. After a
///    power loss the bytes beyond the noted length may be anything: they are cut off, and at most one
///    group of requests is done again. The errors' file is always cut: errors are cheap to find again,
///    and some pass.
/// 4. *Files are replaced in three steps* (`--ordered`, and errors that are tried again): the new file
///    is written beside the old one and fsynced; a transaction notes that it is good, with the states
///    that change with it; it is renamed over the old one, and the places of lines, which follow from
///    their lengths, are noted. An end between two steps is finished at the next start.
///
/// # How safe
/// WAL with `synchronous=FULL`: a transaction is on disk when it returns. `NORMAL` would keep everything
/// through a SIGKILL, and after a power loss it would still be consistent, because results are fsynced
/// first; but it could fall back to its last checkpoint, thousands of results ago, and do them again.
/// FULL costs one more fsync for each group, at most a few a second.
///
/// # Who holds it
/// SQLite's own lock, kept for the life of the connection (`locking_mode=EXCLUSIVE`): a second process is
/// refused, and the lock ends with its holder however that ends.
///
/// Memory: SQLite's cache, 8 MB, and one portion. On disk about 100 bytes a request and its `custom_id`
/// twice.
final class Journal: Sendable {
  /// `out.jsonl` → `out.jsonl.journal`.
  static func path(for output: String) -> String { output + ".journal" }

  let path: String
  private let queue: DatabaseQueue

  /// Opens or makes the journal, and locks it.
  ///
  /// - Throws: `.locked`, or `.journal` when the file is no journal of ours.
  init(path: String) throws(BatchError) {
    self.path = path
    var configuration = Configuration()
    configuration.label = "journal"
    configuration.busyMode = .immediateError
    configuration.prepareDatabase { db in
      // In this order: with the lock first, WAL needs no shared memory beside the file.
      try db.execute(sql: "PRAGMA locking_mode = EXCLUSIVE")
      try db.execute(sql: "PRAGMA journal_mode = WAL")
      try db.execute(sql: "PRAGMA synchronous = FULL")
      try db.execute(sql: "PRAGMA cache_size = -8192")
    }
    do {
      queue = try DatabaseQueue(path: path, configuration: configuration)
      try queue.write(Self.prepare)
    } catch { throw Self.failure(error, path) }
  }

  /// Our name and version in the file's header.
  private static let applicationID = 0x5061_6C42
  private static let version = 1

  private static func prepare(_ db: Database) throws {
    let id = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    if id == applicationID {
      guard found == version else {
        throw BatchError.journal(path: "", reason: "it has version \(found), this is \(version)")
      }
      return
    }
    let tables = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_master") ?? 0
    guard id == 0, tables == 0 else {
      throw BatchError.journal(path: "", reason: "it is another program's database")
    }
    try db.execute(sql: schema)
    try db.execute(sql: "PRAGMA application_id = \(applicationID)")
    try db.execute(sql: "PRAGMA user_version = \(version)")
  }

  /// `state`: see `RequestState`. A request without a usable `custom_id`, or with one that an earlier
  /// line has, keeps none here. `picture` is set where one line stands for many pictures.
  private static let schema = """
    CREATE TABLE run (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      identity TEXT NOT NULL, boot TEXT NOT NULL,
      place_offset INTEGER NOT NULL, place_line INTEGER NOT NULL, place_digest INTEGER NOT NULL,
      is_read INTEGER NOT NULL,
      results_length INTEGER NOT NULL, errors_length INTEGER NOT NULL, replacing TEXT,
      done INTEGER NOT NULL, failed INTEGER NOT NULL);
    CREATE TABLE requests (
      sequence INTEGER PRIMARY KEY,
      custom_id TEXT UNIQUE,
      line INTEGER NOT NULL, line_offset INTEGER NOT NULL, line_length INTEGER NOT NULL,
      picture TEXT,
      state INTEGER NOT NULL, attempts INTEGER NOT NULL, code TEXT,
      place INTEGER, length INTEGER);
    CREATE INDEX unanswered ON requests (state, sequence) WHERE state <> 1;
    """

  /// Runs a transaction; a cancelled task finishes it all the same, because what it notes has happened.
  func write<Value: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(BatchError) -> Value {
    let queue = queue
    let result = await Task { try await queue.write(body) }.result
    do { return try result.get() } catch { throw Self.failure(error, path) }
  }

  private static func failure(_ error: any Error, _ path: String) -> BatchError {
    if case .journal(_, let reason)? = error as? BatchError {
      return .journal(path: path, reason: reason)
    }
    if let error = error as? BatchError { return error }
    guard let error = error as? DatabaseError else {
      return .journal(path: path, reason: "\(error)")
    }
    switch error.resultCode {
    case .SQLITE_BUSY, .SQLITE_LOCKED: return .locked(journal: path)
    case .SQLITE_NOTADB: return .journal(path: path, reason: "it is no SQLite file")
    case .SQLITE_FULL, .SQLITE_IOERR, .SQLITE_CANTOPEN, .SQLITE_READONLY:
      return .unwritable(path: path, reason: error.message ?? "\(error.resultCode)")
    default: return .journal(path: path, reason: error.message ?? "\(error.resultCode)")
    }
  }

  /// Waits for the checkpoint and gives the lock back.
  ///
  /// - Throws: `.journal`; what was committed is safe all the same.
  func close() throws(BatchError) {
    do { try queue.close() } catch { throw Self.failure(error, path) }
  }
}

/// What became of a request so far.
enum RequestState: Int, Sendable {
  /// Known; being worked on, or to be.
  case pending = 0
  /// Its line is in the file of results.
  case done = 1
  /// Its line is in the file of errors.
  case failed = 2
}
