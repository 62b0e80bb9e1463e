import Tensors

/// What stands in front of the elements of a `.npy` file: magic, version, and a Python dictionary of
/// type, order and shape (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
/// The dictionary is read with a grammar of its own; nothing is evaluated.
struct NPYHeader: Equatable {
  /// How one element is stored.
  let elementType: ElementType
  /// Whether the first index runs fastest.
  let isColumnMajor: Bool
  /// The extents, outermost first.
  let shape: [Int]
  /// Where the elements begin, in bytes.
  let byteOffset: Int

  /// Reads the header at the start of `bytes`.
  ///
  /// - Throws: what is wrong with it, as a clause.
  init(_ bytes: [UInt8]) throws(Problem) {
    guard bytes.starts(with: [0x93] + Array("NUMPY".utf8)), bytes.count >= 10 else {
      throw Problem(reason: "does not begin as a NumPy array")
    }
    let lengthSize = bytes[6] == 1 ? 2 : 4
    guard (1...3).contains(bytes[6]), bytes.count >= 8 + lengthSize else {
      throw Problem(reason: "has the unknown version \(bytes[6]).\(bytes[7])")
    }
    let length = (0..<lengthSize).reduce(0) { $0 | Int(bytes[8 + $1]) << (8 * $1) }
    let start = 8 + lengthSize
    guard length <= Self.byteCountMaximum, length <= bytes.count - start else {
      throw Problem(reason: "has a header of \(length) bytes in \(bytes.count)")
    }
    byteOffset = start + length
    var reader = DictionaryReader(bytes: bytes[start..<byteOffset])
    guard let members = reader.members(), let descr = members["descr"],
      let order = members["fortran_order"], let extents = members["shape"], members.count == 3
    else { throw Problem(reason: "has no header of 'descr', 'fortran_order' and 'shape'") }
    guard case .text(let typeName) = descr, let elementType = Self.elementTypes[typeName] else {
      throw Problem(reason: "has the unsupported element type \(descr)")
    }
    guard case .flag(let isColumnMajor) = order, case .numbers(let shape) = extents,
      shape.count <= Self.rankMaximum
    else { throw Problem(reason: "has no order and shape of at most \(Self.rankMaximum) extents") }
    self.elementType = elementType
    self.isColumnMajor = isColumnMajor
    self.shape = shape
  }

  /// What is wrong with a header.
  struct Problem: Error, Equatable { let reason: String }

  /// NumPy itself refuses longer ones unless told to trust the file.
  private static let byteCountMaximum = 10_000
  private static let rankMaximum = 8
  private static let elementTypes: [String: ElementType] = [
    "<f4": .f32, "<f2": .f16, "|u1": .u8, "|i1": .i8, "<i4": .i32, "<i8": .i64,
  ]
}

/// Reads `{'name': value, …}` with values of texts, truths and tuples of whole numbers.
private struct DictionaryReader {
  enum Value {
    case text(String)
    case flag(Bool)
    case numbers([Int])
  }

  private let bytes: ArraySlice<UInt8>
  private var index: Int

  init(bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    index = bytes.startIndex
  }

  /// All members, or nil when anything else stands there.
  mutating func members() -> [String: Value]? {
    guard take("{") else { return nil }
    var members: [String: Value] = [:]
    while !take("}") {
      guard let name = text(), members[name] == nil, take(":"), let value = value() else {
        return nil
      }
      members[name] = value
      if !take(",") { return take("}") && isAtEnd() ? members : nil }
    }
    return isAtEnd() ? members : nil
  }

  private mutating func value() -> Value? {
    if let text = text() { return .text(text) }
    if take("True") { return .flag(true) }
    if take("False") { return .flag(false) }
    guard take("(") else { return nil }
    var numbers: [Int] = []
    while !take(")") {
      guard let number = number() else { return nil }
      numbers.append(number)
      if !take(",") { return take(")") ? .numbers(numbers) : nil }
    }
    return .numbers(numbers)
  }

  private mutating func skipBlanks() {
    while index < bytes.endIndex, bytes[index] == 0x20 || bytes[index] == 0x0a { index += 1 }
  }

  private mutating func isAtEnd() -> Bool {
    skipBlanks()
    return index == bytes.endIndex
  }

  private mutating func take(_ word: String) -> Bool {
    skipBlanks()
    guard bytes[index...].starts(with: word.utf8) else { return false }
    index += word.utf8.count
    return true
  }

  private mutating func text() -> String? {
    skipBlanks()
    guard index < bytes.endIndex, bytes[index] == UInt8(ascii: "'"),
      let end = bytes[(index + 1)...].firstIndex(of: UInt8(ascii: "'"))
    else { return nil }
    defer { index = end + 1 }
    return String(decoding: bytes[(index + 1)..<end], as: UTF8.self)
  }

  private mutating func number() -> Int? {
    skipBlanks()
    let digits = bytes[index...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    index = digits.endIndex
    return Int(String(decoding: digits, as: UTF8.self))
  }
}
