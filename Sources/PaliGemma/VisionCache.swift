import DequeModule
import Foundation
import Tensors

/// Rows that the vision blocks of a section gave for pictures seen before: encode once, ask many.
///
/// Kept by content: a picture is what goes into the section (pixels, or the rows of the stage before),
/// found by a hash and compared byte for byte, so that no collision gives one picture another's rows.
/// Used by one thread; least recently used pictures go when the bytes run out.
public final class VisionCache {
  private struct Entry {
    let input: Tensor
    let output: Tensor
    var lastUse: UInt64

    var byteCount: Int { input.byteCount + output.byteCount }
  }

  /// Bytes that inputs and outputs may take together; 0 keeps nothing, but computes a picture that
  /// stands several times in one micro-batch once.
  public let byteCountMaximum: Int
  /// Bytes they take.
  public private(set) var byteCount = 0
  /// Pictures whose rows were there, or were computed for another request of the same micro-batch.
  public private(set) var hits: UInt64 = 0
  /// Pictures that had to be computed.
  public private(set) var misses: UInt64 = 0
  private var entries: [Int: [Entry]] = [:]
  private var clock: UInt64 = 0
  /// Every use, the oldest first; only an entry's last one counts.
  private var uses: Deque<(hash: Int, use: UInt64)> = []
  private var entryCount = 0

  /// An empty cache.
  public init(byteCountMaximum: Int) { self.byteCountMaximum = max(0, byteCountMaximum) }

  /// The output rows of `pictureCount` pictures, computing only those not seen before.
  ///
  /// - Parameters:
  ///   - input: an equal number of rows for each picture; `compute` may change it.
  ///   - pictureCount: at least 1.
  ///   - compute: gives the rows of whole pictures, one picture's independent of the others.
  /// - Returns: rows in the order of the pictures, in memory of their own.
  func rows(of input: Tensor, pictureCount: Int, compute: (Tensor) -> Tensor) -> Tensor {
    let inputs = input.parts(pictureCount)
    let hashes = inputs.map(\.contentHash)
    // For each picture its place among the outputs found, or among those to be computed.
    var outputs = [Tensor?](repeating: nil, count: pictureCount)
    var fresh: [Int] = []
    var placeOfFresh = [Int?](repeating: nil, count: pictureCount)
    for (index, picture) in inputs.enumerated() {
      if let found = find(picture, hash: hashes[index]) {
        outputs[index] = found
      } else if let twin = fresh.firstIndex(where: {
        hashes[$0] == hashes[index] && inputs[$0].hasSameBytes(as: picture)
      }) {
        placeOfFresh[index] = twin
      } else {
        placeOfFresh[index] = fresh.count
        fresh.append(index)
      }
    }
    misses += UInt64(fresh.count)
    hits += UInt64(pictureCount - fresh.count)
    guard !fresh.isEmpty else { return Tensor.stacked(outputs.compactMap { $0 }) }
    // Copies, because computing may change the input in place.
    let kept = fresh.map { inputs[$0].copied() }
    let isAll = fresh.count == pictureCount
    let computed = compute(isAll ? input : Tensor.stacked(kept)).parts(fresh.count)
    for (place, index) in fresh.enumerated() {
      insert(input: kept[place], output: computed[place], hash: hashes[index])
    }
    for index in 0..<pictureCount {
      if let place = placeOfFresh[index] { outputs[index] = computed[place] }
    }
    return Tensor.stacked(outputs.compactMap { $0 })
  }

  private func find(_ picture: Tensor, hash: Int) -> Tensor? {
    guard let place = entries[hash]?.firstIndex(where: { $0.input.hasSameBytes(as: picture) })
    else { return nil }
    let use = noteUse(hash)
    entries[hash]?[place].lastUse = use
    return entries[hash]?[place].output
  }

  private func noteUse(_ hash: Int) -> UInt64 {
    clock += 1
    uses.append((hash, clock))
    // Uses that don't count any more are swept out once they are the most.
    if uses.count > 2 * entryCount + 64 {
      uses.removeAll { hash, use in
        use != clock && !(entries[hash] ?? []).contains { $0.lastUse == use }
      }
    }
    return clock
  }

  private func insert(input: Tensor, output: Tensor, hash: Int) {
    let size = input.byteCount + output.byteCount
    guard size <= byteCountMaximum else { return }
    while byteCount + size > byteCountMaximum { removeOldest() }
    let use = noteUse(hash)
    entries[hash, default: []].append(Entry(input: input, output: output.copied(), lastUse: use))
    entryCount += 1
    byteCount += size
  }

  private func removeOldest() {
    while let (hash, use) = uses.popFirst() {
      guard let place = entries[hash]?.firstIndex(where: { $0.lastUse == use }),
        let entry = entries[hash]?.remove(at: place)
      else { continue }
      if entries[hash]?.isEmpty ?? false { entries[hash] = nil }
      entryCount -= 1
      byteCount -= entry.byteCount
      return
    }
  }
}

extension Tensor {
  /// `count` parts of equally many rows, sharing the memory.
  fileprivate func parts(_ count: Int) -> [Tensor] {
    let rows = rowCount / count
    return (0..<count).map { self.rows($0 * rows..<($0 + 1) * rows) }
  }

  /// All rows one below the other, in memory of their own.
  fileprivate static func stacked(_ parts: [Tensor]) -> Tensor {
    guard let first = parts.first else { return Tensor(shape: [0]) }
    let rows = parts.reduce(0) { $0 + $1.rowCount }
    let out = Tensor(first.elementType, shape: [rows] + first.shape.dropFirst())
    var row = 0
    for part in parts {
      out.rows(row..<row + part.rowCount).withBytes { target in
        part.withBytes { target.copyMemory(from: UnsafeRawBufferPointer($0)) }
      }
      row += part.rowCount
    }
    return out
  }

  /// A hash of the bytes, seeded anew in every process, so that nobody can prepare collisions.
  fileprivate var contentHash: Int {
    withBytes { bytes in
      var hasher = Hasher()
      hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
      return hasher.finalize()
    }
  }

  fileprivate func hasSameBytes(as other: Tensor) -> Bool {
    guard elementType == other.elementType, shape == other.shape else { return false }
    return withBytes { mine in
      other.withBytes { its in
        guard let left = mine.baseAddress, let right = its.baseAddress else { return true }
        return memcmp(left, right, mine.count) == 0
      }
    }
  }
}
