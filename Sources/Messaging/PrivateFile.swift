import Foundation

/// Files and folders that only their owner may see.
enum PrivateFile {
  /// Reads a whole file of at most `MessageLimits.keyFileByteCount` bytes.
  ///
  /// - Throws: `.insecure` when others may read or write it, or when it belongs to somebody else;
  ///   `.system` when it can't be read.
  static func read(_ path: String) throws(MessagingError) -> String {
    // The file that was looked at is the file that is read, whatever happens to its name.
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw system("open", path) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw system("look at", path) }
    guard status.st_mode & S_IFMT == S_IFREG,
      status.st_size <= MessageLimits.keyFileByteCount
    else { throw refuse(path, "it is no file of at most 1 MiB", "give a file of `palisade keys`") }
    try check(status, path, "600")
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < bytes.count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        Foundation.read(file, buffer.baseAddress.map { $0 + count }, buffer.count - count)
      }
      if got < 0 && errno == EINTR { continue }
      guard got > 0 else { throw system("read", path) }
      count += got
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Writes a file whole or not at all, for its owner only.
  static func write(_ text: String, to path: String) throws(MessagingError) {
    let temporary = "\(path).\(UUID().uuidString.prefix(8)).new"
    let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw system("write", path) }
    defer { close(file) }
    let bytes = Array(text.utf8)
    guard Foundation.write(file, bytes, bytes.count) == bytes.count, fsync(file) == 0,
      rename(temporary, path) == 0
    else {
      let error = system("write", path)
      unlink(temporary)
      throw error
    }
  }

  /// Makes a folder for its owner only; one that is there already must be that.
  static func makeFolder(_ path: String) throws(MessagingError) {
    if mkdir(path, 0o700) != 0 && errno != EEXIST { throw system("make the folder", path) }
    try checkFolder(path)
  }

  /// Refuses a folder that others may look or write into.
  static func checkFolder(_ path: String) throws(MessagingError) {
    var status = stat()
    guard stat(path, &status) == 0 else { throw system("look into", path) }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw refuse(path, "it is no folder", "give a folder made by `palisade keys init`")
    }
    try check(status, path, "700")
  }

  private static func check(
    _ status: stat, _ path: String, _ mode: String
  ) throws(MessagingError) {
    guard status.st_mode & 0o077 == 0 else {
      throw refuse(
        path, "others than its owner may read or write it",
        "`chmod \(mode) \(path)`, and make new keys if somebody may have seen them")
    }
    guard status.st_uid == geteuid() || status.st_uid == 0 else {
      throw refuse(
        path, "it belongs to user \(status.st_uid), who is neither root nor the user who runs this",
        "`chown` it, or make keys of your own with `palisade keys init`")
    }
  }

  private static func refuse(_ path: String, _ cause: String, _ remedy: String) -> MessagingError {
    MessagingError(
      code: .insecure, operation: "use keys", endpoint: path, cause: cause, remedy: remedy)
  }

  static func system(_ operation: String, _ path: String) -> MessagingError {
    let number = errno
    return MessagingError(
      code: .system(number), operation: operation, endpoint: path,
      cause: String(cString: strerror(number)),
      remedy: "check the path; `palisade keys init DIR` makes a cluster's keys")
  }
}
