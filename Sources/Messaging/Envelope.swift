import CWire

/// A value with a place in the protocol: it becomes frames, and comes back from them.
public protocol WireMessage: Sendable {
  /// The frames of one message: a protobuf header, and payloads that are not copied.
  ///
  /// - Throws: `.malformed` or `.tooLarge` for a value that the other end would refuse.
  func encode() throws(MessagingError) -> [Frame]

  /// Reads frames that somebody sent. Nothing about them is believed: version, counts, types,
  /// shapes, lengths and checksums are checked, before memory is taken by their word.
  ///
  /// - Throws: `.versionMismatch`, `.malformed`, `.tooLarge` or `.checksumMismatch`.
  static func decode(_ frames: [Frame], limits: MessageLimits) throws(MessagingError) -> Self
}

extension WireMessage {
  /// Reads frames under the standard limits.
  public static func decode(_ frames: [Frame]) throws(MessagingError) -> Self {
    try decode(frames, limits: .standard)
  }
}

/// The header frame: packing, and unpacking under a memory budget.
enum Envelope {
  /// Packs one envelope; the two closures are protobuf-c's size and pack functions.
  static func pack(
    _ name: String,
    byteCount: Int,
    _ write: (UnsafeMutablePointer<UInt8>) -> Int
  ) throws(MessagingError) -> Frame {
    try Bounds.count(byteCount, atMost: MessageLimits.headerByteCount, "\(name) header bytes")
    let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      if let base = buffer.baseAddress { count = write(base) }
    }
    return Frame(bytes: bytes)
  }

  /// Checks the frames as a whole and gives the header.
  static func header(
    of frames: [Frame],
    _ name: String,
    limits: MessageLimits
  ) throws(MessagingError) -> Frame {
    guard let header = frames.first else { throw .malformed(name, "the message has no frames") }
    try Bounds.count(frames.count, atMost: limits.maximumFrameCount, "\(name) frames")
    var byteCount = 0
    for frame in frames { byteCount += frame.byteCount }
    try Bounds.count(byteCount, atMost: limits.maximumByteCount, "\(name) bytes")
    try Bounds.count(
      header.byteCount,
      atMost: MessageLimits.headerByteCount,
      "\(name) header bytes"
    )
    try checkVersion(header, name)
    return header
  }

  /// Refuses frames that do not belong to the message.
  static func checkFrameCount(
    _ frames: [Frame],
    _ expected: Int,
    _ name: String
  ) throws(MessagingError) {
    guard frames.count == expected else {
      throw .malformed(name, "\(frames.count) frames instead of \(expected)")
    }
  }

  /// Unpacks `header`, gives the structure to `read`, and frees it.
  static func unpack<Wire, Value>(
    _ header: Frame,
    _ name: String,
    _ unpack: (UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?) ->
      UnsafeMutablePointer<Wire>?,
    _ free: (UnsafeMutablePointer<Wire>?, UnsafeMutablePointer<ProtobufCAllocator>?) -> Void,
    _ read: (Wire) throws(MessagingError) -> Value
  ) throws(MessagingError) -> Value {
    let budget = UnsafeMutablePointer<wire_budget>.allocate(capacity: 1)
    budget.initialize(
      to: wire_budget(
        remaining: MessageLimits.unpackedBytesBase
          + header.byteCount * MessageLimits.unpackedBytesPerHeaderByte
      )
    )
    defer { budget.deallocate() }
    var allocator = wire_budget_allocator(budget)
    let unpacked = header.withBytes { bytes in
      unpack(&allocator, bytes.count, bytes.bindMemory(to: UInt8.self).baseAddress)
    }
    guard let unpacked else { throw .malformed(name, "the header is not a \(name) message") }
    defer { free(unpacked, &allocator) }
    return try read(unpacked.pointee)
  }

  /// Reads the version without unpacking: every envelope begins with field 1, a varint, and another
  /// version may well not unpack.
  private static func checkVersion(_ header: Frame, _ name: String) throws(MessagingError) {
    let version = header.withBytes { bytes -> UInt64? in
      guard bytes.count >= 2, bytes[0] == 0x08 else { return nil }
      var value: UInt64 = 0
      for (index, byte) in bytes.dropFirst().prefix(9).enumerated() {
        value |= UInt64(byte & 0x7f) << (7 * UInt64(index))
        if byte & 0x80 == 0 { return value }
      }
      return nil
    }
    guard let version else { throw .malformed(name, "does not begin with a protocol version") }
    let own = MessageLimits.protocolVersion
    guard version == UInt64(own) else {
      throw MessagingError(
        code: .versionMismatch,
        operation: "decode \(name)",
        cause: "the other end speaks protocol version \(version), this one version \(own)",
        remedy: "run the same release of palisade on every machine"
      )
    }
  }
}
