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
  private let owner: Owner

  /// Who has the memory when nobody looks at it any more.
  private enum Owner {
    case pool(BlockPool, BlockPool.Block)
    case other(release: @Sendable () -> Void)
  }

  /// Takes `byteCount` bytes, aligned to a cache line and an AVX-512 register; not cleared. They come from
  /// memory that earlier tensors gave back, and go back when the last tensor, frame or message over them has gone.
  public init(byteCount: Int) {
    self.byteCount = byteCount
    let pool = BlockPool.current
    let block = pool.take(byteCount)
    address = block.pointer
    owner = .pool(pool, block)
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
    owner = .other(release: release)
  }

  deinit {
    switch owner {
    case .pool(let pool, let block): pool.give(block)
    case .other(let release): release()
    }
  }
}
