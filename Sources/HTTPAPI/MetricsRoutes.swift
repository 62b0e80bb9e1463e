import HTTPTypes
import Hummingbird
import Messaging

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
    await core.backend.status().write(to: &text)
    return Response(
      status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text.text)))
  }
}

extension Status {
  /// The cluster's own figures.
  func write(to text: inout MetricsText) {
    text.single("palisade_ready", "gauge", "1 when requests are answered.", isReady ? 1 : 0)
    func perStage(
      _ name: String, _ type: String, _ help: String, _ value: (StageStatus) -> Double
    ) {
      text.family(name, type, help)
      for stage in stages {
        text.sample(name, [("stage", stage.name), ("worker", stage.worker)], value(stage))
      }
    }
    perStage("palisade_stage_busy_share", "gauge", "Share of the time spent computing.") {
      $0.busyShare
    }
    perStage("palisade_stage_micro_batches_total", "counter", "Micro-batches computed.") {
      Double($0.microBatches)
    }
    perStage("palisade_stage_received_bytes_total", "counter", "Bytes received from stages.") {
      Double($0.receivedBytes)
    }
    perStage("palisade_stage_sent_bytes_total", "counter", "Bytes sent to stages.") {
      Double($0.sentBytes)
    }
    // A stage idles while it waits for the slowest: what is left to gain by a better cut.
    if let most = stages.map(\.busyShare).max(), most > 0 {
      let mean = stages.map(\.busyShare).reduce(0, +) / Double(stages.count)
      text.single(
        "palisade_bubble_share", "gauge",
        "1 - mean busy share over the busiest stage's: idle time that an even cut would fill.",
        1 - mean / most)
    }
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
