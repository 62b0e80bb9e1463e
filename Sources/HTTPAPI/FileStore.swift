import Foundation
import Jobs
import Messaging

/// What is known of one kept file.
struct StoredFile: Codable, Sendable, Equatable {
  /// `file-` and 24 hexadecimal digits.
  var id: String
  /// What its sender calls it.
  var fileName: String
  /// `batch`, or `batch_output` for results.
  var purpose: String
  var byteCount: Int
  /// Seconds since 1970.
  var createdAt: Int

  /// OpenAI's file object.
  var json: JSONText {
    .object([
      "id": .string(id), "object": .string("file"), "bytes": .integer(byteCount),
      "created_at": .integer(createdAt), "filename": .string(fileName),
      "purpose": .string(purpose), "status": .string("processed"), "expires_at": .null,
      "status_details": .null,
    ])
  }
}

/// The files that clients sent and batches wrote, in one folder; they survive a restart.
///
/// `ID.data` is the content, `ID.json` what is known of it, written last: a file without it was never
/// whole, and is removed at the next start. One server at a time owns the folder.
actor FileStore {
  /// The folder.
  nonisolated let folder: String
  private let limits: HTTPLimits
  private var files: [String: StoredFile] = [:]
  /// Bytes that uploads under way may still write.
  private var reserved = 0
  private let lock: Int32

  /// Opens the folder, and makes it when it isn't there.
  ///
  /// - Throws: `files_directory` when it can't be used, or another server uses it.
  init(folder: String, limits: HTTPLimits) throws(Failure) {
    self.folder = folder
    self.limits = limits
    try DurableFile.makeFolder(folder)
    lock = open(folder + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw DurableFile.failure("cannot open", folder + "/lock") }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      close(lock)
      throw Failure(
        code: "files_directory",
        message: "another server uses \(folder); give each its own --files-directory")
    }
    files = Self.read(folder)
  }

  deinit { close(lock) }

  private static func read(_ folder: String) -> [String: StoredFile] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    var files: [String: StoredFile] = [:]
    for name in names where name.hasPrefix("file-") && name.hasSuffix(".json") {
      guard let data = FileManager.default.contents(atPath: folder + "/" + name),
        let file = try? JSONDecoder().decode(StoredFile.self, from: data),
        name == file.id + ".json",
        FileManager.default.fileExists(atPath: "\(folder)/\(file.id).data")
      else { continue }
      files[file.id] = file
    }
    for name in names where name.hasPrefix("file-") && files[String(name.prefix(29))] == nil {
      try? FileManager.default.removeItem(atPath: folder + "/" + name)
    }
    return files
  }

  /// Where the content of a file is.
  nonisolated func path(_ id: String) -> String { "\(folder)/\(id).data" }

  /// A file's description.
  ///
  /// - Throws: 404.
  func file(_ id: String) throws(APIError) -> StoredFile {
    guard let file = files[id] else { throw .notFound("there is no file \(id.prefix(64))") }
    return file
  }

  /// All files, the newest first.
  var all: [StoredFile] {
    files.values.sorted { ($0.createdAt, $0.id) > ($1.createdAt, $1.id) }
  }

  /// Reserves room for a file of at most so many bytes.
  ///
  /// - Returns: the id it will have; write its content to `path`, then call `add` or `abandon`.
  /// - Throws: 507 when the store is full.
  func begin(byteCount: Int) throws(APIError) -> String {
    let used = files.values.reduce(0) { $0 + $1.byteCount } + reserved
    guard files.count < limits.files, used + byteCount <= limits.filesByteCount else {
      throw APIError(
        .insufficientStorage, code: "storage_full",
        message: "there is no room for more files; delete some")
    }
    reserved += byteCount
    return Self.identifier("file-")
  }

  /// Gives up what `begin` began.
  func abandon(_ id: String, reserved byteCount: Int) {
    reserved -= byteCount
    unlink(path(id))
  }

  /// Takes in the file whose content is at `path(id)`.
  func add(
    _ id: String, fileName: String, purpose: String, reserved byteCount: Int
  ) throws(Failure) -> StoredFile {
    reserved -= byteCount
    var status = stat()
    guard stat(path(id), &status) == 0 else { throw DurableFile.failure("cannot read", path(id)) }
    let file = StoredFile(
      id: id, fileName: String(fileName.prefix(200)), purpose: purpose,
      byteCount: Int(status.st_size), createdAt: Int(Date().timeIntervalSince1970))
    try write(file)
    files[id] = file
    return file
  }

  /// Takes in a result by moving it; a second call for the same id changes nothing.
  func adopt(
    _ source: String, as id: String, fileName: String
  ) throws(Failure) -> StoredFile {
    if let file = files[id] { return file }
    if FileManager.default.fileExists(atPath: source) {
      try DurableFile.move(source, to: path(id))
    }
    return try add(id, fileName: fileName, purpose: "batch_output", reserved: 0)
  }

  /// Removes a file.
  ///
  /// - Throws: 404.
  func delete(_ id: String) throws(APIError) {
    guard files.removeValue(forKey: id) != nil else {
      throw .notFound("there is no file \(id.prefix(64))")
    }
    unlink("\(folder)/\(id).json")
    unlink(path(id))
  }

  private func write(_ file: StoredFile) throws(Failure) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let data = try? encoder.encode(file) else {
      throw Failure(code: "internal", message: "a file's description cannot be written")
    }
    try DurableFile.write(data, to: "\(folder)/\(file.id).json")
  }

  /// `prefix` and 24 hexadecimal digits that nobody can guess.
  static func identifier(_ prefix: String) -> String {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<12).map { _ in UInt8.random(in: 0...255, using: &generator) }
    return prefix + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
