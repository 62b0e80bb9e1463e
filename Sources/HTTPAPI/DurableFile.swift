import Foundation
import Glibc
import Messaging

/// Files that are whole after a loss of power, or not there at all.
enum DurableFile {
  /// Writes `data` to `path` in one step: beside it, to the disk, and only then under its name.
  ///
  /// - Throws: `files_directory` with the system's reason.
  static func write(_ data: Data, to path: String) throws(Failure) {
    let temporary = path + ".new"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("cannot write", temporary) }
    let isWritten = writeAll(Array(data), to: descriptor) && fsync(descriptor) == 0
    let problem = isWritten ? nil : failure("cannot write", temporary)
    close(descriptor)
    if let problem { throw problem }
    try move(temporary, to: path)
  }

  /// Makes a folder, and those above it, that only its owner may read.
  ///
  /// - Throws: `files_directory` with the system's reason.
  static func makeFolder(_ path: String) throws(Failure) {
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw Failure(
        code: "files_directory",
        message: "cannot make \(path): \(error.localizedDescription); check --files-directory")
    }
  }

  /// Writes all of `bytes`; false when the system refuses.
  static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { bytes in
      var left = bytes[...]
      while !left.isEmpty {
        let count = Glibc.write(
          descriptor, UnsafeRawBufferPointer(rebasing: left).baseAddress, left.count)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return false }
        left = left.dropFirst(count)
      }
      return true
    }
  }

  /// Gives a file its final name, on disk too.
  static func move(_ source: String, to path: String) throws(Failure) {
    guard rename(source, path) == 0 else { throw failure("cannot name", path) }
    let folder = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_CLOEXEC)
    guard folder >= 0 else { return }
    fsync(folder)
    close(folder)
  }

  /// What the system says about its last error.
  static func failure(_ what: String, _ path: String) -> Failure {
    Failure(
      code: "files_directory",
      message: "\(what) \(path): \(String(cString: strerror(errno))); check --files-directory")
  }
}
