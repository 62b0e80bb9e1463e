import Hummingbird

/// All routes of the service, behind its layers.
enum HTTPRoutes {
  /// The router: metrics see every response, errors get OpenAI's shape, and nothing but health is open
  /// to clients without a key.
  static func router(_ core: ServiceCore) -> HTTPRouter {
    let router = HTTPRouter(context: HTTPContext.self, options: .autoGenerateHeadEndpoints)
    // Each layer wraps those added after it.
    router.add(middleware: MetricsMiddleware(metrics: core.metrics))
    router.add(middleware: ErrorMiddleware(limits: core.limits))
    router.add(
      middleware: AuthMiddleware(
        keys: core.configuration.keys, isLoopbackOnly: core.configuration.isLoopback))
    addHealthRoutes(to: router, core)
    addMetricsRoutes(to: router, core)
    addModelRoutes(to: router, core)
    addCompletionRoutes(to: router, core)
    if let files = core.files { addFileRoutes(to: router, core, files) }
    if let batches = core.batches { addBatchRoutes(to: router, core, batches) }
    addVideoRoutes(to: router, core)
    addDashboardRoutes(to: router, core)
    return router
  }
}
