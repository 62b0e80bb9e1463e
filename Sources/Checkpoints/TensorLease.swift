import Foundation

/// Says to all processes that share a cache which of its files are in use, as long as it lives: a file
/// with their names, locked. A process that is killed loses its lock, and so its lease.
public final class TensorLease: Sendable {
  private static let ending = ".lease"
  private let lock: FileLock
  private let path: String

  init(in directory: String, files: Set<String>) throws(CheckpointError) {
    path = directory + "/" + UUID().uuidString + Self.ending
    lock = try FileLock(path)
    do {
      try Data(files.sorted().joined(separator: "\n").utf8).write(to: URL(filePath: path))
    } catch { throw .unwritable(path: path, reason: error.localizedDescription) }
  }

  deinit {
    unlink(path)
    lock.unlock()
  }

  /// The files that live leases name, and the leases that have nobody any more.
  static func protected(
    in directory: String
  ) throws(CheckpointError) -> (files: Set<String>, free: [String]) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    var (files, free): (Set<String>, [String]) = ([], [])
    for name in names where name.hasSuffix(Self.ending) {
      let path = directory + "/" + name
      guard FileLock.isHeld(path) else {
        free.append(path)
        continue
      }
      let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
      files.formUnion(text.split(separator: "\n").map(String.init))
    }
    return (files, free)
  }
}

/// A file that is open and locked against other processes (flock).
final class FileLock: Sendable {
  let descriptor: Int32

  /// Opens the file, made where it is missing, and waits for its lock.
  init(_ path: String) throws(CheckpointError) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0, flock(descriptor, LOCK_EX) == 0 else {
      throw .unwritable(path: path, reason: String(cString: strerror(errno)))
    }
  }

  func unlock() { close(descriptor) }

  /// Whether somebody has the lock of the file at `path`.
  static func isHeld(_ path: String) -> Bool {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return flock(descriptor, LOCK_EX | LOCK_NB) != 0
  }
}
