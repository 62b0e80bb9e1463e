import CWire

/// Reads the fields of an unpacked C structure.
enum WireReading {
  /// A repeated field of numbers.
  static func list<Value>(
    _ pointer: UnsafeMutablePointer<Value>?,
    _ count: Int,
    atMost maximum: Int,
    _ field: String
  ) throws(MessagingError) -> [Value] {
    try Bounds.count(count, atMost: maximum, field)
    guard let pointer else { return [] }
    return Array(UnsafeBufferPointer(start: pointer, count: count))
  }

  /// A repeated field of messages.
  static func messages<Wire, Value>(
    _ pointer: UnsafeMutablePointer<UnsafeMutablePointer<Wire>?>?,
    _ count: Int,
    atMost maximum: Int,
    _ field: String,
    _ read: (Wire) throws(MessagingError) -> Value
  ) throws(MessagingError) -> [Value] {
    try Bounds.count(count, atMost: maximum, field)
    var values: [Value] = []
    guard let pointer else { return values }
    values.reserveCapacity(count)
    for index in 0..<count {
      values.append(try read(try message(pointer[index], field)))
    }
    return values
  }

  /// A message that must be there.
  static func message<Wire>(
    _ pointer: UnsafeMutablePointer<Wire>?,
    _ field: String
  ) throws(MessagingError) -> Wire {
    guard let pointer else { throw .malformed(field, "is missing") }
    return pointer.pointee
  }

  static func tokens(
    _ pointer: UnsafeMutablePointer<UInt32>?,
    _ count: Int,
    atMost maximum: Int,
    _ field: String
  ) throws(MessagingError) -> [Int32] {
    try Bounds.count(count, atMost: maximum, field)
    var tokenIDs: [Int32] = []
    guard let pointer else { return tokenIDs }
    tokenIDs.reserveCapacity(count)
    for index in 0..<count { tokenIDs.append(try Bounds.token(pointer[index], field)) }
    return tokenIDs
  }

  /// A `string` field.
  static func string(
    _ pointer: UnsafeMutablePointer<CChar>?,
    _ field: String
  ) throws(MessagingError) -> String {
    guard let pointer else { return "" }
    guard let text = String(validatingCString: pointer) else {
      throw .malformed(field, "is not UTF-8")
    }
    return text
  }

  /// A `bytes` field that holds text.
  static func text(
    _ bytes: ProtobufCBinaryData, atMost maximum: Int = MessageLimits.textByteCount, _ field: String
  ) throws(MessagingError) -> String {
    try Bounds.count(bytes.len, atMost: maximum, field)
    guard let data = bytes.data, bytes.len > 0 else { return "" }
    guard
      let text = String(
        validating: UnsafeBufferPointer(start: data, count: bytes.len),
        as: UTF8.self
      )
    else { throw .malformed(field, "is not UTF-8") }
    return text
  }

  /// A `bytes` field.
  static func bytes(
    _ bytes: ProtobufCBinaryData, atMost maximum: Int, _ field: String
  ) throws(MessagingError) -> [UInt8] {
    try Bounds.count(bytes.len, atMost: maximum, field)
    guard let data = bytes.data, bytes.len > 0 else { return [] }
    return Array(UnsafeBufferPointer(start: data, count: bytes.len))
  }

  /// The finish reason; 0 is none.
  static func finish(_ raw: UInt32, _ field: String) throws(MessagingError) -> FinishReason? {
    if raw == 0 { return nil }
    guard let finish = FinishReason(rawValue: raw) else {
      throw .malformed(field, "unknown finish reason \(raw)")
    }
    return finish
  }

  /// A range of blocks; the end may not stand in front of the start.
  static func blocks(
    _ first: UInt32,
    _ end: UInt32,
    _ field: String
  ) throws(MessagingError) -> Range<Int> {
    guard first <= end else { throw .malformed(field, "ends at \(end) in front of \(first)") }
    return Int(first)..<Int(end)
  }
}
