/// Lengths of functions. The formatter keeps the indentation honest, so a body ends at the first
/// closing brace that stands under its declaration.
enum FunctionSizes {
  /// Line numbers and line counts of the functions in a Swift file.
  static func swift(_ lines: [String]) -> [(line: Int, size: Int)] {
    lines.indices.compactMap { start in
      let line = lines[start]
      let words = line.split(separator: " ").prefix { !$0.hasPrefix("//") }
        .map { $0.prefix { $0.isLetter } }
      let isFunction = words.contains { ["func", "init", "deinit", "subscript"].contains($0) }
      let isDeclaration = words.first.map { declarationWords.contains(String($0)) } ?? false
      guard isFunction, isDeclaration else { return nil }
      let indent = String(line.prefix { $0 == " " })
      // The body opens at the first line that ends in a brace, before the indentation returns.
      var open = start
      while !lines[open].hasSuffix("{") {
        open += 1
        guard open < lines.count else { return nil }
        let next = lines[open]
        let isDeeper = next.hasPrefix(indent + " ")
        let goesOn = [")", "throws", "{", "where", "->"].contains { next.hasPrefix(indent + $0) }
        guard isDeeper || goesOn else { return nil }
      }
      return size(lines, from: start, open: open, indent: indent)
    }
  }

  private static let declarationWords: Set = [
    "func", "init", "deinit", "subscript", "public", "private", "fileprivate", "internal", "static",
    "mutating", "consuming", "borrowing", "override", "convenience", "required", "nonisolated",
    "package", "final", "",
  ]

  /// The same for C and C++ functions that stand at the left margin.
  static func c(_ lines: [String]) -> [(line: Int, size: Int)] {
    lines.indices.compactMap { start in
      let line = lines[start]
      guard let first = line.first, first.isLetter || first == "_", line.hasSuffix("{"),
        line.contains("(")
      else { return nil }
      return size(lines, from: start, open: start, indent: "")
    }
  }

  private static func size(
    _ lines: [String], from start: Int, open: Int, indent: String
  ) -> (line: Int, size: Int)? {
    let end = lines[(open + 1)...].firstIndex { $0.hasPrefix(indent + "}") }
    return end.map { (start + 1, $0 - start + 1) }
  }
}
