import Foundation
import Messaging

/// An opened batch: the journal, locked; the files, as the journal says they are; and where to go on.
///
/// `Journal` says which steps there are, and what an end between any two of them leaves behind.
struct BatchSession {
  let journal: Journal
  var output: BatchOutput
  var reader: BatchReader
  /// As it was when everything was put in order.
  var state: JournalState

  /// Opens a new batch, or one that was begun before.
  ///
  /// - Throws: `BatchError`, before anything is changed by which results could be lost.
  static func open(_ configuration: BatchRunner.Configuration) async throws(BatchError) -> Self {
    let reader = try BatchReader(path: configuration.input)
    let journalPath = configuration.journal ?? Journal.path(for: configuration.output)
    let files = [configuration.output, BatchOutput.errorsPath(for: configuration.output)]
    for path in files + [journalPath] where OutputFile.isSame(path, configuration.input) {
      throw .sameFile(path: path)
    }
    let isKnown = OutputFile.exists(journalPath) && !OutputFile.isEmpty(journalPath)
    if configuration.mode == .retry, !isKnown { throw .noJournal(path: journalPath) }
    if !isKnown, configuration.mode != .restart {
      // An empty file (a temporary name that was made beforehand, say) has nothing to lose.
      for path in files where OutputFile.exists(path) && !OutputFile.isEmpty(path) {
        throw .exists(path: path)
      }
    }
    if isKnown, configuration.mode == .restart { try Self.removeForeign(journalPath) }
    let journal = try Journal(path: journalPath)
    let identity = BatchIdentity(
      reader, model: configuration.model, options: configuration.allOptions)
    let earlier = configuration.mode == .restart ? nil : try await journal.state()
    if let earlier {
      try check(identity, against: earlier, configuration, journalPath)
    } else {
      try await journal.begin(identity)
    }
    if let kind = earlier?.replacing {
      try await BatchOutput.endReplacing(kind, files[kind == .results ? 0 : 1], journal)
    }
    for path in files { try OutputFile.remove(BatchOutput.newPath(path)) }
    var session = Self(
      journal: journal, output: try BatchOutput(path: configuration.output), reader: reader,
      state: earlier ?? JournalState(identity: identity, boot: Boot.id))
    try await session.recover(earlier, identity)
    if configuration.mode == .retry { try await session.retry() }
    return session
  }

  /// Removes a journal that can't be read, so that a new one can be begun. One that is in use stays.
  private static func removeForeign(_ path: String) throws(BatchError) {
    do throws(BatchError) { try Journal(path: path).close() } catch {
      guard case .journal = error else { throw error }
      for ending in ["", "-wal", "-shm"] { try OutputFile.remove(path + ending) }
    }
  }

  private static func check(
    _ identity: BatchIdentity, against earlier: JournalState,
    _ configuration: BatchRunner.Configuration, _ journalPath: String
  ) throws(BatchError) {
    let difference = try identity.difference(from: earlier.identity) {
      () throws(BatchError) -> Bool in
      var reader = try BatchReader(path: configuration.input)
      while reader.place.offset < earlier.place.offset {
        guard try reader.next() != nil else { break }
      }
      return reader.place == earlier.place
    }
    if let difference { throw .changed(journal: journalPath, what: difference) }
  }

  /// Makes the files what the journal says; adopts whole lines that were written after its last word.
  private mutating func recover(
    _ earlier: JournalState?, _ identity: BatchIdentity
  ) async throws(BatchError) {
    let isSameBoot = earlier?.boot == Boot.id
    let adopted =
      isSameBoot && output.results.length > state.resultsLength
      ? try await adoptable(from: state.resultsLength) : []
    let length = adopted.last.map { $0.place + $0.length } ?? state.resultsLength
    try output.cut(results: length, errors: state.errorsLength)
    // The identity as it is now: the input may have a new time, or an earlier run an unknown model.
    var known = identity
    if known.model.isEmpty { known.model = state.identity.model }
    if known.precision.isEmpty { known.precision = state.identity.precision }
    known.maskDecoder = known.maskDecoder ?? state.identity.maskDecoder
    try await journal.goOn(known)
    if !adopted.isEmpty { try await journal.commit(adopted, in: output.takeFiles()) }
    state.resultsLength = length
    state.doneCount += adopted.count
  }

  /// The results behind `start` in the file of results, up to the first line that isn't one.
  private func adoptable(from start: Int) async throws(BatchError) -> [FinishedRequest] {
    struct ResultLine: Decodable {
      let id: String
      let customID: String
      private enum CodingKeys: String, CodingKey {
        case id
        case customID = "custom_id"
      }
    }
    var reader = try BatchReader(path: output.results.path, lineByteCount: .max / 2)
    try reader.seek(to: ReadingPlace(offset: start))
    var found: [FinishedRequest] = []
    var sequences: Set<Int> = []
    while let raw = try reader.next() {
      // A blank line is nobody's: what follows it isn't where it should be.
      let isNext = raw.offset == found.last.map({ $0.place + $0.length }) ?? start
      guard raw.isEnded, isNext, let bytes = raw.bytes,
        let line = try? JSONDecoder().decode(ResultLine.self, from: Data(bytes)),
        let pending = try await journal.pending(named: line.customID),
        line.id == BatchResult.id(line: pending.request.line, customID: line.customID),
        sequences.insert(pending.sequence).inserted
      else { break }
      found.append(
        FinishedRequest(
          sequence: pending.sequence, code: nil, place: raw.offset,
          length: raw.endOffset - raw.offset))
    }
    return found
  }

  /// Makes failed requests pending again, and empties the errors' file.
  private mutating func retry() async throws(BatchError) {
    if try await journal.retryFailed() == 0 { return }
    try output.cut(results: state.resultsLength, errors: 0)
    (state.failedCount, state.errorsLength) = (0, 0)
  }

  /// The progress at the beginning.
  func progress() async throws(BatchError) -> BatchProgress {
    var progress = BatchProgress()
    progress.bytesTotal = reader.isFile ? reader.fileByteCount : 0
    (progress.succeeded, progress.failed) = (state.doneCount, state.failedCount)
    progress.earlierCount = state.doneCount + state.failedCount
    progress.bytesDone = max(0, state.place.offset - (try await journal.pending().byteCount))
    progress.bytesBefore = progress.bytesDone
    return progress
  }
}
