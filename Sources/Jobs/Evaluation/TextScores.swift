/// Scores of a text against reference texts, each 0 to 1, the best of the references.
///
/// Lengths are counted in Unicode scalars, and white space is Python's, so that the numbers are those of
/// the reference implementations.
enum TextScores {
  /// 1 if the answer is one of the references to the letter, blanks around both aside.
  static func exact(_ answer: String, references: [String]) -> Double {
    let answer = trimmed(answer)
    return references.contains { trimmed($0) == answer } ? 1 : 0
  }

  /// ChartQA's relaxed accuracy (arXiv 2203.10244, 5.1): a number may be 5 % of the reference off, a
  /// text has to be the same but for case. `7 %` is the number 0.07.
  ///
  /// A reference of 0 has no 5 %, and is compared as a text: the published script does so.
  static func relaxed(_ answer: String, references: [String]) -> Double {
    func isRight(_ reference: String) -> Bool {
      if let said = number(answer), let truth = number(reference), truth != 0 {
        return abs(said - truth) / abs(truth) <= 0.05
      }
      return answer.lowercased() == reference.lowercased()
    }
    return references.contains(where: isRight) ? 1 : 0
  }

  /// What Python's `float` makes of a text, a percentage being a hundredth.
  private static func number(_ text: String) -> Double? {
    guard text.hasSuffix("%") else { return decimal(text) }
    let rest = text.unicodeScalars.reversed().drop { $0 == "%" }.reversed()
    return decimal(String(String.UnicodeScalarView(rest))).map { $0 / 100 }
  }

  /// A decimal number, blanks around it allowed; nil for hexadecimal ones, which Swift would read.
  static func decimal(_ text: String) -> Double? {
    let text = trimmed(text)
    let isPlain = text.utf8.allSatisfy { byte in
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "+-.eE".utf8.contains(byte)
    }
    let name = text.lowercased().drop { $0 == "+" || $0 == "-" }
    guard isPlain || ["inf", "infinity", "nan"].contains(name) else { return nil }
    // Swift wants a digit on both sides of the point.
    if text.hasSuffix(".") { return Double(text + "0") }
    return Double(text)
  }

  /// ANLS (arXiv 1905.13648): 1 − edit distance / length of the longer one, and nothing from a
  /// distance of half the length on. Case and the number of blanks don't count.
  static func anls(_ answer: String, references: [String], threshold: Double = 0.5) -> Double {
    let answer = Array(folded(answer).unicodeScalars)
    return references.reduce(0) { best, reference in
      let reference = Array(folded(reference).unicodeScalars)
      let length = max(answer.count, reference.count)
      guard length > 0 else { return 1 }
      let distance = Double(editDistance(answer, reference)) / Double(length)
      return distance < threshold ? max(best, 1 - distance) : best
    }
  }

  private static func folded(_ text: String) -> String {
    words(text.lowercased()).joined(separator: " ")
  }

  /// Levenshtein's distance: insertions, deletions and replacements cost 1.
  static func editDistance(_ one: [Unicode.Scalar], _ two: [Unicode.Scalar]) -> Int {
    var distances = Array(0...two.count)
    for (row, scalar) in one.enumerated() {
      var diagonal = distances[0]
      distances[0] = row + 1
      for column in two.indices {
        let replaced = diagonal + (two[column] == scalar ? 0 : 1)
        diagonal = distances[column + 1]
        distances[column + 1] = min(replaced, diagonal + 1, distances[column] + 1)
      }
    }
    return distances[two.count]
  }

  /// The text without white space at its ends.
  static func trimmed(_ text: String) -> String {
    let scalars = text.unicodeScalars.drop(while: isSpace)
    guard let last = scalars.lastIndex(where: { !isSpace($0) }) else { return "" }
    return String(scalars[...last])
  }

  /// The parts between white space.
  static func words(_ text: String) -> [String] {
    text.unicodeScalars.split(whereSeparator: isSpace).map { String($0) }
  }

  /// White space as Python has it: Unicode's, and four separators of ASCII.
  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
  }
}
