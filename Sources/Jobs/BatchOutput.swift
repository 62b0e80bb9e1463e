import Foundation

/// The two files a batch writes: results, and `….errors.jsonl` beside them for requests that failed.
///
/// Every line is handed to the system whole and at once. The errors' file is made with the first error,
/// and gone when there is none.
struct BatchOutput {
  /// What has to be on disk before a journal may speak of it.
  struct Files: Sendable {
    fileprivate let descriptors: [(Int32, String)]
    /// Bytes of the file of results.
    let resultsLength: Int
    /// Bytes of the file of errors.
    let errorsLength: Int

    /// Waits until both are on disk.
    func synchronize() throws(BatchError) {
      for (descriptor, path) in descriptors { try OutputFile.synchronize(descriptor, path) }
    }
  }

  private(set) var results: OutputFile
  private(set) var errors: OutputFile?
  private let errorsPath: String
  /// Files written to since `takeFiles`; both at first, for what an earlier run left to the system.
  private var touched: Set<Replacement> = [.results, .errors]

  /// `out.jsonl` → `out.errors.jsonl`; a name without an extension gets one.
  static func errorsPath(for output: String) -> String {
    let url = URL(filePath: output)
    let fileExtension = url.pathExtension.isEmpty ? "jsonl" : url.pathExtension
    return url.deletingPathExtension().appendingPathExtension("errors")
      .appendingPathExtension(fileExtension).path(percentEncoded: false)
  }

  /// Opens the files, or makes that of the results.
  init(path: String) throws(BatchError) {
    errorsPath = Self.errorsPath(for: path)
    results = try OutputFile(path: path)
    if OutputFile.exists(errorsPath) { errors = try OutputFile(path: errorsPath) }
    try OutputFile.synchronizeFolder(of: path)
  }

  /// Appends one result where it belongs.
  ///
  /// - Returns: where its line begins, and its length.
  mutating func write(_ result: BatchResult) throws(BatchError) -> (place: Int, length: Int) {
    let line = Data((result.json.line + "\n").utf8)
    if case .success = result.outcome {
      touched.insert(.results)
      return (try results.append(line), line.count)
    }
    if errors == nil {
      errors = try OutputFile(path: errorsPath)
      try OutputFile.synchronizeFolder(of: errorsPath)
    }
    touched.insert(.errors)
    return (try errors?.append(line) ?? 0, line.count)
  }

  /// Cuts off what is behind the lengths given.
  ///
  /// - Throws: `.damaged` when there is less.
  mutating func cut(results resultsLength: Int, errors errorsLength: Int) throws(BatchError) {
    guard results.length >= resultsLength else {
      throw .damaged(
        path: results.path,
        reason: "it has \(results.length) bytes, the journal knows of \(resultsLength)")
    }
    guard errors?.length ?? 0 >= errorsLength else {
      throw .damaged(
        path: errorsPath,
        reason: "it has \(errors?.length ?? 0) bytes, the journal knows of \(errorsLength)")
    }
    if results.length > resultsLength { try results.truncate(to: resultsLength) }
    if errorsLength == 0 {
      errors = nil
      try OutputFile.remove(errorsPath)
    } else if errors?.length ?? 0 > errorsLength {
      try errors?.truncate(to: errorsLength)
    }
  }

  /// What has to be on disk now; asked once for each group.
  mutating func takeFiles() -> Files {
    var descriptors: [(Int32, String)] = []
    if touched.contains(.results) {
      descriptors.append((results.handle.fileDescriptor, results.path))
    }
    if touched.contains(.errors), let errors {
      descriptors.append((errors.handle.fileDescriptor, errors.path))
    }
    touched = []
    return Files(
      descriptors: descriptors, resultsLength: results.length, errorsLength: errors?.length ?? 0)
  }

  /// Puts the lines of both files into the order of the input.
  ///
  /// Memory holds one line and one portion of places. The disk holds a second copy for a while.
  func order(by journal: Journal) async throws(BatchError) {
    for (kind, file) in [(Replacement.results, results as OutputFile?), (.errors, errors)] {
      guard let file else { continue }
      if try await journal.isInOrder(kind) { continue }
      try await copy(kind, file, journal)
      try await journal.beginReplacing(kind)
      try await Self.endReplacing(kind, file.path, journal)
    }
  }

  private func copy(
    _ kind: Replacement, _ file: OutputFile, _ journal: Journal
  ) async throws(BatchError) {
    let path = Self.newPath(file.path)
    try OutputFile.remove(path)
    var copy = try OutputFile(path: path)
    var sequence = 0
    while true {
      let places = try await journal.places(kind, after: sequence, count: JobLimits.commitCount)
      guard let last = places.last else { break }
      for place in places { _ = try copy.append(file.read(place.place, count: place.length)) }
      sequence = last.sequence
    }
    try OutputFile.synchronize(copy.handle.fileDescriptor, path)
    try OutputFile.synchronizeFolder(of: path)
  }

  /// Finishes a replacement whose new file is good: renames it, unless that was done, and notes places.
  static func endReplacing(
    _ kind: Replacement, _ path: String, _ journal: Journal
  ) async throws(BatchError) {
    let new = newPath(path)
    if OutputFile.exists(new), rename(new, path) != 0 {
      throw .unwritable(path: path, reason: String(cString: strerror(errno)))
    }
    try OutputFile.synchronizeFolder(of: path)
    try await journal.endReplacing(kind)
  }

  /// Where a file is written that replaces `path`.
  static func newPath(_ path: String) -> String { path + ".ordered" }
}
