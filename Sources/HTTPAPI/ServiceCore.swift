import Logging
import Messaging

/// What all routes share.
final class ServiceCore: Sendable {
  let configuration: HTTPConfiguration
  let backend: HTTPBackend
  let gate: RequestGate
  let registry = RequestRegistry()
  let metrics = ServiceMetrics()
  let logger: Logger

  var limits: HTTPLimits { configuration.limits }

  init(
    configuration: HTTPConfiguration, backend: HTTPBackend, logger: Logger
  ) throws(Failure) {
    self.configuration = configuration
    self.backend = backend
    self.logger = logger
    gate = RequestGate(limits: configuration.limits)
  }

  /// Begins what goes on beside requests.
  func start() {}

  /// Ends it.
  func stop() async {}
}
