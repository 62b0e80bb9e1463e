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

/// One figure of every stage.
private struct StageFigure {
  let name: String
  let type: String
  let help: String
  let value: @Sendable (StageStatus) -> Double

  static let all = [
    StageFigure(
      name: "busy_share", type: "gauge", help: "Share of the last seconds spent computing."
    ) { $0.recentBusyShare },
    StageFigure(
      name: "bubble_share", type: "gauge",
      help: "Share of the last seconds with requests under way in which it computed nothing."
    ) { $0.bubbleShare },
    StageFigure(name: "queue_length", type: "gauge", help: "Micro-batches that wait.") {
      Double($0.gauges.queueLength)
    },
    StageFigure(name: "resident_bytes", type: "gauge", help: "Memory of its process.") {
      Double($0.gauges.residentBytes)
    },
    StageFigure(name: "kv_caches", type: "gauge", help: "KV caches held.") {
      Double($0.gauges.cacheCount)
    },
    StageFigure(name: "kv_cache_bytes", type: "gauge", help: "Bytes of KV caches.") {
      Double($0.gauges.cacheBytes)
    },
    StageFigure(name: "micro_batches_total", type: "counter", help: "Micro-batches computed.") {
      Double($0.microBatches)
    },
    StageFigure(name: "received_bytes_total", type: "counter", help: "Bytes from stages.") {
      Double($0.receivedBytes)
    },
    StageFigure(name: "sent_bytes_total", type: "counter", help: "Bytes to stages.") {
      Double($0.sentBytes)
    },
    StageFigure(
      name: "vision_cache_hits_total", type: "counter",
      help: "Pictures whose rows were there already."
    ) { Double($0.counters.visionCacheHits) },
    StageFigure(
      name: "vision_cache_misses_total", type: "counter", help: "Pictures computed."
    ) { Double($0.counters.visionCacheMisses) },
    StageFigure(
      name: "vision_cache_bytes", type: "gauge", help: "Bytes of rows of pictures seen before."
    ) { Double($0.gauges.visionCacheBytes) },
  ]
}

extension Status {
  /// The cluster's own figures.
  func write(to text: inout MetricsText) {
    text.single("palisade_ready", "gauge", "1 when requests are answered.", isReady ? 1 : 0)
    for figure in StageFigure.all {
      let name = "palisade_stage_" + figure.name
      text.family(name, figure.type, figure.help)
      for stage in stages {
        text.sample(
          name, [("stage", stage.name), ("worker", stage.worker)], figure.value(stage))
      }
    }
    text.single(
      "palisade_requests_waiting", "gauge", "Requests that wait to be let into the pipeline.",
      Double(service.waiting))
    text.single(
      "palisade_requests_in_flight", "gauge", "Requests in the pipeline.",
      Double(service.inFlight))
    text.single(
      "palisade_generated_tokens_total", "counter", "Tokens generated for all clients.",
      Double(service.tokens))
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
