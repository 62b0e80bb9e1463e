import Foundation

/// The two files a batch writes: results, and `….errors.jsonl` beside them for lines that failed.
///
/// Every line is handed to the system whole and at once, so that what is there after a crash is whole
/// lines. The errors' file is made with the first error.
struct BatchOutput {
  private let results: FileHandle
  private let resultsPath: String
  private let errorsPath: String
  private var errors: FileHandle?

  /// `out.jsonl` → `out.errors.jsonl`; a name without an extension gets one.
  static func errorsPath(for output: String) -> String {
    let url = URL(filePath: output)
    let fileExtension = url.pathExtension.isEmpty ? "jsonl" : url.pathExtension
    return url.deletingPathExtension().appendingPathExtension("errors")
      .appendingPathExtension(fileExtension).path(percentEncoded: false)
  }

  /// Makes the results' file, and removes both of an earlier run if told so.
  ///
  /// - Throws: `.exists` when there is one of them and `isOverwriting` is false; `.sameFile` when the
  ///   output is the input; `.unwritable`.
  init(path: String, isOverwriting: Bool, input: String) throws(BatchError) {
    resultsPath = path
    errorsPath = Self.errorsPath(for: path)
    for path in [resultsPath, errorsPath] where Self.exists(path) {
      guard !Self.isSame(path, input) else { throw .sameFile(path: path) }
      // An empty file (a temporary name that was made beforehand, say) has nothing to lose.
      guard isOverwriting || Self.isEmptyFile(path) else { throw .exists(path: path) }
    }
    if Self.exists(errorsPath), unlink(errorsPath) != 0 {
      throw .unwritable(path: errorsPath, reason: String(cString: strerror(errno)))
    }
    results = try Self.create(path, isOverwriting: isOverwriting || Self.exists(path))
  }

  /// Appends one result where it belongs.
  mutating func write(_ result: BatchResult) throws(BatchError) {
    let line = Data((result.json.line + "\n").utf8)
    if case .success = result.outcome {
      try Self.append(line, to: results, resultsPath)
      return
    }
    if errors == nil { errors = try Self.create(errorsPath, isOverwriting: false) }
    if let errors { try Self.append(line, to: errors, errorsPath) }
  }

  /// Waits until everything is on disk.
  func finish() throws(BatchError) {
    do {
      try results.synchronize()
      try errors?.synchronize()
    } catch { throw .unwritable(path: resultsPath, reason: error.localizedDescription) }
  }

  private static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  private static func isEmptyFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_size == 0
  }

  private static func isSame(_ path: String, _ other: String) -> Bool {
    var (one, two) = (stat(), stat())
    guard stat(path, &one) == 0, stat(other, &two) == 0 else { return false }
    return one.st_dev == two.st_dev && one.st_ino == two.st_ino
  }

  private static func create(_ path: String, isOverwriting: Bool) throws(BatchError) -> FileHandle {
    let flags = O_WRONLY | O_CREAT | O_CLOEXEC | (isOverwriting ? O_TRUNC : O_EXCL)
    let descriptor = open(path, flags, 0o644)
    guard descriptor >= 0 else {
      if errno == EEXIST { throw .exists(path: path) }
      throw .unwritable(path: path, reason: String(cString: strerror(errno)))
    }
    return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  }

  private static func append(
    _ line: Data, to handle: FileHandle, _ path: String
  ) throws(BatchError) {
    do { try handle.write(contentsOf: line) } catch {
      throw .unwritable(path: path, reason: error.localizedDescription)
    }
  }
}
