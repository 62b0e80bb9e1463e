import Hummingbird
import Jobs
import Messaging
import Pipelining

/// `/healthz` (the process answers) and `/readyz` (so does the model).
func addHealthRoutes(to router: HTTPRouter, _ core: ServiceCore) {
  router.get("/healthz") { _, _ in Response.json(.object(["status": .string("ok")])) }
  router.get("/readyz") { _, _ in
    let status = await core.backend.status()
    let isReady = status.isReady
    var response = Response.json(
      .object(["status": .string(status.state), "message": .string(status.message)]),
      status: isReady ? .ok : .serviceUnavailable)
    if !isReady { response.headers[.retryAfter] = String(core.limits.retryAfterSeconds) }
    return response
  }
}

extension Status {
  /// Whether requests are answered.
  var isReady: Bool { state == ClusterState.Phase.ready.rawValue }
}
