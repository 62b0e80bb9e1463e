import Foundation

/// Takes secrets out of text: what stands before `@` in a URL, and the values of its query.
enum Redaction {
  /// The URL with `***` for user and password, and for each value of the query; the fragment is cut off.
  static func url(_ text: String) -> String {
    guard let schemeEnd = text.range(of: "://")?.upperBound else { return text }
    var rest = text[schemeEnd...].prefix { $0 != "#" }
    let query = rest.firstIndex(of: "?").map { rest[rest.index(after: $0)...] }
    rest = rest.prefix { $0 != "?" }
    // A careless password may hold `@` or `/`, so the last `@` counts wherever there can be a password.
    let authority = rest.prefix { $0 != "/" }
    let port = authority.split(separator: "]").last?.split(separator: ":").dropFirst().last
    let isSuspect = authority.contains("@") || port.map { Int($0) == nil } ?? false
    if isSuspect, let at = rest.lastIndex(of: "@") { rest = "***" + rest[at...] }
    let pairs = query?.split(separator: "&").map { pair in
      pair.contains("=") ? pair.prefix { $0 != "=" } + "=***" : "***"
    }
    return text[..<schemeEnd] + rest + (pairs.map { "?" + $0.joined(separator: "&") } ?? "")
  }

  /// The secrets of a URL that could turn up apart from it, as written and decoded; longest first.
  static func secrets(of url: String) -> [String] {
    guard let parts = URLComponents(string: url) else { return [] }
    let written =
      [parts.percentEncodedUser, parts.percentEncodedPassword]
      + (parts.percentEncodedQueryItems ?? []).map(\.value)
    let decoded = [parts.user, parts.password] + (parts.queryItems ?? []).map(\.value)
    // Shorter ones are in ordinary words and numbers too, and no secrets.
    let all = Set((written + decoded).compactMap { $0 }.filter { $0.utf8.count >= 4 })
    return all.sorted { ($0.utf8.count, $0) > ($1.utf8.count, $1) }
  }

  /// Somebody else's text about a source: its own address, its secrets, and every other URL in it.
  static func text(_ text: String, source: VideoSource) -> String {
    var clean = text
    if VideoProtocol.network.contains(source.kind) {
      clean = clean.replacingOccurrences(of: source.address, with: source.name)
    }
    clean = clean.split(separator: " ", omittingEmptySubsequences: false).map { word in
      word.contains("://") ? url(String(word)) : String(word)
    }.joined(separator: " ")
    guard VideoProtocol.network.contains(source.kind) else { return clean }
    for secret in secrets(of: source.address) {
      clean = clean.replacingOccurrences(of: secret, with: "***")
    }
    return clean
  }
}
