import Foundation
import HTTPTypes
import Hummingbird

/// The one door: every route but health asks for a key, and refuses other sites' pages.
///
/// A key comes as `Authorization: Bearer KEY`, as OpenAI's clients send it, or as the password of HTTP
/// Basic, which browsers ask for by themselves. Without keys the server is on loopback, where the
/// danger is a web page that the user visits: its requests bear a foreign `Origin`, or, after DNS
/// rebinding, a foreign `Host`.
struct AuthMiddleware: RouterMiddleware {
  typealias Context = HTTPContext
  let keys: APIKeys?
  /// Whether only names of this machine are taken as `Host`.
  let isLoopbackOnly: Bool
  /// Open to everybody: they say nothing but whether the server is well.
  static let openPaths: Set = ["/healthz", "/readyz"]

  func handle(
    _ request: Request, context: HTTPContext,
    next: (Request, HTTPContext) async throws -> Response
  ) async throws -> Response {
    if Self.openPaths.contains(request.uri.path) { return try await next(request, context) }
    try checkSite(request)
    if let keys {
      guard let key = Self.key(in: request.headers[.authorization]), keys.contains(key) else {
        var response = APIError(
          .unauthorized, code: "invalid_api_key",
          message: "give an API key of this server as \"Authorization: Bearer KEY\""
        ).response
        response.headers[.wwwAuthenticate] = #"Basic realm="palisade", charset="UTF-8""#
        return response
      }
    }
    return try await next(request, context)
  }

  private func checkSite(_ request: Request) throws(APIError) {
    let authority = request.head.authority ?? ""
    if let origin = request.headers[.origin] {
      let site = origin.drop { $0 != "/" }.drop { $0 == "/" }
      guard !site.isEmpty, site.lowercased() == authority.lowercased() else {
        throw APIError(
          .forbidden, code: "foreign_origin",
          message: "pages of other sites may not ask this server")
      }
    }
    guard keys == nil, isLoopbackOnly, !authority.isEmpty else { return }
    let host = Self.host(of: authority)
    guard host == "localhost" || host == "::1" || host.hasPrefix("127.") else {
      throw APIError(
        .forbidden, code: "foreign_host",
        message: "a server without keys answers only to localhost; start it with --api-key-file")
    }
  }

  /// `localhost:8080` → `localhost`, `[::1]:8080` → `::1`.
  static func host(of authority: String) -> String {
    if authority.hasPrefix("[") { return String(authority.dropFirst().prefix { $0 != "]" }) }
    return authority.prefix { $0 != ":" }.lowercased()
  }

  /// The key in a header's value.
  static func key(in header: String?) -> String? {
    guard let header, let space = header.firstIndex(of: " ") else { return nil }
    let value = header[header.index(after: space)...].trimmingCharacters(in: .whitespaces)
    switch header[..<space].lowercased() {
    case "bearer": return value
    case "basic":
      guard let data = Data(base64Encoded: value), let text = String(data: data, encoding: .utf8),
        let colon = text.firstIndex(of: ":")
      else { return nil }
      return String(text[text.index(after: colon)...])
    default: return nil
    }
  }
}
