import Foundation
import HTTPTypes
import Jobs
import Logging
import Messaging

/// The batches that clients asked for: runs some at once, keeps what is known of each on disk, and goes
/// on after a restart where the journal of each says.
actor BatchQueue {
  private let folder: String
  private let files: FileStore
  private let limits: HTTPLimits
  private let logger: Logger
  private let run: @Sendable (BatchExecution) async throws -> BatchSummary
  private var records: [String: BatchRecord]
  private var running: [String: (task: Task<Void, Never>, execution: BatchExecution)] = [:]
  private var isStopping = false

  /// Reads what is known of earlier batches; `start` goes on with them.
  ///
  /// - Parameters:
  ///   - files: where inputs are and results go; batches are kept in its folder too.
  ///   - limits: how many batches there may be, and for how long.
  ///   - logger: hears of what goes wrong.
  ///   - run: does one batch.
  /// - Throws: `files_directory` when the folder can't be used.
  init(
    files: FileStore, limits: HTTPLimits, logger: Logger,
    run: @escaping @Sendable (BatchExecution) async throws -> BatchSummary
  ) throws(Failure) {
    let folder = files.folder + "/batches"
    self.folder = folder
    self.files = files
    self.limits = limits
    self.logger = logger
    self.run = run
    var found: [String: BatchRecord] = [:]
    try DurableFile.makeFolder(folder)
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    where name.hasSuffix(".json") {
      guard let data = FileManager.default.contents(atPath: folder + "/" + name),
        let record = try? JSONDecoder().decode(BatchRecord.self, from: data),
        name == record.id + ".json"
      else {
        logger.warning("\(folder)/\(name) is no batch of this version; it is left alone")
        continue
      }
      found[record.id] = record
    }
    records = found
  }

  /// Goes on with what isn't finished.
  func start() { pump() }

  /// Stops what is under way; it goes on at the next start.
  func stop() async {
    isStopping = true
    let tasks = running.values.map(\.task)
    for task in tasks { task.cancel() }
    for task in tasks { await task.value }
  }

  /// All batches, the newest first.
  var all: [BatchRecord] {
    records.keys.compactMap { current($0) }
      .sorted { ($0.createdAt, $0.id) > ($1.createdAt, $1.id) }
  }

  /// One batch, with its counts of now.
  ///
  /// - Throws: 404.
  func batch(_ id: String) throws(APIError) -> BatchRecord {
    guard let record = current(id) else { throw .notFound("there is no batch \(id.prefix(64))") }
    return record
  }

  private func current(_ id: String) -> BatchRecord? {
    guard var record = records[id] else { return nil }
    if let execution = running[id]?.execution { record.counts = execution.counts }
    return record
  }

  /// The unfinished batch that reads this file, if any.
  func usingFile(_ id: String) -> String? {
    records.values.first { $0.inputFileID == id && !$0.status.isFinal }?.id
  }

  /// Takes in a batch.
  ///
  /// - Throws: why it is refused.
  func create(_ body: BatchCreation) async throws -> BatchRecord {
    guard records.count < limits.batches else {
      throw APIError(
        .insufficientStorage, code: "storage_full", message: "there are too many batches")
    }
    let file = try await files.file(body.inputFileID)
    guard file.purpose == "batch" else {
      throw APIError.invalid("the file's purpose is not \"batch\"", parameter: "input_file_id")
    }
    let now = Int(Date().timeIntervalSince1970)
    let record = BatchRecord(
      id: FileStore.identifier("batch_"), inputFileID: file.id, endpoint: body.endpoint,
      status: .validating, createdAt: now, expiresAt: now + limits.batchSeconds,
      metadata: body.metadata ?? [:])
    try save(record)
    pump()
    return record
  }

  /// Ends a batch; what it has answered stays.
  ///
  /// - Throws: 404, or 409 when it has ended by itself.
  func cancel(_ id: String) throws -> BatchRecord {
    var record = try batch(id)
    guard !record.status.isFinal else {
      throw APIError(
        .conflict, code: "batch_ended", message: "\(id) is \(record.status.rawValue) already")
    }
    if record.status != .cancelling {
      record.become(.cancelling)
      try save(record)
    }
    running[id]?.task.cancel()
    pump()
    return record
  }

  // MARK: Work

  /// Starts what there is room for, the oldest first.
  private func pump() {
    guard !isStopping else { return }
    let waiting = records.values.filter { !$0.status.isFinal && running[$0.id] == nil }
      .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    for record in waiting where running.count < limits.runningBatches {
      let execution = BatchExecution(
        id: record.id, input: files.path(record.inputFileID), folder: "\(folder)/\(record.id)",
        counts: record.counts)
      running[record.id] = (
        Task {
          await work(record.id, execution)
          finished(record.id)
        }, execution
      )
    }
  }

  private func finished(_ id: String) {
    running[id] = nil
    pump()
  }

  private func work(_ id: String, _ execution: BatchExecution) async {
    do {
      guard var record = records[id] else { return }
      if record.status == .validating {
        record.counts.total = try await execution.countLines()
        execution.setTotal(record.counts.total)
        guard record.counts.total > 0 else {
          throw Failure(code: "empty_file", message: "the input file has no lines")
        }
        // It may have been cancelled meanwhile.
        if records[id]?.status == .validating {
          record.become(.inProgress)
          try save(record)
        }
      }
      if records[id]?.status == .inProgress { try await answer(record, execution) }
      try await finalize(id, execution)
    } catch {
      // A server that is told to stop leaves the batch as it is, to go on with.
      guard !isStopping, var record = records[id] else { return }
      logger.error("batch \(id): \(error)")
      let failure = error as? Failure
      record.problems = [
        BatchRecord.Problem(
          code: failure?.code ?? "batch_failed",
          message: failure?.message ?? "the batch could not be run; the server's log says why")
      ]
      record.become(.failed)
      try? save(record)
    }
  }

  private func answer(_ record: BatchRecord, _ execution: BatchExecution) async throws {
    let left = record.expiresAt - Int(Date().timeIntervalSince1970)
    let run = run
    let outcome = await withTaskGroup(of: Result<Bool, any Error>.self) { group in
      group.addTask {
        do {
          _ = try await run(execution)
          return .success(true)
        } catch { return .failure(error) }
      }
      group.addTask {
        try? await Task.sleep(for: .seconds(max(left, 0)))
        return .success(false)
      }
      let first = await group.next() ?? .success(false)
      group.cancelAll()
      return first
    }
    // Cancelled: what was answered counts, whatever the runner says about its end.
    guard var record = records[record.id], record.status == .inProgress else { return }
    if isStopping { throw CancellationError() }
    let isInTime = try outcome.get()
    record.counts = execution.counts
    record.become(isInTime ? .finalizing : .expired)
    // An expired batch gets its files first; until then it is under way.
    if !isInTime { record.status = .finalizing }
    try save(record)
  }

  /// Hands the results over to the file store; doing it twice changes nothing.
  private func finalize(_ id: String, _ execution: BatchExecution) async throws {
    guard var record = records[id], !isStopping else { throw CancellationError() }
    record.counts = execution.counts
    // Named on disk before anything is moved: a restart between the two finds them by their names.
    if record.outputFileID == nil, execution.hasContent(execution.output) {
      record.outputFileID = FileStore.identifier("file-")
    }
    if record.errorFileID == nil, execution.hasContent(execution.errors) {
      record.errorFileID = FileStore.identifier("file-")
    }
    try save(record)
    if let file = record.outputFileID {
      _ = try await files.adopt(execution.output, as: file, fileName: "\(id)_output.jsonl")
    }
    if let file = record.errorFileID {
      _ = try await files.adopt(execution.errors, as: file, fileName: "\(id)_errors.jsonl")
    }
    if record.status == .cancelling {
      record.become(.cancelled)
    } else {
      record.become(record.times["expired"] == nil ? .completed : .expired)
    }
    try save(record)
    try? FileManager.default.removeItem(atPath: execution.folder)
  }

  private func save(_ record: BatchRecord) throws(Failure) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let data = try? encoder.encode(record) else {
      throw Failure(code: "internal", message: "a batch's state cannot be written")
    }
    try DurableFile.write(data, to: "\(folder)/\(record.id).json")
    records[record.id] = record
  }
}
