import Foundation
import Synchronization

/// Large blocks of memory that tensors gave back, kept for the next ones: the buffers of a layer are those of
/// the layer before, and a worker in its steady state asks the system for nothing. Without it the C library
/// returns blocks above 32 MB at once, and each layer of a prefill pays the faults of 70 MB anew.
///
/// Blocks of 2 MB and more ask for huge pages, which saves products of few rows, bound by reading weights, the
/// walks through page tables.
final class BlockPool: Sendable {
  /// Blocks from this size on come from here; smaller ones are the C library's business, which keeps them.
  static let leastByteCount = 1 << 20
  /// What the process's tensors share. Its limit is what a prefill of four pictures has in use at once.
  static let shared = BlockPool(byteCountMaximum: 128 << 20)

  /// Memory of the pool's, in use or kept.
  struct Block: Sendable {
    /// The first byte, at a multiple of `hugePage`.
    let address: UInt
    /// What is mapped there, at least what was asked for.
    let byteCount: Int

    var pointer: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: address) }
  }

  private static let hugePage = 2 << 20
  private static let granule = 1 << 16

  private let byteCountMaximum: Int
  /// Oldest first.
  private let kept = Mutex<[Block]>([])

  /// A pool that keeps at most `byteCountMaximum` bytes that nobody uses.
  init(byteCountMaximum: Int) { self.byteCountMaximum = byteCountMaximum }

  /// Bytes kept that nobody uses.
  var keptByteCount: Int { kept.withLock { $0.reduce(0) { $0 + $1.byteCount } } }

  /// A block of at least `byteCount` bytes with whatever is in it: the best fitting one kept, at most a quarter
  /// too large, else a new one. Nil when the system has no memory.
  func take(_ byteCount: Int) -> Block? {
    let found = kept.withLock { blocks -> Block? in
      let fitting = blocks.indices.filter {
        blocks[$0].byteCount >= byteCount && blocks[$0].byteCount <= byteCount + byteCount / 4
      }
      return fitting.min { blocks[$0].byteCount < blocks[$1].byteCount }.map {
        blocks.remove(at: $0)
      }
    }
    return found ?? Self.map(byteCount)
  }

  /// Takes a block back. The oldest ones leave when there are too many.
  func give(_ block: Block) {
    let leaving = kept.withLock { blocks -> [Block] in
      blocks.append(block)
      var (total, leaving) = (blocks.reduce(0) { $0 + $1.byteCount }, [Block]())
      while total > byteCountMaximum {
        leaving.append(blocks.removeFirst())
        total -= leaving[leaving.count - 1].byteCount
      }
      return leaving
    }
    for block in leaving { munmap(block.pointer, block.byteCount) }
  }

  deinit {
    for block in kept.withLock({ $0 }) { munmap(block.pointer, block.byteCount) }
  }

  /// Maps memory at a multiple of a huge page: what is mapped too much around it goes back.
  private static func map(_ byteCount: Int) -> Block? {
    let size = (byteCount + granule - 1) / granule * granule
    let whole = size + hugePage
    guard
      let start = mmap(nil, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      start != MAP_FAILED
    else { return nil }
    let first = UInt(bitPattern: start)
    let address = (first + UInt(hugePage) - 1) / UInt(hugePage) * UInt(hugePage)
    let (before, end) = (Int(address - first), address + UInt(size))
    if before > 0 { munmap(start, before) }
    munmap(UnsafeMutableRawPointer(bitPattern: end), whole - before - size)
    // Only pages that are wholly ours become huge; a system that has none ignores it.
    let huge = size / hugePage * hugePage
    if huge > 0 { _ = madvise(UnsafeMutableRawPointer(bitPattern: address), huge, MADV_HUGEPAGE) }
    return Block(address: address, byteCount: size)
  }
}
