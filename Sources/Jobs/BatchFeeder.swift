import Foundation
import Messaging

/// One request of a batch, with its row in the journal.
struct BatchItem: Sendable {
  /// Its number in the journal.
  let sequence: Int
  /// The number of its line, 1-based.
  let line: Int
  /// Bytes of its line; 0 for all but the first of the requests of one line.
  let byteCount: Int
  /// Its own name; nil when it has none that can be read.
  let customID: String?
  /// What it asks, or what is wrong with it.
  let request: Result<BatchRequest, Failure>
}

/// Gives a run its requests: those that an earlier run left over, then the rest of the file.
///
/// Memory holds one portion of the file: `readAheadLineCount` lines, or `readAheadByteCount` bytes and
/// a line.
struct BatchFeeder {
  private var reader: BatchReader
  private let journal: Journal
  private let folder: URL
  private let maximumTokens: Int
  private let readsLocalFiles: Bool
  /// Where the journal's rows end.
  private var place: ReadingPlace
  private var isRead: Bool
  private var isBacklogDone = false
  private var lastPending = 0
  /// What comes next, last first.
  private var backlog: [PendingRequest] = []
  private var items: [BatchItem] = []

  /// Feeds what earlier runs left over, and the input from where the journal's rows end; only the first
  /// when `readsOn` is false.
  init(
    reader: BatchReader, journal: Journal, state: JournalState, folder: URL, maximumTokens: Int,
    readsLocalFiles: Bool, readsOn: Bool
  ) {
    (self.reader, self.journal, self.folder) = (reader, journal, folder)
    self.maximumTokens = maximumTokens
    self.readsLocalFiles = readsLocalFiles
    place = state.place
    isRead = state.isRead || !readsOn
    // A batch that was just begun has nothing left over.
    isBacklogDone = state.place == ReadingPlace()
  }

  /// The next request; nil when there is none.
  mutating func next() async throws(BatchError) -> BatchItem? {
    while true {
      if let item = items.popLast() { return item }
      if let pending = backlog.popLast() { return try again(pending) }
      if !isBacklogDone {
        backlog = try await journal.takePending(
          after: lastPending, count: JobLimits.readAheadLineCount)
        lastPending = backlog.last?.sequence ?? lastPending
        backlog.reverse()
        isBacklogDone = backlog.isEmpty
        if isBacklogDone, !isRead { try reader.seek(to: place) }
      } else if !isRead {
        try await readOn()
      } else {
        return nil
      }
    }
  }

  private func parse(_ bytes: [UInt8]?) -> BatchLine {
    BatchLine.parse(bytes, maximumTokens: maximumTokens, readsLocalFiles: readsLocalFiles)
  }

  /// Reads the line of an earlier run's request once more.
  private mutating func again(_ pending: PendingRequest) throws(BatchError) -> BatchItem {
    let request = pending.request
    try reader.seek(to: ReadingPlace(offset: request.lineOffset, line: request.line - 1))
    let raw = try reader.next()
    var line = parse(raw?.bytes)
    if let picture = request.picture { line = line.about(picture, folder: folder) }
    if request.customID == nil { line = line.markedDuplicate }
    return BatchItem(
      sequence: pending.sequence, line: request.line, byteCount: request.lineLength,
      customID: request.customID ?? line.customID, request: line.request)
  }

  /// Reads a portion, and notes it.
  private mutating func readOn() async throws(BatchError) {
    var lines: [BatchLine] = []
    var requests: [NewRequest] = []
    var byteCount = 0
    while requests.count < JobLimits.readAheadLineCount, byteCount < JobLimits.readAheadByteCount {
      guard let raw = try reader.next() else {
        isRead = true
        break
      }
      byteCount += raw.bytes?.count ?? 0
      let parsed = parse(raw.bytes)
      for (index, (line, picture)) in parsed.expanded(folder: folder).enumerated() {
        lines.append(line)
        requests.append(
          NewRequest(
            customID: line.customID, line: raw.number, lineOffset: raw.offset,
            lineLength: index == 0 ? raw.endOffset - raw.offset : 0, picture: picture))
      }
    }
    place = reader.place
    let noted = try await journal.note(requests, place: place, isRead: isRead)
    items = zip(zip(lines, requests), noted).map { pair, noted in
      let line = noted.isDuplicate ? pair.0.markedDuplicate : pair.0
      return BatchItem(
        sequence: noted.sequence, line: pair.1.line, byteCount: pair.1.lineLength,
        customID: line.customID, request: line.request)
    }.reversed()
  }
}

extension BatchLine {
  /// The line of a `custom_id` that an earlier line has; unchanged where there is no name at all.
  var markedDuplicate: BatchLine {
    guard let customID else { return self }
    return BatchLine(
      customID: customID,
      failure: Failure(
        code: "duplicate_custom_id",
        message: "an earlier line has this custom_id too; give every line its own"))
  }

  /// The line itself, or one for each picture of its folder or pattern, named `custom_id/picture`.
  func expanded(folder: URL) -> [(line: BatchLine, picture: String?)] {
    guard let (request, pattern) = pattern(folder: folder) else { return [(self, nil)] }
    do throws(Failure) {
      return try pattern.names(folder: folder, atMost: JobLimits.linePictureCount).map { name in
        (one(name, of: request, pattern), name)
      }
    } catch {
      return [(BatchLine(customID: customID, failure: error), nil)]
    }
  }

  /// The line for one picture of its folder or pattern, as `expanded` made it.
  func about(_ picture: String, folder: URL) -> BatchLine {
    guard let (request, pattern) = pattern(folder: folder) else { return self }
    return one(picture, of: request, pattern)
  }

  private func pattern(folder: URL) -> (BatchRequest, PicturePattern)? {
    guard customID != nil, case .success(let request) = request, request.mayExpand,
      case .file(let path)? = request.images.first,
      let pattern = PicturePattern(path, folder: folder)
    else { return nil }
    return (request, pattern)
  }

  private func one(
    _ name: String, of request: BatchRequest, _ pattern: PicturePattern
  ) -> BatchLine {
    var request = request
    request.images = [.file(pattern.prefix + name)]
    return BatchLine(reading: (customID ?? "") + "/" + name, .success(request))
  }
}
