import Logging
import Messaging

/// What all routes share.
final class ServiceCore: Sendable {
  let configuration: HTTPConfiguration
  let backend: HTTPBackend
  let gate: RequestGate
  let registry = RequestRegistry()
  let metrics = ServiceMetrics()
  let pacer = StreamPacer()
  /// Files and batches; nil where no folder was given for them.
  let files: FileStore?
  let batches: BatchQueue?
  /// Videos under way.
  let videos: VideoStreams
  let logger: Logger

  var limits: HTTPLimits { configuration.limits }

  init(
    configuration: HTTPConfiguration, backend: HTTPBackend, logger: Logger
  ) throws(Failure) {
    self.configuration = configuration
    self.backend = backend
    self.logger = logger
    gate = RequestGate(limits: configuration.limits)
    videos = VideoStreams(limits: configuration.limits)
    guard let folder = configuration.filesDirectory else {
      (files, batches) = (nil, nil)
      return
    }
    let store = try FileStore(folder: folder, limits: configuration.limits)
    files = store
    batches = try BatchQueue(files: store, limits: configuration.limits, logger: logger) {
      try await $0.run(backend, patience: configuration.limits.batchSeconds)
    }
  }

  /// Begins what goes on beside requests.
  func start() async { await batches?.start() }

  /// Ends it.
  func stop() async {
    await videos.stop()
    await batches?.stop()
  }
}
