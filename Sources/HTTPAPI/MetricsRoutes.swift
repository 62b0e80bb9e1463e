import HTTPTypes
import Hummingbird

/// `GET /metrics`: what Prometheus collects.
func addMetricsRoutes(to router: HTTPRouter, _ core: ServiceCore) {
  router.get("/metrics") { _, _ in
    var text = MetricsText()
    core.metrics.write(to: &text)
    let load = core.gate.current
    text.single(
      "palisade_http_requests_under_way", "gauge", "Answers under way over HTTP.",
      Double(load.requests))
    text.single(
      "palisade_http_bodies_bytes", "gauge", "Bytes of request bodies held.",
      Double(load.bodyByteCount))
    core.videos.metrics.write(to: &text, streams: await core.videos.all)
    await core.backend.status().write(to: &text)
    return Response(
      status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text.text)))
  }
}

/// Counts responses by route; the outermost layer, so that it sees what clients see.
struct MetricsMiddleware: RouterMiddleware {
  typealias Context = HTTPContext
  let metrics: ServiceMetrics

  func handle(
    _ request: Request, context: HTTPContext,
    next: (Request, HTTPContext) async throws -> Response
  ) async throws -> Response {
    let start = ContinuousClock.now
    let response = try await next(request, context)
    // The route's pattern, not the path: paths are the clients' choice, and without end.
    metrics.count(
      route: context.endpointPath ?? "none", method: Self.method(request.method),
      status: response.status.code, seconds: (ContinuousClock.now - start) / .seconds(1))
    return response
  }

  /// Methods are the clients' choice too.
  private static func method(_ method: HTTPRequest.Method) -> String {
    [.get, .head, .post, .delete, .options].contains(method) ? method.rawValue : "other"
  }
}
