import Tensors

/// One value of a GGUF file's metadata.
public enum GGUFValue: Sendable {
  /// An integer of any width.
  case integer(Int64)
  /// An unsigned integer that only `UInt64` holds.
  case large(UInt64)
  /// A floating-point number, exactly.
  case real(Double)
  /// True or false.
  case boolean(Bool)
  /// A text.
  case text(String)
  /// Values of one kind.
  case list(GGUFList)

  /// The integer, or nil.
  public var integer: Int? {
    if case .integer(let value) = self { Int(exactly: value) } else { nil }
  }
  /// The number as f32, or nil.
  public var float: Float? { if case .real(let value) = self { Float(value) } else { nil } }
  /// The truth, or nil.
  public var boolean: Bool? { if case .boolean(let value) = self { value } else { nil } }
  /// The text, or nil.
  public var text: String? { if case .text(let value) = self { value } else { nil } }
  /// The list, or nil.
  public var list: GGUFList? { if case .list(let value) = self { value } else { nil } }
}

/// Many values of one kind, in the file: nothing is copied until they are asked for.
public struct GGUFList: Sendable {
  /// How many.
  public let count: Int
  let kind: GGUFKind
  let start: Int
  let storage: TensorStorage

  /// The integers, or nil when these are none.
  public var integers: [Int]? {
    guard kind.isInteger else { return nil }
    return read { $0.integer }
  }
  /// The numbers as f32, or nil when these are none.
  public var floats: [Float]? {
    guard kind == .f32 || kind == .f64 else { return nil }
    return read { $0.float }
  }
  /// The texts as the bytes that they are, or nil when these are none.
  public var texts: [[UInt8]]? {
    guard kind == .text else { return nil }
    var cursor = GGUFCursor(storage: storage, path: "", offset: start)
    var texts: [[UInt8]] = []
    texts.reserveCapacity(count)
    for _ in 0..<count {
      guard let range = try? cursor.textRange() else { return nil }
      texts.append(Array(cursor.bytes(range)))
    }
    return texts
  }

  private func read<Element>(_ element: (GGUFValue) -> Element?) -> [Element]? {
    var cursor = GGUFCursor(storage: storage, path: "", offset: start)
    var values: [Element] = []
    values.reserveCapacity(count)
    for _ in 0..<count {
      guard let value = try? cursor.value(kind), let element = element(value) else { return nil }
      values.append(element)
    }
    return values
  }
}

/// The kinds of metadata values, by the format's numbers.
enum GGUFKind: UInt32, Sendable {
  case u8 = 0
  case i8 = 1
  case u16 = 2
  case i16 = 3
  case u32 = 4
  case i32 = 5
  case f32 = 6
  case boolean = 7
  case text = 8
  case list = 9
  case u64 = 10
  case i64 = 11
  case f64 = 12

  /// Bytes that a value takes at least: a text its length, a list its kind and count.
  var leastByteCount: Int {
    switch self {
    case .u8, .i8, .boolean: 1
    case .u16, .i16: 2
    case .u32, .i32, .f32: 4
    case .u64, .i64, .f64, .text: 8
    case .list: 12
    }
  }

  var isInteger: Bool {
    switch self {
    case .u8, .i8, .u16, .i16, .u32, .i32, .u64, .i64: true
    case .f32, .f64, .boolean, .text, .list: false
    }
  }
}

/// Walks through the head of a GGUF file; never past its end.
struct GGUFCursor {
  let storage: TensorStorage
  /// For messages.
  let path: String
  /// The next byte; at most `storage.byteCount`.
  private(set) var offset: Int

  init(storage: TensorStorage, path: String, offset: Int = 0) {
    self.storage = storage
    self.path = path
    self.offset = offset
  }

  /// Bytes from here to the end.
  var leftCount: Int { storage.byteCount - offset }

  func problem(_ reason: String) -> CheckpointError { .malformed(path: path, reason: reason) }

  func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: storage.address + range.lowerBound, count: range.count)
  }

  mutating func integer<Value: FixedWidthInteger>(
    _ type: Value.Type = Value.self
  ) throws(CheckpointError) -> Value {
    let size = MemoryLayout<Value>.size
    guard size <= leftCount else { throw problem("it ends at byte \(offset), within its head") }
    defer { offset += size }
    return Value(littleEndian: (storage.address + offset).loadUnaligned(as: Value.self))
  }

  /// A count of things of which each takes `leastByteCount` bytes or more: more than the rest of the file
  /// could hold are refused, before anything is made for them.
  mutating func count(of what: String, leastByteCount: Int) throws(CheckpointError) -> Int {
    let count: UInt64 = try integer()
    guard count <= UInt64(leftCount / leastByteCount) else {
      throw problem("\(count) \(what) in \(leftCount) bytes")
    }
    return Int(count)
  }

  /// Where a text stands; the cursor goes behind it.
  mutating func textRange() throws(CheckpointError) -> Range<Int> {
    let length = try count(of: "bytes of a text", leastByteCount: 1)
    defer { offset += length }
    return offset..<offset + length
  }

  /// A name or a text of the head, at most `maximum` bytes.
  mutating func text(atMost maximum: Int) throws(CheckpointError) -> String {
    let range = try textRange()
    guard range.count <= maximum else {
      throw problem("a text of \(range.count) bytes at byte \(range.lowerBound)")
    }
    return String(decoding: bytes(range), as: UTF8.self)
  }

  mutating func value(_ kind: GGUFKind) throws(CheckpointError) -> GGUFValue {
    switch kind {
    case .u8: .integer(Int64(try integer(UInt8.self)))
    case .i8: .integer(Int64(try integer(Int8.self)))
    case .u16: .integer(Int64(try integer(UInt16.self)))
    case .i16: .integer(Int64(try integer(Int16.self)))
    case .u32: .integer(Int64(try integer(UInt32.self)))
    case .i32: .integer(Int64(try integer(Int32.self)))
    case .i64: .integer(try integer(Int64.self))
    case .u64: try large()
    case .f32: .real(Double(Float(bitPattern: try integer())))
    case .f64: .real(Double(bitPattern: try integer()))
    case .boolean: .boolean(try boolean())
    case .text: .text(try text(atMost: GGUFFile.textByteCountMaximum))
    case .list: .list(try list())
    }
  }

  private mutating func large() throws(CheckpointError) -> GGUFValue {
    let value: UInt64 = try integer()
    return Int64(exactly: value).map { .integer($0) } ?? .large(value)
  }

  private mutating func boolean() throws(CheckpointError) -> Bool {
    let value: UInt8 = try integer()
    guard value <= 1 else { throw problem("a truth of \(value) at byte \(offset - 1)") }
    return value == 1
  }

  /// Walks over a list without reading it out. Lists of lists occur in no model and are refused.
  private mutating func list() throws(CheckpointError) -> GGUFList {
    let number: UInt32 = try integer()
    guard let kind = GGUFKind(rawValue: number), kind != .list else {
      throw problem("a list of kind \(number) at byte \(offset - 4)")
    }
    let count = try count(of: "values of a list", leastByteCount: kind.leastByteCount)
    let list = GGUFList(count: count, kind: kind, start: offset, storage: storage)
    switch kind {
    case .text: for _ in 0..<count { _ = try textRange() }
    case .boolean: for _ in 0..<count { _ = try boolean() }
    default: offset += count * kind.leastByteCount
    }
    return list
  }
}
