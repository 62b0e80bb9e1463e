import Foundation
import Tensors

/// Tensors on disk by their content: a folder with one safetensors file for each, named by its hash.
///
/// Several processes may share a folder. Nothing in it is believed: a file is hashed again before it
/// is used, and one that isn't what its name says counts for nothing. Files used least recently go first when
/// the folder would become too large; those of a live `TensorLease` stay.
public final class TensorCache: Sendable {
  /// The folder.
  public let directory: String
  /// Bytes that all files may take together.
  public let byteCountMaximum: Int

  static let ending = ".safetensors"
  static let partEnding = ".part"

  /// Opens the cache in `directory`, which is made where it is missing, for this user alone.
  public init(directory: String, byteCountMaximum: Int) throws(CheckpointError) {
    self.directory = directory
    self.byteCountMaximum = byteCountMaximum
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700])
    } catch { throw .unwritable(path: directory, reason: error.localizedDescription) }
  }

  /// Makes room for `tensors`, and sees to it that they stay as long as the lease lives.
  ///
  /// - Throws: `cacheLimit` or `cacheSpace` with the figures when they don't fit.
  public func reserve(_ tensors: [SharedTensor]) throws(CheckpointError) -> TensorLease {
    let lock = try FileLock(directory + "/lock")
    defer { lock.unlock() }
    let own = Set(tensors.map { Self.fileName($0) })
    var needed = 0
    for tensor in tensors { needed += try Self.head(of: tensor).count + tensor.byteCount }
    let files = try files()
    let isOwn = { (file: File) in own.contains(file.stem + Self.ending) }
    let (inUse, free) = try TensorLease.protected(in: directory)
    var others = files.filter { !isOwn($0) }.sorted { $0.used < $1.used }
    var kept = others.reduce(0) { $0 + $1.byteCount }
    while needed + kept > byteCountMaximum {
      guard
        let index = others.firstIndex(where: {
          !inUse.contains($0.stem + Self.ending) && !($0.isPart && FileLock.isHeld($0.path))
        })
      else {
        throw .cacheLimit(
          directory: directory, needed: needed, others: kept, limit: byteCountMaximum)
      }
      let file = others.remove(at: index)
      unlink(file.path)
      kept -= file.byteCount
    }
    for lease in free { unlink(lease) }
    let present = files.filter(isOwn).reduce(0) { $0 + $1.byteCount }
    if let room = Self.freeByteCount(directory), needed - present > room {
      throw .cacheSpace(directory: directory, needed: needed - present, free: room)
    }
    return try TensorLease(in: directory, files: own)
  }

  /// Whether `tensor` is here, every byte of it.
  ///
  /// - Parameters:
  ///   - tensor: what is looked for.
  ///   - progress: told of each chunk's bytes as they are read.
  /// - Returns: whether it can be used.
  /// - Throws: what `progress` throws.
  public func holds(_ tensor: SharedTensor, progress: (Int) throws -> Void) throws -> Bool {
    let path = path(of: tensor)
    guard FileManager.default.fileExists(atPath: path) else { return false }
    // What is damaged stays where it is until a whole one takes its place: removing it could hit one
    // that another process has just finished.
    guard let data = Self.data(of: tensor, in: path) else { return false }
    for (index, chunk) in tensor.chunks.enumerated() {
      let range = tensor.range(ofChunk: index)
      let found = data.withBytes { ContentHash(of: UnsafeRawBufferPointer(rebasing: $0[range])) }
      guard found == chunk else { return false }
      try progress(range.count)
    }
    // The time of the last use is what is looked at when something has to go.
    utimes(path, nil)
    return true
  }

  /// What takes the chunks of `tensor`, beginning with those that an earlier one has left.
  public func writer(_ tensor: SharedTensor) throws(CheckpointError) -> TensorCacheWriter {
    try TensorCacheWriter(
      tensor, head: Self.head(of: tensor), part: directory + "/" + tensor.hash.description,
      path: path(of: tensor))
  }

  /// The checkpoint of these tensors, which are all here.
  public func checkpoint(_ tensors: [SharedTensor]) -> Checkpoint {
    Checkpoint(
      directory: directory,
      fileOfTensor: Dictionary(
        tensors.map { ($0.name, Self.fileName($0)) }, uniquingKeysWith: { first, _ in first }))
  }

  private func path(of tensor: SharedTensor) -> String { directory + "/" + Self.fileName(tensor) }

  static func fileName(_ tensor: SharedTensor) -> String { tensor.hash.description + ending }

  private static func head(of tensor: SharedTensor) throws(CheckpointError) -> Data {
    do {
      return try SafetensorsWriter.head(
        [.init(name: tensor.name, elementType: tensor.elementType, shape: tensor.shape)],
        metadata: tensor.notes)
    } catch { throw .malformed(path: tensor.name, reason: error.localizedDescription) }
  }

  /// The tensor in a file that says of itself what it should.
  private static func data(of tensor: SharedTensor, in path: String) -> Tensor? {
    guard let file = try? SafetensorsFile(path: path), file.entries.count == 1,
      let entry = file.entries[tensor.name], entry.elementType == tensor.elementType,
      entry.shape == tensor.shape, file.metadata == tensor.notes
    else { return nil }
    return file.tensor(tensor.name)
  }

  private struct File {
    let path: String
    /// The hash, as it should be.
    let stem: String
    let isPart: Bool
    let byteCount: Int
    let used: Double
  }

  private func files() throws(CheckpointError) -> [File] {
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: directory) } catch {
      throw .unreadable(path: directory, reason: error.localizedDescription)
    }
    return names.compactMap { name in
      guard name.hasSuffix(Self.ending) || name.hasSuffix(Self.partEnding) else { return nil }
      var status = stat()
      let path = directory + "/" + name
      guard stat(path, &status) == 0 else { return nil }
      return File(
        path: path, stem: String(name.prefix { $0 != "." }),
        isPart: name.hasSuffix(Self.partEnding), byteCount: Int(status.st_size),
        used: Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9)
    }
  }

  private static func freeByteCount(_ directory: String) -> Int? {
    var space = statvfs()
    guard statvfs(directory, &space) == 0 else { return nil }
    let (free, overflow) = Int(space.f_bavail).multipliedReportingOverflow(by: Int(space.f_frsize))
    return overflow ? nil : free
  }
}
