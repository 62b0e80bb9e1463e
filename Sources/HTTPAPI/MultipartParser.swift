import Foundation

/// Reads a `multipart/form-data` body (RFC 7578) piece by piece: memory stays bounded however large a
/// file in it is.
struct MultipartParser {
  /// What the next bytes of the body are.
  enum Event: Equatable {
    /// A part begins.
    case part(name: String, fileName: String?)
    /// Bytes of the part's content.
    case bytes([UInt8])
    /// The part is whole.
    case partEnd
  }

  /// Bytes of a part's headers; a name and a file name need a few hundred.
  static let headerByteCount = 8 << 10
  /// Parts of one body: a file, its purpose and some fields that nobody reads.
  static let partCount = 32

  private enum Place { case preamble, afterDelimiter, headers, content, epilogue }
  private let delimiter: [UInt8]
  private var place = Place.preamble
  private var parts = 0
  // As if a line had ended before: so the first delimiter looks like all others.
  private var pending: [UInt8] = [13, 10]

  /// Reads a body whose parts are divided by `boundary`.
  init(boundary: String) { delimiter = Array("\r\n--\(boundary)".utf8) }

  /// The boundary in a `Content-Type` header; nil when it is no multipart form's.
  static func boundary(contentType: String?) -> String? {
    guard let contentType, contentType.lowercased().hasPrefix("multipart/form-data") else {
      return nil
    }
    let boundary = parameter("boundary", of: contentType)
    return boundary.flatMap { (1...70).contains($0.utf8.count) ? $0 : nil }
  }

  /// Takes the next bytes of the body.
  ///
  /// - Throws: 400 when they are no multipart form.
  mutating func push(_ bytes: some Sequence<UInt8>) throws(APIError) -> [Event] {
    pending.append(contentsOf: bytes)
    var events: [Event] = []
    while try step(&events) {}
    return events
  }

  /// The body has ended.
  ///
  /// - Throws: 400 when it isn't whole.
  func finish() throws(APIError) {
    guard place == .epilogue else { throw .invalid("the multipart body ends before its last part") }
  }

  /// One step; false when more bytes are needed.
  private mutating func step(_ events: inout [Event]) throws(APIError) -> Bool {
    switch place {
    case .preamble:
      guard let at = find(delimiter) else {
        keepTail()
        return false
      }
      pending.removeFirst(at + delimiter.count)
      place = .afterDelimiter
      return true
    case .afterDelimiter:
      guard pending.count >= 2 else { return false }
      if pending[0] == UInt8(ascii: "-"), pending[1] == UInt8(ascii: "-") {
        place = .epilogue
        return true
      }
      guard let end = find([13, 10]) else {
        guard pending.count < Self.headerByteCount else { throw .invalid("broken multipart body") }
        return false
      }
      // The line's end stays: headers are what stands between it and an empty line.
      pending.removeFirst(end)
      place = .headers
      return true
    case .headers: return try readHeaders(&events)
    case .content: return readContent(&events)
    case .epilogue:
      pending.removeAll()
      return false
    }
  }

  private mutating func readHeaders(_ events: inout [Event]) throws(APIError) -> Bool {
    guard let end = find([13, 10, 13, 10]) else {
      guard pending.count <= Self.headerByteCount else {
        throw .invalid("a part of the multipart body has too many headers")
      }
      return false
    }
    let text = String(decoding: pending[..<end], as: UTF8.self)
    pending.removeFirst(end + 4)
    parts += 1
    guard parts <= Self.partCount else { throw .invalid("the multipart body has too many parts") }
    let line = text.split(whereSeparator: \.isNewline).first {
      $0.lowercased().hasPrefix("content-disposition:")
    }
    guard let line, let name = Self.parameter("name", of: String(line)) else {
      throw .invalid("a part of the multipart body has no name")
    }
    events.append(.part(name: name, fileName: Self.parameter("filename", of: String(line))))
    place = .content
    // A part without content: its delimiter begins with the line end of the empty line.
    return true
  }

  private mutating func readContent(_ events: inout [Event]) -> Bool {
    if let at = find(delimiter) {
      if at > 0 { events.append(.bytes(Array(pending[..<at]))) }
      events.append(.partEnd)
      pending.removeFirst(at + delimiter.count)
      place = .afterDelimiter
      return true
    }
    // The last bytes may be the beginning of a delimiter.
    let certain = pending.count - (delimiter.count - 1)
    if certain > 0 {
      events.append(.bytes(Array(pending[..<certain])))
      pending.removeFirst(certain)
    }
    return false
  }

  private mutating func keepTail() {
    let surplus = pending.count - (delimiter.count - 1)
    if surplus > 0 { pending.removeFirst(surplus) }
  }

  private func find(_ needle: [UInt8]) -> Int? {
    pending.withUnsafeBytes { hay in
      guard let base = hay.baseAddress, let first = needle.first else { return nil }
      var at = 0
      while at + needle.count <= hay.count,
        let found = memchr(base + at, Int32(first), hay.count - needle.count + 1 - at)
      {
        at = base.distance(to: UnsafeRawPointer(found))
        if memcmp(found, needle, needle.count) == 0 { return at }
        at += 1
      }
      return nil
    }
  }

  /// `name="value"` or `name=value` among a header's parameters; `\"` in a quoted one is a quote.
  static func parameter(_ name: String, of header: String) -> String? {
    var rest = Substring(header)
    while let semicolon = rest.firstIndex(of: ";") {
      rest = rest[rest.index(after: semicolon)...].drop(while: \.isWhitespace)
      guard let equals = rest.firstIndex(of: "=") else { return nil }
      let key = rest[..<equals].lowercased()
      rest = rest[rest.index(after: equals)...]
      let value: String
      if rest.hasPrefix("\"") {
        var text = ""
        var isEscaped = false
        rest = rest.dropFirst()
        while let character = rest.first, isEscaped || character != "\"" {
          rest = rest.dropFirst()
          if character == "\\", !isEscaped {
            isEscaped = true
            continue
          }
          isEscaped = false
          text.append(character)
        }
        value = text
      } else {
        value = rest.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces)
      }
      if key == name { return value }
    }
    return nil
  }
}
