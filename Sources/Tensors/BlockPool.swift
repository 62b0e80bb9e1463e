import Foundation
import Synchronization

/// Memory that tensors gave back, kept for the next ones: the buffers of a layer are those of the layer
/// before, and a worker in its steady state takes none from the system, large or small.
///
/// A block comes back when the last reference to its `TensorStorage` has gone, be it a view, a frame that
/// ZeroMQ still sends from, or a picture in a cache: so nobody looks at memory that has become another
/// tensor's. Debug builds fill what comes back with NaN, so that whoever did would be seen.
///
/// Blocks of 1 MB and more are mapped, with huge pages from 2 MB on, which saves products of few rows, bound by
/// reading weights, the walks through page tables; smaller ones come in sizes a quarter of an octave apart.
final class BlockPool: Sendable {
  /// Blocks from this size on are mapped.
  static let mappedByteCount = 1 << 20
  /// What tensors of this thread or task come from: the process's one pool, but for tests that count. Its limits
  /// are what a prefill of four pictures, and what a decode step of 64 answers, has in use at once.
  @TaskLocal static var current = BlockPool(byteCountMaximum: 128 << 20)

  /// Memory of the pool's, in use or kept.
  struct Block: Sendable {
    /// The first byte, at a multiple of 64; mapped ones at one of `hugePage`.
    let address: UInt
    /// What is there, at least what was asked for.
    let byteCount: Int
    /// Whether it is the pool's own mapping; else the C library's.
    let isMapped: Bool

    var pointer: UnsafeMutableRawPointer {
      guard let pointer = UnsafeMutableRawPointer(bitPattern: address) else {
        preconditionFailure("no block is at 0")
      }
      return pointer
    }
  }

  fileprivate struct Kept {
    /// Mapped blocks, oldest first.
    var mapped: [Block] = []
    var mappedByteCount = 0
    /// Addresses of the others, by size.
    var small = [[UInt]](repeating: [], count: BlockPool.sizeCount)
    var smallByteCount = 0
    var newCount = 0
  }

  private static let hugePage = 2 << 20
  private static let granule = 1 << 16
  fileprivate static let sizeCount = 52
  fileprivate static let smallByteCountMaximum = 32 << 20

  private let byteCountMaximum: Int
  private let kept = Mutex(Kept())

  /// A pool that keeps at most `byteCountMaximum` bytes of mapped blocks that nobody uses, and 32 MB of others.
  init(byteCountMaximum: Int) { self.byteCountMaximum = byteCountMaximum }

  /// Bytes kept that nobody uses.
  var keptByteCount: Int { kept.withLock { $0.mappedByteCount + $0.smallByteCount } }

  /// Blocks that the system was asked for, so far.
  var newBlockCount: Int { kept.withLock { $0.newCount } }

  /// A block of at least `byteCount` bytes with whatever is in it: one kept that fits, at most a quarter too
  /// large, else a new one. Ends the process when the system has no memory, as the heap does.
  func take(_ byteCount: Int) -> Block {
    let isMapped = byteCount >= Self.mappedByteCount
    let (index, size) = isMapped ? (0, 0) : Self.size(byteCount)
    let found = kept.withLock { kept in
      isMapped ? kept.takeMapped(byteCount) : kept.takeSmall(index, size)
    }
    return found ?? (isMapped ? Self.map(byteCount) : Self.allocate(size))
  }

  /// Takes a block back. The oldest mapped ones leave when there are too many.
  func give(_ block: Block) {
    #if DEBUG
    memset(block.pointer, 0xFF, block.byteCount)
    #endif
    guard block.isMapped else {
      if !kept.withLock({ $0.keepSmall(block) }) { free(block.pointer) }
      return
    }
    for leaving in kept.withLock({ $0.keepMapped(block, atMost: byteCountMaximum) }) {
      munmap(leaving.pointer, leaving.byteCount)
    }
  }

  deinit {
    kept.withLock { kept in
      for block in kept.mapped { munmap(block.pointer, block.byteCount) }
      for address in kept.small.joined() { free(UnsafeMutableRawPointer(bitPattern: address)) }
    }
  }

  /// The size of a small block, and the how many-eth of them it is: multiples of 64 up to 256, then four to an octave.
  static func size(_ byteCount: Int) -> (index: Int, byteCount: Int) {
    if byteCount <= 256 {
      let count = max(1, (byteCount + 63) / 64)
      return (count - 1, count * 64)
    }
    let exponent = Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount
    let step = 1 << (exponent - 2)
    let count = (byteCount + step - 1) / step
    return (4 + (exponent - 8) * 4 + count - 5, count * step)
  }

  private static func allocate(_ byteCount: Int) -> Block {
    guard let pointer = aligned_alloc(64, byteCount) else { preconditionFailure("out of memory") }
    return Block(address: UInt(bitPattern: pointer), byteCount: byteCount, isMapped: false)
  }

  /// Maps memory at a multiple of a huge page: what is mapped too much around it goes back.
  private static func map(_ byteCount: Int) -> Block {
    let size = (byteCount + granule - 1) / granule * granule
    let whole = size + hugePage
    guard
      let start = mmap(nil, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      start != MAP_FAILED
    else { preconditionFailure("out of memory") }
    let first = UInt(bitPattern: start)
    let address = (first + UInt(hugePage) - 1) / UInt(hugePage) * UInt(hugePage)
    let (before, end) = (Int(address - first), address + UInt(size))
    if before > 0 { munmap(start, before) }
    munmap(UnsafeMutableRawPointer(bitPattern: end), whole - before - size)
    // Only pages that are wholly ours become huge; a system that has none ignores it.
    let huge = size / hugePage * hugePage
    if huge > 0 { _ = madvise(UnsafeMutableRawPointer(bitPattern: address), huge, MADV_HUGEPAGE) }
    return Block(address: address, byteCount: size, isMapped: true)
  }
}

extension BlockPool.Kept {
  /// The best fitting mapped block; nil, and counted, when there is none.
  fileprivate mutating func takeMapped(_ byteCount: Int) -> BlockPool.Block? {
    var best: Int?
    for (index, block) in mapped.enumerated()
    where block.byteCount >= byteCount && block.byteCount <= byteCount + byteCount / 4 {
      if let found = best, mapped[found].byteCount <= block.byteCount { continue }
      best = index
    }
    guard let best else {
      newCount += 1
      return nil
    }
    mappedByteCount -= mapped[best].byteCount
    return mapped.remove(at: best)
  }

  fileprivate mutating func takeSmall(_ index: Int, _ byteCount: Int) -> BlockPool.Block? {
    guard let address = small[index].popLast() else {
      newCount += 1
      return nil
    }
    smallByteCount -= byteCount
    return BlockPool.Block(address: address, byteCount: byteCount, isMapped: false)
  }

  /// False when there are enough.
  fileprivate mutating func keepSmall(_ block: BlockPool.Block) -> Bool {
    guard smallByteCount + block.byteCount <= BlockPool.smallByteCountMaximum else { return false }
    small[BlockPool.size(block.byteCount).index].append(block.address)
    smallByteCount += block.byteCount
    return true
  }

  /// Keeps one more, and returns those that leave for it.
  fileprivate mutating func keepMapped(
    _ block: BlockPool.Block, atMost maximum: Int
  ) -> [BlockPool.Block] {
    mapped.append(block)
    mappedByteCount += block.byteCount
    var leaving: [BlockPool.Block] = []
    while mappedByteCount > maximum {
      leaving.append(mapped.removeFirst())
      mappedByteCount -= leaving[leaving.count - 1].byteCount
    }
    return leaving
  }
}
