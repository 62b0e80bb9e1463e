/// VQAv2's accuracy, as its official evaluation computes it.
///
/// An answer is worth min(n / 3, 1), where n annotators gave it; averaged over the subsets that leave
/// one annotator out. Where annotators differ, texts are compared after `normalized`; where all said
/// the same, as they are (so does the official evaluation).
///
/// With fewer annotators than the official ten the rule is the same, except that no more agreement is
/// asked for than the others of a subset can give: with four or more it's the official one, and a
/// single annotator has to be met after normalising.
enum VQAAccuracy {
  /// 0 to 1 for an answer.
  static func score(_ answer: String, references: [String]) -> Double {
    guard !references.isEmpty else { return 0 }
    var answer = cleaned(answer)
    var references = references.map(cleaned)
    if references.count == 1 || Set(references).count > 1 {
      answer = normalized(answer)
      references = references.map(normalized)
    }
    let matchCount = references.count { $0 == answer }
    guard references.count > 1 else { return Double(matchCount) }
    let needed = Double(min(3, references.count - 1))
    // Of the subsets, some leave a match out, the others something else.
    let withoutMatch = matchCount > 0 ? min(1, Double(matchCount - 1) / needed) : 0
    let withoutOther = min(1, Double(matchCount) / needed)
    let sum =
      Double(matchCount) * withoutMatch + Double(references.count - matchCount) * withoutOther
    return sum / Double(references.count)
  }

  private static func cleaned(_ text: String) -> String {
    TextScores.trimmed(
      String(text.unicodeScalars.map { $0 == "\n" || $0 == "\t" ? " " : Character($0) }))
  }

  /// Punctuation out, lower case, number words to digits, articles out, apostrophes put back.
  static func normalized(_ text: String) -> String {
    let words = TextScores.words(withoutPunctuation(text).lowercased())
    return words.compactMap { word in
      let digit = numbers[word] ?? word
      if articles.contains(digit) { return nil }
      return VQAContractions.withApostrophe[digit] ?? digit
    }.joined(separator: " ")
  }

  /// A mark vanishes where it stands beside a space in the text (or where the text has a number such as
  /// 1,000), and becomes a space elsewhere. Full stops vanish unless a digit follows.
  private static func withoutPunctuation(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    let hasThousands = scalars.indices.dropFirst().dropLast().contains { index in
      scalars[index] == "," && isDigit(scalars[index - 1]) && isDigit(scalars[index + 1])
    }
    let besideSpace = Set(
      scalars.indices.filter { index in
        (index > 0 && scalars[index - 1] == " ")
          || (index + 1 < scalars.count && scalars[index + 1] == " ")
      }.map { scalars[$0] })
    var kept: [Unicode.Scalar] = []
    for scalar in scalars {
      if !marks.contains(scalar) {
        kept.append(scalar)
      } else if !hasThousands && !besideSpace.contains(scalar) {
        kept.append(" ")
      }
    }
    var result = String.UnicodeScalarView()
    var stopCount = 0
    for (index, scalar) in kept.enumerated() {
      let isBeforeDigit = index + 1 < kept.count && isDigit(kept[index + 1])
      // The official script passes a flag of value 32 where the number of replacements goes.
      if scalar == ".", !isBeforeDigit, stopCount < 32 {
        stopCount += 1
      } else {
        result.append(scalar)
      }
    }
    return String(result)
  }

  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .decimalNumber
  }

  private static let marks = Set(";/[]\"{}()=+\\_-><@`,?!".unicodeScalars)
  private static let articles: Set = ["a", "an", "the"]
  /// Number words that the official evaluation knows.
  static let numbers = [
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
  ]
}
