import Foundation

/// Memory that tensors look at: allocated here, or adopted from somebody who frees it later.
///
/// `@unchecked Sendable`: the pointer and the count never change; the bytes are written by one
/// owner before the storage is handed on, and only read after that. Tensors hold that promise:
/// whoever makes a tensor fills it before passing it to another thread.
public final class TensorStorage: @unchecked Sendable {
  /// The first byte; 64-byte aligned when allocated here.
  public let address: UnsafeMutableRawPointer
  /// The number of bytes at `address`.
  public let byteCount: Int
  private let release: @Sendable () -> Void

  /// Takes `byteCount` bytes, aligned to a cache line and an AVX-512 register; not cleared. Large ones
  /// come from memory that earlier tensors gave back.
  public init(byteCount: Int) {
    self.byteCount = byteCount
    if byteCount >= BlockPool.leastByteCount, let block = BlockPool.shared.take(byteCount),
      let pointer = block.pointer
    {
      address = pointer
      release = { BlockPool.shared.give(block) }
      return
    }
    let capacity = (max(byteCount, 1) + 63) & ~63
    let address = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
    self.address = address
    let bits = UInt(bitPattern: address)
    release = { UnsafeMutableRawPointer(bitPattern: bits)?.deallocate() }
  }

  /// Looks at memory that somebody else provides, such as a mapped file or a received message.
  ///
  /// - Parameters:
  ///   - address: the first byte; must stay valid until `release` runs.
  ///   - byteCount: how many bytes may be read.
  ///   - release: runs once, when the last tensor over this memory has gone.
  public init(
    adopting address: UnsafeMutableRawPointer, byteCount: Int,
    release: @escaping @Sendable () -> Void
  ) {
    self.address = address
    self.byteCount = byteCount
    self.release = release
  }

  deinit { release() }
}
