import Foundation
import HTTPTypes
import Hummingbird
import Messaging
import NIOCore
import Pipelining

/// The dashboard at `/`, and what it reads: `/v1/cluster`, `/v1/cluster/history`, `/v1/cluster/trace`.
func addDashboardRoutes(to router: HTTPRouter, _ core: ServiceCore) {
  for file in DashboardFile.all {
    router.get(RouterPath(file.path)) { request, _ in file.response(to: request) }
  }
  router.get("/v1/cluster") { _, _ in
    let status = await core.backend.status()
    return try Response.document(
      ClusterDocument(model: core.backend.model, status: StatusDocument(status)))
  }
  guard let telemetry = core.backend.telemetry else { return }
  router.get("/v1/cluster/history") { request, _ in
    let seconds = try request.number("seconds", in: 1...600, orElse: 300)
    return try Response.document(HistoryDocument(telemetry.history(seconds: seconds)))
  }
  router.get("/v1/cluster/trace") { request, _ in
    let count = try request.number(
      "count", in: 1...MessageLimits.traceSpanCount, orElse: MessageLimits.traceSpanCount)
    switch request.uri.queryParameters["format"].map(String.init) {
    case "chrome":
      return Response.json(try ChromeTrace.json(telemetry.trace(spanCount: count)))
    case nil:
      let cursor = try request.number("after", in: 0...Int.max, orElse: 0)
      let (trace, next) = telemetry.trace(after: UInt64(cursor), spanCount: count)
      return try Response.document(TraceDocument(trace, cursor: next))
    default:
      throw APIError.invalid("is \"chrome\", or left out", parameter: "format")
    }
  }
}

extension Request {
  /// A number among the query's parameters.
  ///
  /// - Throws: 400 when it is none, or out of range.
  fileprivate func number(
    _ name: String, in range: ClosedRange<Int>, orElse standard: Int
  ) throws -> Int {
    guard let text = uri.queryParameters[Substring(name)] else { return standard }
    guard let value = Int(text), range.contains(value) else {
      throw APIError.invalid(
        "must be a number from \(range.lowerBound) to \(range.upperBound)", parameter: name)
    }
    return value
  }
}

extension Response {
  /// A document as JSON; it is never the same twice, so nobody keeps it.
  fileprivate static func document(_ document: some Encodable) throws -> Response {
    json(try JSONEncoder().encode(document))
  }

  fileprivate static func json(_ data: Data) -> Response {
    Response(
      status: .ok, headers: [.contentType: "application/json", .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
  }
}

/// One file of the page, in the binary itself: it survives being moved to another machine.
struct DashboardFile: Sendable {
  let path: String
  let type: String
  let bytes: [UInt8]
  /// Changes with the content, so that a browser asks and needn't load again.
  let tag: String

  private init(_ path: String, _ type: String, _ bytes: [UInt8]) {
    (self.path, self.type, self.bytes) = (path, type, bytes)
    // FNV-1a: tells one release's file from another's; it guards nothing.
    let start: UInt64 = 0xcbf2_9ce4_8422_2325
    let hash = bytes.reduce(start) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    tag = "\"\(String(hash, radix: 16))\""
  }

  static let all = [
    DashboardFile("/", "text/html; charset=utf-8", PackageResources.page_html),
    DashboardFile("/dashboard/style.css", "text/css", PackageResources.style_css),
    DashboardFile("/dashboard/app.js", "text/javascript", PackageResources.app_js),
    DashboardFile("/dashboard/charts.js", "text/javascript", PackageResources.charts_js),
    DashboardFile("/dashboard/format.js", "text/javascript", PackageResources.format_js),
    DashboardFile("/dashboard/timeline.js", "text/javascript", PackageResources.timeline_js),
    DashboardFile("/dashboard/try.js", "text/javascript", PackageResources.try_js),
    DashboardFile("/dashboard/videos.js", "text/javascript", PackageResources.videos_js),
  ]

  /// Own scripts and styles only, nothing inline, no frames: what came from elsewhere can't run.
  private static let policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    + "img-src 'self' data: blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

  func response(to request: Request) -> Response {
    var headers: HTTPFields = [
      .contentType: type, .cacheControl: "no-cache", .eTag: tag,
      .contentSecurityPolicy: Self.policy, .xContentTypeOptions: "nosniff",
    ]
    headers[.init("Referrer-Policy") ?? .referer] = "no-referrer"
    if request.headers[.ifNoneMatch] == tag {
      return Response(status: .notModified, headers: headers)
    }
    return Response(
      status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }
}
