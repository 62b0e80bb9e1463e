import CZeroMQ
import Foundation
import Tensors

/// One part of a message: bytes of our own, or a look at memory that is shared and never copied.
public struct Frame: Sendable, Equatable {
  enum Content: Sendable {
    case bytes([UInt8])
    case shared(TensorStorage, byteOffset: Int, byteCount: Int)
  }

  let content: Content

  /// A small frame; the bytes are copied when sent.
  public init(bytes: [UInt8]) {
    content = .bytes(bytes)
  }

  /// A whole storage, sent without copying: ZeroMQ keeps it alive until the last byte has left.
  ///
  /// Nobody may write to the storage after this.
  public init(storage: TensorStorage) {
    content = .shared(storage, byteOffset: 0, byteCount: storage.byteCount)
  }

  /// The bytes of a tensor, sent without copying; nobody may write to them after this.
  public init(tensor: Tensor) {
    content = .shared(tensor.storage, byteOffset: tensor.byteOffset, byteCount: tensor.byteCount)
  }

  /// The number of bytes.
  public var byteCount: Int {
    switch content {
    case .bytes(let bytes): bytes.count
    case .shared(_, _, let byteCount): byteCount
    }
  }

  /// Gives the bytes to `body`; the pointer is valid only inside it.
  public func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch content {
    case .bytes(let bytes):
      // `withUnsafeBytes` rethrows untyped; a Result carries the type across.
      let result = bytes.withUnsafeBytes { buffer in
        Swift.Result { () throws(Failure) -> Result in try body(buffer) }
      }
      return try result.get()
    case .shared(let storage, let byteOffset, let byteCount):
      defer { withExtendedLifetime(storage) {} }
      return try body(
        UnsafeRawBufferPointer(start: storage.address + byteOffset, count: byteCount)
      )
    }
  }

  /// A copy of the bytes.
  public var bytes: [UInt8] { withBytes { Array($0) } }

  /// The memory itself with the range looked at, copied only if it is a small frame of our own.
  func shared() -> (storage: TensorStorage, byteOffset: Int) {
    switch content {
    case .bytes(let bytes):
      let storage = TensorStorage(byteCount: bytes.count)
      bytes.withUnsafeBytes { source in
        if let base = source.baseAddress {
          storage.address.copyMemory(from: base, byteCount: source.count)
        }
      }
      return (storage, 0)
    case .shared(let storage, let byteOffset, _):
      return (storage, byteOffset)
    }
  }

  /// Equal bytes; where they lie does not matter.
  public static func == (left: Frame, right: Frame) -> Bool {
    left.withBytes { a in
      right.withBytes { b in
        guard a.count == b.count else { return false }
        guard let first = a.baseAddress, let second = b.baseAddress else { return true }
        return memcmp(first, second, a.count) == 0
      }
    }
  }
}
