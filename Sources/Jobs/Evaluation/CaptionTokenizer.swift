/// Words of a caption, as CIDEr wants them: those that `pycocoevalcap` gets from Stanford's Penn
/// Treebank tokenizer (`-lowerCase`), less its list of punctuation.
///
/// Written from that program's behaviour, and compared with it in the tests. At each place the longest
/// of the forms below is taken: a word (`man.woman` is one), a number (`1,000`, `10:30`, `1/2`), a
/// hyphenated word (`black-and-white`), up to two slashes (`and/or`), an acronym or known abbreviation
/// with its full stop (`p.m.`, `st.`), an apostrophe inside a word (`o'clock`), an address. Contractions
/// come apart (`ca n't`, `dog 's`, `can not`). Quotes, commas, full stops and dashes vanish, but
/// brackets become `-lrb-` and `-rrb-` and stay, since the list has these names in upper case only.
///
/// Not equal for what captions don't have: emoticons with letters, addresses without `www.`, markup over
/// several tags, and abbreviations only a capital follows.
struct CaptionTokenizer {
  private let text: [Unicode.Scalar]
  private var place = 0
  private var found: [String] = []

  /// The words of one caption, in lower case.
  static func words(of caption: String) -> [String] {
    var tokenizer = CaptionTokenizer(caption)
    while tokenizer.place < tokenizer.text.count { tokenizer.step() }
    // A token may hold blanks (markup), and whoever counts words splits at them.
    return tokenizer.found.flatMap { TextScores.words($0.lowercased()) }
  }

  private init(_ caption: String) {
    text = caption.unicodeScalars.map { Self.plain[$0] ?? $0 }
  }

  /// Typographic forms and what they count as.
  private static let plain: [Unicode.Scalar: Unicode.Scalar] = [
    "\u{2019}": "'", "\u{2018}": "'", "\u{201B}": "'", "\u{201C}": "\"", "\u{201D}": "\"",
    "\u{2013}": "\u{2014}", "\u{2015}": "\u{2014}", "\u{00A0}": " ", "\u{00A3}": "#",
    "\u{20AC}": "$",
  ]

  private mutating func step() {
    let scalar = text[place]
    if scalar.properties.isWhitespace {
      place += 1
    } else if isAlphanumeric(place) {
      takeWord()
    } else if scalar == "'" {
      takeApostrophe()
    } else if let end = signedNumber(place) {
      take(to: end)
    } else {
      takeMark(scalar)
    }
  }

  private mutating func take(to end: Int) {
    found.append(string(place, end))
    place = end
  }

  func string(_ start: Int, _ end: Int) -> String {
    String(String.UnicodeScalarView(text[start..<end]))
  }

  // MARK: Words

  private mutating func takeWord() {
    let word = CaptionForms(text: text)
    if let end = word.address(place) { return take(to: end) }
    let end = word.longest(place)
    // `n't` takes its n from the word in front of it.
    let isNegated =
      end - place > 1 && isLetter(end - 1, "n") && at(end) == "'" && isLetter(end + 1, "t")
    if isNegated, word.run(place, where: word.isLetter) == end {
      take(to: end - 1)
      return take(to: word.run(end + 1, where: word.isLetter))
    }
    let parts = Self.apart[string(place, end).lowercased()]
    if let parts, at(end).map({ $0 != "'" }) ?? true {
      found += parts
      place = end
    } else {
      take(to: end)
    }
  }

  /// Words that come apart without an apostrophe.
  private static let apart = [
    "cannot": ["can", "not"], "gonna": ["gon", "na"], "gotta": ["got", "ta"],
    "lemme": ["lem", "me"], "gimme": ["gim", "me"], "wanna": ["wan", "na"],
  ]

  // MARK: Apostrophes

  /// What follows an apostrophe as a word of its own, longest first.
  private static let endings = ["re", "ve", "ll", "s", "m", "d"]
  private static let shortened = ["cause", "till", "til", "em", "n'", "n"]

  private mutating func takeApostrophe() {
    func follows(_ word: String) -> Int? {
      let scalars = Array(word.unicodeScalars)
      let matches = scalars.indices.allSatisfy { isLetter(place + 1 + $0, scalars[$0]) }
      let end = place + 1 + scalars.count
      let isWhole = end >= text.count || !text[end].properties.isAlphabetic || word == "n'"
      return matches && isWhole ? end : nil
    }
    for word in ["tis", "twas"] {
      if let end = follows(word) {
        found += ["'t", string(place + 2, end)]
        place = end
        return
      }
    }
    for word in Self.endings + Self.shortened {
      if let end = follows(word) { return take(to: end) }
    }
    // '05 and '90s
    let digits = runEnd(place + 1, where: Self.isDigit)
    if digits == place + 3, !isAlphanumeric(digits) { return take(to: digits) }
    if let tens = at(place + 1), ("2"..."9").contains(tens), at(place + 2) == "0",
      isLetter(place + 3, "s")
    {
      return take(to: place + 4)
    }
    place += 1
  }

  // MARK: Marks

  private mutating func takeMark(_ scalar: Unicode.Scalar) {
    switch scalar {
    case "\"", "`", ",", ";", "-", "\u{2014}", "\u{2026}", ".", "\u{AB}", "\u{BB}": place += 1
    case ":", "=": takeColon(scalar)
    case "!", "?":
      let end = runEnd(place) { $0 == "!" || $0 == "?" }
      if end - place > 1 { take(to: end) } else { place = end }
    case "*", "_", "@", "#": takeRun(scalar)
    case "<": takeMarkup()
    default:
      let name =
        Self.brackets[scalar] ?? Self.fractions[scalar]
        ?? (Self.isKept(scalar) ? String(scalar) : nil)
      if let name { found.append(name) }
      place += 1
    }
  }

  /// An emoticon's brackets are named too.
  private mutating func takeColon(_ scalar: Unicode.Scalar) {
    var end = place + 1
    if at(end) == "-" { end += 1 }
    if let bracket = at(end).flatMap({ Self.brackets[$0] }) {
      found.append(string(place, end) + bracket)
      place = end + 1
      return
    }
    if scalar == "=" { found.append("=") }
    place += 1
  }

  private mutating func takeRun(_ scalar: Unicode.Scalar) {
    let isTag = scalar == "@" || scalar == "#"
    if isTag, let next = at(place + 1), next.properties.isAlphabetic {
      return take(to: runEnd(place + 1) { Self.isAlphanumeric($0) || $0 == "_" })
    }
    take(to: runEnd(place) { $0 == scalar })
  }

  private mutating func takeMarkup() {
    let isOpen = at(place + 1).map { $0.properties.isAlphabetic || $0 == "/" || $0 == "!" } ?? false
    let end = runEnd(place + 1) { $0 != ">" && $0 != "<" }
    if isOpen, at(end) == ">" { take(to: end + 1) } else { take(to: place + 1) }
  }

  private static let brackets: [Unicode.Scalar: String] = [
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
  ]
  private static let fractions: [Unicode.Scalar: String] = [
    "\u{BC}": "1/4", "\u{BD}": "1/2", "\u{BE}": "3/4", "\u{2153}": "1/3", "\u{2154}": "2/3",
  ]

  /// Marks that are words; of others nothing is left.
  private static func isKept(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII
      || "\u{B0}\u{A9}\u{AE}\u{2122}\u{B4}\u{2032}\u{D7}\u{B1}".unicodeScalars.contains(scalar)
  }

  // MARK: Looking

  private func at(_ index: Int) -> Unicode.Scalar? {
    text.indices.contains(index) ? text[index] : nil
  }

  private func isLetter(_ index: Int, _ lower: Unicode.Scalar) -> Bool {
    at(index).map { String($0).lowercased() == String(lower) } ?? false
  }

  private func isAlphanumeric(_ index: Int) -> Bool { at(index).map(Self.isAlphanumeric) ?? false }

  static func isAlphanumeric(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isAlphabetic || isDigit(scalar)
      || scalar.properties.generalCategory == .nonspacingMark
  }

  static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .decimalNumber
  }

  private func runEnd(_ start: Int, where holds: (Unicode.Scalar) -> Bool) -> Int {
    var end = start
    while let scalar = at(end), holds(scalar) { end += 1 }
    return end
  }

  /// The end of `-5`, `+1.5`, `.5` or `:30`.
  private func signedNumber(_ start: Int) -> Int? {
    let forms = CaptionForms(text: text)
    let isSigned = at(start) == "-" || at(start) == "+"
    return forms.number(isSigned ? start + 1 : start)
  }
}
