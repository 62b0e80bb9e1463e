import Foundation

/// JSON to be written, with the same bytes in every run: keys sorted, numbers rounded by decimals.
public indirect enum JSONText: Sendable {
  /// null
  case null
  /// true or false.
  case bool(Bool)
  /// A whole number.
  case integer(Int)
  /// A number with so many decimals, trailing zeros left out but for one.
  case decimal(Double, places: Int)
  /// A number whose digits are known already, to the last one.
  case number(String)
  /// Text.
  case string(String)
  /// A list.
  case array([JSONText])
  /// Names and values; written in the order of the names' bytes.
  case object([String: JSONText])

  /// The JSON on one line.
  public var line: String {
    var text = ""
    write(to: &text)
    return text
  }

  private func write(to text: inout String) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .decimal(let value, let places): text += Self.number(value, places)
    case .number(let digits): text += digits
    case .string(let value): Self.write(value, to: &text)
    case .array(let items):
      text += "["
      for (index, item) in items.enumerated() {
        if index > 0 { text += "," }
        item.write(to: &text)
      }
      text += "]"
    case .object(let members):
      text += "{"
      let names = members.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      for (index, name) in names.enumerated() {
        if index > 0 { text += "," }
        Self.write(name, to: &text)
        text += ":"
        (members[name] ?? .null).write(to: &text)
      }
      text += "}"
    }
  }

  /// Minus infinity, the logarithm of 0, becomes -9999 as in OpenAI's API; JSON has no word for it.
  static func number(_ value: Double, _ places: Int) -> String {
    let bounded = value.isNaN ? 0 : min(max(value, -9999), 1e9)
    let places = min(max(places, 1), 9)
    var scale = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = Int((bounded * Double(scale)).rounded())
    let (whole, rest) = abs(scaled).quotientAndRemainder(dividingBy: scale)
    var digits = String(rest)
    digits = String(repeating: "0", count: places - digits.count) + digits
    while digits.count > 1, digits.hasSuffix("0") { digits.removeLast() }
    return (scaled < 0 ? "-" : "") + "\(whole).\(digits)"
  }

  /// Escapes what JSON demands, and the two line separators that some readers take for line ends.
  private static func write(_ value: String, to text: inout String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case _
      where scalar.value < 0x20 || scalar.value == 0x7F || scalar == "\u{2028}"
        || scalar == "\u{2029}" || scalar == "\u{85}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
