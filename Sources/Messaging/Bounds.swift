/// The checks that hold for every field, whether it was just read or is about to be written.
enum Bounds {
  static func count(_ count: Int, atMost maximum: Int, _ field: String) throws(MessagingError) {
    guard count <= maximum else { throw .tooLarge(field, count, atMost: maximum) }
  }

  static func range(
    _ value: Int,
    _ allowed: ClosedRange<Int>,
    _ field: String
  ) throws(MessagingError) {
    guard allowed.contains(value) else {
      throw .malformed(field, "\(value) is not within \(allowed)")
    }
  }

  /// A number that travels as `uint32`.
  static func wire32(_ value: Int, _ field: String) throws(MessagingError) -> UInt32 {
    guard let number = UInt32(exactly: value) else {
      throw .malformed(field, "\(value) does not fit 32 bits without sign")
    }
    return number
  }

  /// A number that travels as `uint64`.
  static func wire64(_ value: Int, _ field: String) throws(MessagingError) -> UInt64 {
    guard let number = UInt64(exactly: value) else {
      throw .malformed(field, "\(value) is negative")
    }
    return number
  }

  /// A number that came as `uint64`.
  static func int(_ value: UInt64, _ field: String) throws(MessagingError) -> Int {
    guard let number = Int(exactly: value) else {
      throw .malformed(field, "\(value) does not fit 63 bits")
    }
    return number
  }

  /// Token ids as they travel.
  static func wireTokens(_ tokenIDs: [Int32], _ field: String) throws(MessagingError) -> [UInt32] {
    var wire: [UInt32] = []
    wire.reserveCapacity(tokenIDs.count)
    for tokenID in tokenIDs { wire.append(try wireToken(tokenID, field)) }
    return wire
  }

  static func wireToken(_ tokenID: Int32, _ field: String) throws(MessagingError) -> UInt32 {
    guard let number = UInt32(exactly: tokenID) else {
      throw .malformed(field, "token id \(tokenID) is negative")
    }
    return number
  }

  static func token(_ wire: UInt32, _ field: String) throws(MessagingError) -> Int32 {
    guard let tokenID = Int32(exactly: wire) else {
      throw .malformed(field, "token id \(wire) is more than any vocabulary has")
    }
    return tokenID
  }

  static func text(_ text: String, _ field: String) throws(MessagingError) {
    try count(text.utf8.count, atMost: MessageLimits.textByteCount, field)
  }

  /// A text that travels as a C string, and so may not contain NUL.
  static func name(_ name: String, _ field: String) throws(MessagingError) {
    try text(name, field)
    guard !name.utf8.contains(0) else { throw .malformed(field, "contains NUL") }
  }

  static func finite(_ value: Double, _ field: String) throws(MessagingError) {
    guard value.isFinite else { throw .malformed(field, "\(value) is not a finite number") }
  }

  /// A share, a rate or a duration: finite and not negative.
  static func measured(_ value: Double, _ field: String) throws(MessagingError) {
    guard value.isFinite, value >= 0 else {
      throw .malformed(field, "\(value) can't have been measured")
    }
  }

  /// Minus infinity is a fair logarithm of a probability; NaN is not.
  static func logprob(_ value: Float, _ field: String) throws(MessagingError) {
    guard !value.isNaN else { throw .malformed(field, "is not a number") }
  }
}
