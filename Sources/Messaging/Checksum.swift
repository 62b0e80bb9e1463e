import CWire

/// XXH3-64: tells changed bytes from unchanged ones, and is no secret.
public enum Checksum {
  /// The checksum of `bytes`.
  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    wire_checksum(bytes.baseAddress, bytes.count)
  }

  /// The checksum of everything that `previous` stands for, with `bytes` behind it.
  ///
  /// The chain depends on where the pieces end: compare only what was cut alike.
  public static func chained(_ previous: UInt64, _ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let words = [previous, of(bytes), UInt64(bytes.count)]
    return words.withUnsafeBytes(of)
  }
}
