import Foundation

/// Turns text from a model into lines of the ASCII that `Font` can draw.
enum TextLayout {
  /// Accents are taken off; what is still not ASCII becomes "?", and white space one space.
  static func ascii(_ text: String) -> [UInt8] {
    text.folding(options: .diacriticInsensitive, locale: nil).unicodeScalars.map { scalar in
      if scalar.properties.isWhitespace { return UInt8(ascii: " ") }
      return (33...126).contains(scalar.value) ? UInt8(scalar.value) : UInt8(ascii: "?")
    }
  }

  /// Breaks text between words, or within a word that is longer than a line.
  ///
  /// - Parameters:
  ///   - text: anything; new lines are kept.
  ///   - columnCount: letters in a line; at least 1.
  ///   - lineCountMax: lines at most, at least 1; text that was cut off ends in "...".
  /// - Returns: the lines, in ASCII.
  static func wrap(_ text: String, columnCount: Int, lineCountMax: Int) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    for paragraph in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
      guard lines.count <= lineCountMax else { break }
      lines += wrap(paragraph: ascii(String(paragraph)), columnCount)
    }
    guard lines.count > lineCountMax else { return lines }
    lines.removeSubrange(lineCountMax...)
    let ellipsis = Array("...".utf8.prefix(columnCount))
    lines[lineCountMax - 1] =
      lines[lineCountMax - 1].prefix(columnCount - ellipsis.count) + ellipsis
    return lines
  }

  private static func wrap(paragraph: [UInt8], _ columnCount: Int) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    var line: [UInt8] = []
    for word in paragraph.split(separator: UInt8(ascii: " ")) {
      var rest = word
      if !line.isEmpty {
        if line.count + 1 + rest.count <= columnCount {
          line += [UInt8(ascii: " ")] + rest
          continue
        }
        lines.append(line)
      }
      while rest.count > columnCount {
        lines.append(Array(rest.prefix(columnCount)))
        rest = rest.dropFirst(columnCount)
      }
      line = Array(rest)
    }
    return lines + [line]
  }
}
