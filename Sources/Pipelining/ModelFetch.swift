import Checkpoints
import Foundation
import Messaging
import PaliGemma
import Tensors

/// Fetching was given up because the worker was told something: it goes on when it is ordered again.
struct FetchInterrupted: Error {}

/// Gets the weights of one stage into the cache: asks the coordinator what there is, looks at what the
/// cache has of it, and asks for the rest, some chunks at a time: other workers that have them, else the
/// coordinator. Owned by the worker's thread.
final class ModelFetch {
  /// What it tells while it goes on.
  struct Hooks {
    /// Whether there is something else to do.
    var isInterrupted: () -> Bool
    /// Bytes that are there, and all bytes; 0 and 0 in the end.
    var progress: (_ done: Int, _ all: Int) -> Void
    var report: (WorkerReport) -> Void
  }

  private let assign: Assign
  private let cache: TensorCache
  private let limits: Limits
  private let hooks: Hooks
  private let connect: () throws(MessagingError) -> Socket
  private let connectOthers: (ManifestRequest, [SharedTensor]) -> OtherWorkers
  private var socket: Socket
  private var others: OtherWorkers?
  /// Bytes that are there, all bytes, those that came over the wire, and those of them that came from
  /// other workers.
  private var (done, all, received, receivedFromOthers) = (0, 0, 0, 0)
  /// Tensors whose chunks are being asked for, in order, with the next chunk of each.
  private var open: [(writer: TensorCacheWriter, next: Int)] = []
  private var missing: ArraySlice<SharedTensor> = []
  /// What was asked for, in order, and of that what came before its turn.
  private var asked: [ChunkRequest] = []
  private var early: [ChunkRequest: Frame] = [:]
  private var damaged: [ChunkRequest: Int] = [:]

  init(
    _ assign: Assign, _ configuration: WorkerConfiguration, in context: Context, _ hooks: Hooks
  ) throws {
    self.assign = assign
    self.hooks = hooks
    limits = configuration.limits
    cache = try TensorCache(
      directory: configuration.cache.directory,
      byteCountMaximum: configuration.cache.byteCountMaximum)
    var options = SocketOptions()
    options.isImmediate = false
    options.lingerMilliseconds = 0
    options.limits = .model
    options.receiveHighWaterMark = 2 * limits.chunksInFlight
    let protected = configuration.links.toCoordinator(options)
    let endpoint = Endpoints.reachable(
      assign.modelEndpoint, asSeenFrom: configuration.coordinatorEndpoint)
    let connect = { () throws(MessagingError) -> Socket in
      let socket = try Socket(.dealer, in: context, options: protected)
      try socket.connect(endpoint)
      return socket
    }
    self.connect = connect
    connectOthers = { request, tensors in
      OtherWorkers(assign.weightSources, request, tensors, options, configuration, in: context)
    }
    socket = try connect()
  }

  /// What has come.
  struct Result {
    let config: ModelConfig
    let checkpoint: Checkpoint
    let lease: TensorLease
    /// The same for others.
    let source: ModelSource
  }

  /// - Throws: `FetchInterrupted`, or why the weights can't be had.
  func run() throws -> Result {
    defer { hooks.progress(0, 0) }
    let start = Clock.milliseconds
    let manifest = try askForManifest()
    let config = try ModelConfig(
      configuration: Data(manifest.configuration),
      generation: manifest.generation.isEmpty ? nil : Data(manifest.generation),
      path: "the coordinator's config.json")
    let tensors = try Self.tensors(of: manifest)
    guard config.fingerprint == assign.fingerprint else {
      throw Failure(
        code: "other_model", message: "the coordinator gives another model than it ordered")
    }
    let lease = try cache.reserve(tensors)
    all = tensors.reduce(0) { $0 + $1.byteCount }
    missing = try tensors.filter { try !isCached($0) }[...]
    hooks.report(.fetching(byteCount: all, cached: done, directory: cache.directory))
    if !missing.isEmpty { try greetOthers(tensors) }
    try fetch()
    hooks.report(
      .fetched(
        byteCount: received, fromWorkers: receivedFromOthers,
        milliseconds: Clock.milliseconds - start))
    let checkpoint = cache.checkpoint(tensors)
    return Result(
      config: config, checkpoint: checkpoint, lease: lease,
      source: ModelSource(config: config, cache: checkpoint, tensors: tensors, by: manifest))
  }

  static func tensors(of manifest: Manifest) throws(Failure) -> [SharedTensor] {
    var tensors: [SharedTensor] = []
    for entry in manifest.tensors {
      let size = ContentHash.byteCount
      let chunks = stride(from: 0, to: entry.hashes.count, by: size).compactMap {
        ContentHash(Array(entry.hashes[$0..<min(entry.hashes.count, $0 + size)]))
      }
      guard
        let tensor = SharedTensor(
          name: entry.name, elementType: entry.elementType, shape: entry.shape,
          notes: manifest.notes, chunks: chunks)
      else {
        throw Failure(
          code: "bad_manifest", message: "a manifest says nonsense of '\(entry.name)'")
      }
      tensors.append(tensor)
    }
    return tensors
  }

  private func isCached(_ tensor: SharedTensor) throws -> Bool {
    let before = done
    let isThere = try cache.holds(tensor) { byteCount in
      try take(byteCount)
    }
    if !isThere { done = before }
    return isThere
  }

  /// Takes note of bytes that are there, and of orders.
  private func take(_ byteCount: Int) throws {
    done += byteCount
    hooks.progress(done, all)
    if hooks.isInterrupted() { throw FetchInterrupted() }
  }

  // MARK: Asking

  private var manifestRequest: ManifestRequest {
    ManifestRequest(fingerprint: assign.fingerprint, blocks: assign.stages[assign.stage].blocks)
  }

  /// Gives other workers a moment to say what they have; who needs longer is asked when it has.
  private func greetOthers(_ tensors: [SharedTensor]) throws {
    guard !assign.weightSources.isEmpty else { return }
    let others = connectOthers(manifestRequest, tensors)
    self.others = others
    let end = Clock.milliseconds + limits.sourceGreetingMilliseconds
    while others.areExpected, Clock.milliseconds < end {
      if hooks.isInterrupted() { throw FetchInterrupted() }
      var poller = Poller()
      others.wait(in: &poller)
      _ = try poller.wait(.milliseconds(20))
      while others.next() != nil {}
    }
  }

  private func askForManifest() throws -> Manifest {
    let request = ModelMessage.manifestRequest(manifestRequest)
    try socket.send(request.encode())
    // It may have to read all of the weights first.
    for _ in 0..<max(1, limits.loadMilliseconds / limits.fetchStallMilliseconds) {
      guard let message = try receive() else {
        socket = try connect()
        try socket.send(request.encode())
        continue
      }
      if case .manifest(let manifest) = message,
        manifest.blocks == assign.stages[assign.stage].blocks
      {
        return manifest
      }
    }
    throw silent
  }

  private var silent: Failure {
    Failure(
      code: "fetch_stalled",
      message: "no weights come from \(assign.modelEndpoint), though this worker asked "
        + "\(limits.fetchAttempts) times; check that this machine reaches that port of the "
        + "coordinator, or give the worker the model's folder with --model")
  }

  /// The next message; nil when none came for so long that the connection is to be made anew.
  private func receive() throws -> ModelMessage? {
    let deadline = Clock.milliseconds + limits.fetchStallMilliseconds
    while Clock.milliseconds < deadline {
      if hooks.isInterrupted() { throw FetchInterrupted() }
      if let message = try receiveFromOthers() { return message }
      guard let frames = try socket.receive() else {
        var poller = Poller()
        _ = poller.add(socket)
        others?.wait(in: &poller)
        _ = try poller.wait(.milliseconds(50))
        continue
      }
      let message = try ModelMessage.decode(frames)
      if case .refusal(let failure) = message {
        // Another coordinator than the one that gave the manifest; its order is on its way.
        if failure.code == ModelSource.unknownTensor { throw FetchInterrupted() }
        throw failure
      }
      return message
    }
    return nil
  }

  /// A chunk of another worker's; what others don't give is asked for elsewhere.
  private func receiveFromOthers() throws -> ModelMessage? {
    while let event = others?.next() {
      switch event {
      case .chunk(let request, let bytes):
        receivedFromOthers += bytes.byteCount
        return .chunk(request, bytes)
      case .lost(let requests): for request in requests { try send(request) }
      }
    }
    return nil
  }

  private func fetch() throws {
    var silences = 0
    try ask()
    while !asked.isEmpty {
      guard let message = try receive() else {
        silences += 1
        guard silences < limits.fetchAttempts else { throw silent }
        // What was under way is lost with the connection, except what has come.
        socket = try connect()
        for request in asked where early[request] == nil { try send(request) }
        continue
      }
      guard case .chunk(let request, let bytes) = message, asked.contains(request) else { continue }
      silences = 0
      received += bytes.byteCount
      early[request] = bytes
      try keepWhatIsInOrder()
      try ask()
    }
  }

  private func send(_ request: ChunkRequest) throws {
    if others?.ask(request) ?? false { return }
    try socket.send(ModelMessage.chunkRequest(request).encode(), wait: .milliseconds(5000))
  }

  /// Keeps as many chunks under way as may be.
  private func ask() throws {
    while asked.count < limits.chunksInFlight {
      if let last = open.indices.last, open[last].next < open[last].writer.tensor.chunks.count {
        let request = ChunkRequest(
          tensor: open[last].writer.tensor.hash.bytes, chunk: open[last].next)
        open[last].next += 1
        asked.append(request)
        try send(request)
        continue
      }
      guard let tensor = missing.popFirst() else { return }
      let writer = try cache.writer(tensor)
      // What an earlier life of this worker has left.
      for chunk in 0..<writer.chunkCount { try take(tensor.range(ofChunk: chunk).count) }
      if writer.isWhole {
        try writer.finish()
      } else {
        open.append((writer, writer.chunkCount))
      }
    }
  }

  private func keepWhatIsInOrder() throws {
    while let request = asked.first, let bytes = early.removeValue(forKey: request),
      let writer = open.first?.writer
    {
      let isSound = try bytes.withBytes { bytes throws(CheckpointError) in
        try writer.append(bytes)
      }
      guard isSound else {
        damaged[request, default: 0] += 1
        guard damaged[request, default: 0] < limits.fetchAttempts else {
          throw Failure(
            code: "fetch_damaged",
            message: "a chunk of '\(writer.tensor.name)' came \(limits.fetchAttempts) times with "
              + "other bytes than its hash says; start the coordinator again if its model's files "
              + "have changed, else check memory and disk there")
        }
        return try send(request)
      }
      asked.removeFirst()
      try take(bytes.byteCount)
      if writer.isWhole {
        try writer.finish()
        open.removeFirst()
      }
    }
  }
}
