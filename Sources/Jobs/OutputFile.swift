import Foundation

/// A file that grows by whole lines.
struct OutputFile {
  let path: String
  /// Bytes of the lines in it.
  private(set) var length: Int
  let handle: FileHandle

  /// Opens the file, or makes it.
  ///
  /// - Throws: `.unwritable`; also for what is no file, such as a pipe, which could not be gone on with.
  init(path: String) throws(BatchError) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw .unwritable(path: path, reason: String(cString: strerror(errno)))
    }
    handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .unwritable(path: path, reason: "it is no plain file")
    }
    length = Int(status.st_size)
    self.path = path
  }

  /// Appends a line. When it doesn't fit on the disk, nothing of it stays.
  ///
  /// - Returns: where it begins.
  mutating func append(_ line: Data) throws(BatchError) -> Int {
    do { try handle.write(contentsOf: line) } catch {
      let reason = error.localizedDescription
      try? truncate(to: length)
      throw .unwritable(path: path, reason: reason)
    }
    defer { length += line.count }
    return length
  }

  /// Cuts off what is behind `length` bytes.
  mutating func truncate(to length: Int) throws(BatchError) {
    guard ftruncate(handle.fileDescriptor, length) == 0 else {
      throw .unwritable(path: path, reason: String(cString: strerror(errno)))
    }
    self.length = length
  }

  /// The bytes of a line.
  func read(_ place: Int, count: Int) throws(BatchError) -> Data {
    var data = Data(count: count)
    let got = data.withUnsafeMutableBytes {
      pread(handle.fileDescriptor, $0.baseAddress, count, place)
    }
    guard got == count else {
      throw .damaged(path: path, reason: "\(count) bytes at \(place) cannot be read")
    }
    return data
  }

  /// Waits until a descriptor's bytes are on disk.
  static func synchronize(_ descriptor: Int32, _ path: String) throws(BatchError) {
    guard fsync(descriptor) == 0 else {
      throw .unwritable(path: path, reason: String(cString: strerror(errno)))
    }
  }

  /// Waits until the names in a file's folder are on disk.
  static func synchronizeFolder(of path: String) throws(BatchError) {
    let folder = URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false)
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .unwritable(path: folder, reason: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    // Some file systems can't do this for folders; there the names are as safe as they get.
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw .unwritable(path: folder, reason: String(cString: strerror(errno)))
    }
  }

  /// Whether something stands at `path`.
  static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// Whether there is a file at `path` with nothing in it.
  static func isEmpty(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_size == 0
  }

  /// Whether two paths lead to the same file.
  static func isSame(_ path: String, _ other: String) -> Bool {
    var (one, two) = (stat(), stat())
    guard stat(path, &one) == 0, stat(other, &two) == 0 else { return false }
    return one.st_dev == two.st_dev && one.st_ino == two.st_ino
  }

  /// Removes a file if it is there.
  static func remove(_ path: String) throws(BatchError) {
    guard unlink(path) == 0 || errno == ENOENT else {
      throw .unwritable(path: path, reason: String(cString: strerror(errno)))
    }
  }
}
