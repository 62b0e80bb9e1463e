/// The forms a word of a caption may have; each function gives the end of the longest such form that
/// starts at a place, or nil.
struct CaptionForms {
  let text: [Unicode.Scalar]

  /// The end of the longest form of a word that starts at an alphanumeric place.
  func longest(_ start: Int) -> Int {
    let forms = [
      run(start, where: CaptionTokenizer.isAlphanumeric), dotted(start), number(start),
      hyphenated(start), slashed(start), acronym(start), abbreviation(start),
      withApostrophe(start), joined(start),
    ]
    return forms.compactMap { $0 }.max() ?? start + 1
  }

  func isLetter(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isAlphabetic }

  func run(_ start: Int, where holds: (Unicode.Scalar) -> Bool) -> Int {
    var end = start
    while let scalar = at(end), holds(scalar) { end += 1 }
    return end
  }

  private func at(_ index: Int) -> Unicode.Scalar? {
    text.indices.contains(index) ? text[index] : nil
  }
  private func isLetter(at index: Int) -> Bool { at(index).map(isLetter) ?? false }
  private func isAlphanumeric(at index: Int) -> Bool {
    at(index).map(CaptionTokenizer.isAlphanumeric) ?? false
  }
  private func isDigit(at index: Int) -> Bool { at(index).map(CaptionTokenizer.isDigit) ?? false }

  /// `end.Another`, `what!yes`: a letter right behind a full stop goes on with the word.
  private func dotted(_ start: Int) -> Int? {
    guard isLetter(at: start) else { return nil }
    var end = run(start, where: CaptionTokenizer.isAlphanumeric)
    while let mark = at(end), mark == "." || mark == "!" || mark == "?", isLetter(at: end + 1) {
      end = run(end + 1, where: CaptionTokenizer.isAlphanumeric)
    }
    return end
  }

  /// `1,000`, `10:30`, `.5`.
  func number(_ start: Int) -> Int? {
    var end = run(start, where: CaptionTokenizer.isDigit)
    while let mark = at(end), mark == "." || mark == "," || mark == ":", isDigit(at: end + 1) {
      end = run(end + 1, where: CaptionTokenizer.isDigit)
    }
    guard end > start else { return nil }
    // A version, 3.x.
    if at(end) == ".", at(end + 1) == "x", !isAlphanumeric(at: end + 2) { return end + 2 }
    // 3-1/2 is one number.
    return fraction(start) ?? end
  }

  private func fraction(_ start: Int) -> Int? {
    var end = run(start, where: CaptionTokenizer.isDigit)
    if at(end) == "-" { end = run(end + 1, where: CaptionTokenizer.isDigit) }
    guard end > start, at(end) == "/", isDigit(at: end + 1) else { return nil }
    return run(end + 1, where: CaptionTokenizer.isDigit)
  }

  /// `black-and-white`, `U.S.-based`, `3,000-foot`.
  private func hyphenated(_ start: Int) -> Int? {
    var end = run(start) { CaptionTokenizer.isAlphanumeric($0) || $0 == "." || $0 == "," }
    var isHyphenated = false
    while at(end) == "-", isAlphanumeric(at: end + 1) {
      end = run(end + 1, where: CaptionTokenizer.isAlphanumeric)
      isHyphenated = true
    }
    return isHyphenated ? end : nil
  }

  /// `and/or`, `x-ray/y-ray`: at most two slashes, at most two hyphens in each part.
  private func slashed(_ start: Int) -> Int? {
    func part(_ start: Int) -> Int {
      var end = run(start, where: CaptionTokenizer.isAlphanumeric)
      for _ in 0..<2 where end > start && at(end) == "-" && isLetter(at: end + 1) {
        end = run(end + 1, where: isLetter)
      }
      return end
    }
    var end = part(start)
    var slashCount = 0
    while slashCount < 2, at(end) == "/", isAlphanumeric(at: end + 1) {
      end = part(end + 1)
      slashCount += 1
    }
    return slashCount > 0 ? end : nil
  }

  /// `p.m.`, `b.`: single letters, each with its full stop.
  private func acronym(_ start: Int) -> Int? {
    var end = start
    while isLetter(at: end), at(end + 1) == "." { end += 2 }
    return end > start ? end : nil
  }

  /// `st.`, `Mr.`; `no.` where a number follows.
  private func abbreviation(_ start: Int) -> Int? {
    let end = run(start, where: isLetter)
    guard end > start, at(end) == "." else { return nil }
    let word = String(String.UnicodeScalarView(text[start..<end]))
    let lower = word.lowercased()
    let next = run(end + 1) { $0.properties.isWhitespace }
    let isKnown =
      CaptionAbbreviations.always.contains(lower)
      || (CaptionAbbreviations.beforeNumbers.contains(lower) && isDigit(at: next))
      || (CaptionAbbreviations.capitalised.contains(lower) && word != lower)
    return isKnown ? end + 1 : nil
  }

  /// `o'clock`, `ma'am`, `D'Angelo`, `y'` of `y'all`, and some more that are known.
  private func withApostrophe(_ start: Int) -> Int? {
    let apostrophe = run(start, where: isLetter)
    guard apostrophe > start, at(apostrophe) == "'" else { return nil }
    let head = String(String.UnicodeScalarView(text[start..<apostrophe]))
    let end = run(apostrophe + 1, where: isLetter)
    let tail = text[(apostrophe + 1)..<end]
    let whole = (head + "'" + String(String.UnicodeScalarView(tail))).lowercased()
    if CaptionAbbreviations.withApostrophe.contains(whole) { return end }
    if head.lowercased() == "y" || head.lowercased() == "ol" { return apostrophe + 1 }
    guard let first = tail.first else { return nil }
    let isContraction = ["s", "m", "d", "re", "ve", "ll"].contains(whole.dropFirst(head.count + 1))
    if head.count == 1, !isContraction {
      let wordEnd = run(apostrophe + 1, where: CaptionTokenizer.isAlphanumeric)
      if "dDoOlL".contains(head), wordEnd > apostrophe + 2 { return wordEnd }
      if "lLdDjJ".contains(head) { return apostrophe + 1 }
    }
    let isCapital = head.count == 1 && ("A"..."Z").contains(head) && head != "I" && head != "Y"
    if isCapital, tail.count >= 2 { return end }
    let isBetweenVowels =
      head.count > 1 && "aeiouyAEIOUY".contains(head.suffix(1))
      && ("aeiou".unicodeScalars.contains(first) || ("A"..."Z").contains(first))
    return isBetweenVowels ? end : nil
  }

  /// `AT&T`, `with_underscore`, `C++`.
  private func joined(_ start: Int) -> Int? {
    let capitals: (Unicode.Scalar) -> Bool = { ("A"..."Z").contains($0) }
    var end = run(start, where: capitals)
    if end > start, let mark = at(end), mark == "&" || mark == "+",
      at(end + 1).map(capitals) == true
    {
      while let mark = at(end), mark == "&" || mark == "+", at(end + 1).map(capitals) == true {
        end = run(end + 1, where: capitals)
      }
      return end
    }
    end = run(start, where: CaptionTokenizer.isAlphanumeric)
    if end == start + 1, at(start) == "c" || at(start) == "C" {
      if at(end) == "+", at(end + 1) == "+" { return end + 2 }
      if at(end) == "#" { return end + 1 }
    }
    while at(end) == "_", isAlphanumeric(at: end + 1) {
      end = run(end + 1, where: CaptionTokenizer.isAlphanumeric)
    }
    return end
  }

  /// `foo@bar.com`, `http://…`, `www.…`.
  func address(_ start: Int) -> Int? {
    let end = run(start) { scalar in
      !scalar.properties.isWhitespace && !"\"<>|()".unicodeScalars.contains(scalar)
    }
    let part = String(String.UnicodeScalarView(text[start..<end])).lowercased()
    let isWeb = ["http://", "https://", "www."].contains { part.hasPrefix($0) && part != $0 }
    let sign = text[start..<end].firstIndex(of: "@")
    let isMail = sign.map { $0 > start && isAlphanumeric(at: $0 + 1) } ?? false
    guard isWeb || isMail else { return nil }
    var last = end
    while last > start + 1, ".,;:!?'".unicodeScalars.contains(text[last - 1]) { last -= 1 }
    return last
  }
}

/// Words whose full stop, or apostrophe, belongs to them: as many as Stanford's tokenizer was found to
/// know of some 430 that were tried. Single letters do, always.
enum CaptionAbbreviations {
  static let always = words(
    """
    adj adm al ala alex apr ariz assn assoc asst atty aug ave bhd bldg blvd brig bros calif capt cf
    cie cmdr co col colo comdr conn corp cos cpl ct dak dec dept det dr esq est etc ext feb fla fri
    ft ga gen gov hon inc ind insp intl jan jos jr jul jun kan kans ky lieut lt ltd maj mar md messrs
    mfg mich minn mlle mme mo mon mont mr mrs ms msgr mt natl neb nev nov oct okla penn pfc ph plc
    pres prof pty pvt rd rep rev rt sen sep sept seq sfc sgt sq sr st ste supt tel tenn thu thurs
    treas tue tues univ va vs vt wed wis wisc wm wyo
    """)
  static let capitalised = words("ark del ill la mass miss ore pa tex wash")
  static let beforeNumbers = words("ca fig figs no nos op pp prop")
  static let withApostrophe = words("c'mon cap'n s'mores e'er li'l ev'ry nat'l nor'easter")

  private static func words(_ text: String) -> Set<String> {
    Set(text.split(whereSeparator: \.isWhitespace).map(String.init))
  }
}
