import Foundation
import Tensors
import Testing

@testable import Checkpoints

/// Tensors on disk by their content: checked, gone on with, and thrown away in order.
@Suite struct TensorCacheTests {
  private static let chunk = SharedTensor.chunkByteCount

  /// A tensor of `byteCount` bytes from a seed, and what is told of it.
  private func tensor(
    _ name: String, byteCount: Int, seed: UInt64 = 1
  ) throws -> (bytes: [UInt8], shared: SharedTensor) {
    var seeded = Seeded(seed)
    let bytes = (0..<byteCount).map { _ in UInt8(truncatingIfNeeded: seeded.next()) }
    let tensor = Tensor(.u8, shape: [byteCount])
    tensor.withBytes { $0.copyBytes(from: bytes) }
    return (
      bytes,
      try #require(SharedTensor(name: name, tensor: tensor, notes: ["palisade.precision": "int8"]))
    )
  }

  private func write(
    _ tensor: (bytes: [UInt8], shared: SharedTensor), to cache: TensorCache, chunks: Int? = nil
  ) throws {
    let writer = try cache.writer(tensor.shared)
    for index in writer.chunkCount..<(chunks ?? tensor.shared.chunks.count) {
      let range = tensor.shared.range(ofChunk: index)
      #expect(try tensor.bytes[range].withUnsafeBytes { try writer.append($0) })
    }
    if writer.isWhole { try writer.finish() }
  }

  private func holds(_ tensor: SharedTensor, _ cache: TensorCache) throws -> Bool {
    try cache.holds(tensor) { _ in }
  }

  private func names(_ cache: TensorCache, _ ending: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: cache.directory)
      .filter { $0.hasSuffix(ending) }.sorted()
  }

  @Test func theHashIsBLAKE2b() {
    #expect(
      ContentHash(of: Array("abc".utf8)).description
        == "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")
    #expect(
      ContentHash(of: []).description
        == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8")
    #expect(ContentHash([1, 2, 3]) == nil)
  }

  @Test func whatIsSaidOfATensorIsPartOfItsHash() throws {
    let first = try tensor("a", byteCount: 100).shared
    func other(
      name: String = "a", type: ElementType = .u8, shape: [Int] = [100],
      notes: [String: String] = ["palisade.precision": "int8"]
    ) -> SharedTensor? {
      SharedTensor(
        name: name, elementType: type, shape: shape, notes: notes, chunks: first.chunks)
    }
    #expect(other() == first)
    #expect(other(name: "b")?.hash != first.hash)
    #expect(other(type: .i8)?.hash != first.hash)
    #expect(other(shape: [10, 10])?.hash != first.hash)
    #expect(other(notes: [:])?.hash != first.hash)
    // Shapes without a size, or with another number of chunks, are none.
    for shape in [[0], [-1], [Int.max, 2], [Self.chunk + 1], [Int](repeating: 1, count: 9)] {
      #expect(other(shape: shape) == nil, "\(shape)")
    }
  }

  @Test(arguments: [1, chunk - 1, chunk, chunk + 1, 2 * chunk + 77])
  func whatWasWrittenIsThere(_ byteCount: Int) throws {
    let folder = try TemporaryFolder()
    let cache = try TensorCache(directory: folder.path + "/c", byteCountMaximum: 1 << 30)
    let tensor = try tensor("w.x/../y", byteCount: byteCount)
    let lease = try cache.reserve([tensor.shared])
    #expect(try !holds(tensor.shared, cache))
    try write(tensor, to: cache)
    var read = 0
    #expect(try cache.holds(tensor.shared) { read += $0 })
    #expect(read == byteCount)
    // Its name is its hash, whatever it is called; and it is an ordinary file.
    #expect(try names(cache, ".safetensors") == [tensor.shared.hash.description + ".safetensors"])
    let checkpoint = cache.checkpoint([tensor.shared])
    #expect(checkpoint.names == ["w.x/../y"])
    #expect(try checkpoint.tensor("w.x/../y").withBytes { Array($0) } == tensor.bytes)
    #expect(try checkpoint.metadata() == ["palisade.precision": "int8"])
    #expect(try names(cache, ".part").isEmpty)
    withExtendedLifetime(lease) {}
  }

  /// A process that was killed: the next one goes on behind the last whole chunk.
  @Test func partsAreGoneOnWith() throws {
    let folder = try TemporaryFolder()
    let cache = try TensorCache(directory: folder.path, byteCountMaximum: 1 << 30)
    let tensor = try tensor("a", byteCount: 5 * Self.chunk + 3)
    try write(tensor, to: cache, chunks: 3)
    let part = folder.path + "/" + (try #require(try names(cache, ".part").first))
    #expect(try cache.writer(tensor.shared).chunkCount == 3)
    // Half a chunk more, as a kill leaves it, counts for nothing.
    let handle = try #require(FileHandle(forWritingAtPath: part))
    try handle.seekToEnd()
    try handle.write(contentsOf: tensor.bytes[3 * Self.chunk..<3 * Self.chunk + 1000])
    try handle.close()
    #expect(try cache.writer(tensor.shared).chunkCount == 3)
    // A byte that has changed: only what stands before its chunk is believed.
    let second = try FileHandle(forUpdating: URL(filePath: part))
    try second.seek(toOffset: UInt64(Self.chunk + 5000))
    try second.write(contentsOf: [tensor.bytes[Self.chunk + 4000] ^ 1, 1, 2, 3])
    try second.close()
    #expect(try cache.writer(tensor.shared).chunkCount == 1)
    try write(tensor, to: cache)
    #expect(try holds(tensor.shared, cache))
    // A part with another head is begun anew.
    let other = try self.tensor("b", byteCount: 2 * Self.chunk)
    try Data(repeating: 7, count: 3 * Self.chunk).write(
      to: URL(filePath: folder.path + "/\(other.shared.hash).part"))
    #expect(try cache.writer(other.shared).chunkCount == 0)
  }

  @Test func chunksThatAreSomethingElseAreNotWritten() throws {
    let folder = try TemporaryFolder()
    let cache = try TensorCache(directory: folder.path, byteCountMaximum: 1 << 30)
    let tensor = try tensor("a", byteCount: Self.chunk + 10)
    let writer = try cache.writer(tensor.shared)
    var changed = Array(tensor.bytes[..<Self.chunk])
    changed[12345] ^= 1
    #expect(try !changed.withUnsafeBytes { try writer.append($0) })
    #expect(try !tensor.bytes[..<10].withUnsafeBytes { try writer.append($0) })
    #expect(try !tensor.bytes.withUnsafeBytes { try writer.append($0) })
    #expect(writer.chunkCount == 0)
    #expect(throws: CheckpointError.self) { try writer.finish() }
    #expect(try !holds(tensor.shared, cache))
  }

  /// Whatever happened to a file: it is noticed.
  @Test func damagedFilesAreNoticedAndReplaced() throws {
    let folder = try TemporaryFolder()
    let cache = try TensorCache(directory: folder.path, byteCountMaximum: 1 << 30)
    let tensor = try tensor("a", byteCount: Self.chunk + 10)
    let path = folder.path + "/\(tensor.shared.hash).safetensors"
    let changes: [(inout Data) -> Void] = [
      { $0[$0.count - 1] ^= 1 }, { $0[20] ^= 1 }, { $0 = $0.dropLast() }, { $0 = Data() },
      { $0[$0.count / 2] ^= 128 },
    ]
    for (index, change) in changes.enumerated() {
      try write(tensor, to: cache)
      #expect(try holds(tensor.shared, cache))
      var content = try Data(contentsOf: URL(filePath: path))
      change(&content)
      try content.write(to: URL(filePath: path))
      #expect(try !holds(tensor.shared, cache), "change \(index)")
    }
    // A whole one takes its place.
    try write(tensor, to: cache)
    #expect(try holds(tensor.shared, cache))
  }

  @Test func twoProcessesMayWriteTheSame() throws {
    let folder = try TemporaryFolder()
    let cache = try TensorCache(directory: folder.path, byteCountMaximum: 1 << 30)
    let tensor = try tensor("a", byteCount: 2 * Self.chunk)
    let first = try cache.writer(tensor.shared)
    let second = try cache.writer(tensor.shared)
    for index in 0..<2 {
      let range = tensor.shared.range(ofChunk: index)
      for writer in [first, second] {
        #expect(try tensor.bytes[range].withUnsafeBytes { try writer.append($0) })
      }
    }
    try second.finish()
    try first.finish()
    #expect(try holds(tensor.shared, cache))
    #expect(try names(cache, ".part").isEmpty)
  }

  /// What was used longest ago goes first, and never what a live lease names.
  @Test func theLeastRecentlyUsedGoFirst() throws {
    let folder = try TemporaryFolder()
    // Room for four of them with their heads.
    let cache = try TensorCache(directory: folder.path, byteCountMaximum: 4 * 11_000)
    let tensors = try (0..<6).map { try tensor("t\($0)", byteCount: 10_000, seed: UInt64($0)) }
    for (index, tensor) in tensors[..<4].enumerated() {
      _ = try cache.reserve([tensor.shared])
      try write(tensor, to: cache)
      // Times that no file system rounds together.
      let path = folder.path + "/\(tensor.shared.hash).safetensors"
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSince1970: 1e9 + Double(index))], ofItemAtPath: path)
    }
    func present() throws -> [Int] {
      let names = try names(cache, ".safetensors")
      return (0..<6).filter { names.contains("\(tensors[$0].shared.hash).safetensors") }
    }
    #expect(try present() == [0, 1, 2, 3])
    // 0 is used, so 1 is the oldest.
    #expect(try holds(tensors[0].shared, cache))
    _ = try cache.reserve([tensors[4].shared])
    try write(tensors[4], to: cache)
    #expect(try present() == [0, 2, 3, 4])
    // 2 and 3 are in use: 0 goes, although it was used later.
    let lease = try cache.reserve([tensors[2].shared, tensors[3].shared])
    _ = try cache.reserve([tensors[5].shared])
    try write(tensors[5], to: cache)
    #expect(try present() == [2, 3, 4, 5])
    let error = #expect(throws: CheckpointError.self) {
      _ = try cache.reserve([tensors[0].shared, tensors[1].shared, tensors[5].shared])
    }
    #expect("\(try #require(error))".contains("in use"), "\(String(describing: error))")
    withExtendedLifetime(lease) {}
  }

  @Test func aLeaseEndsWithItsProcess() throws {
    let folder = try TemporaryFolder()
    let cache = try TensorCache(directory: folder.path, byteCountMaximum: 11_000)
    let (first, second) = (
      try tensor("a", byteCount: 10_000), try tensor("b", byteCount: 10_000, seed: 2)
    )
    try write(first, to: cache)
    // A killed process leaves its lease without a lock.
    try folder.write("\(first.shared.hash).safetensors", as: "dead.lease")
    _ = try cache.reserve([second.shared])
    #expect(try names(cache, ".safetensors").isEmpty)
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/dead.lease"))
  }

  @Test func whatDoesNotFitIsRefusedWithTheFigures() throws {
    let folder = try TemporaryFolder()
    let cache = try TensorCache(directory: folder.path, byteCountMaximum: 3 << 20)
    let tensor = try tensor("a", byteCount: 4 << 20)
    let error = #expect(throws: CheckpointError.self) { _ = try cache.reserve([tensor.shared]) }
    let text = "\(try #require(error))"
    #expect(text.contains("4 MiB") && text.contains("3 MiB") && text.contains("--cache-limit"))
    let huge = try #require(
      SharedTensor(
        name: "h", elementType: .u8, shape: [1 << 37], notes: [:],
        chunks: [ContentHash](repeating: tensor.shared.chunks[0], count: 1 << 17)))
    let wide = try TensorCache(directory: folder.path, byteCountMaximum: .max)
    let space = try FileManager.default.attributesOfFileSystem(forPath: folder.path)
    guard let free = space[.systemFreeSize] as? Int, free < 1 << 37 else { return }
    if case .cacheSpace(_, let needed, let free)? = #expect(
      throws: CheckpointError.self, performing: { _ = try wide.reserve([huge]) })
    {
      #expect(needed > free && needed >= 1 << 37)
    }
  }
}
