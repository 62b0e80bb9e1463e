import Checkpoints
import Foundation
import GoldenFixtures
import Messaging
import PaliGemma
import Synchronization
import Tensors
import Testing

@testable import Pipelining

/// A stage's weights from the coordinator's door into a cache.
@Suite struct ModelFetchTests {
  /// What a fetch told.
  final class Log {
    var reports: [WorkerReport] = []
    var progress: [(done: Int, all: Int)] = []
    /// Bytes that came over the wire.
    var received: Int {
      reports.reduce(0) { sum, report in
        if case .fetched(let bytes, _, _) = report { sum + bytes } else { sum }
      }
    }
    /// Of those the ones that other workers gave.
    var fromWorkers: Int {
      reports.reduce(0) { sum, report in
        if case .fetched(_, let bytes, _) = report { sum + bytes } else { sum }
      }
    }
  }

  /// A model of some chunks: the head's table alone has three.
  private static func model(in folder: String) throws -> ModelConfig {
    var config = try #require(SynthesisPreset.named("tiny")).config
    config.text.vocabularyCount = 12_000
    config.imageTokenID = 11_999
    try CheckpointSynthesis(config: config, elementType: .f32, seed: 5).write(to: folder)
    return config
  }

  func assign(
    _ config: ModelConfig, _ blocks: Range<Int>, endpoint: String
  ) -> Assign {
    Assign(
      epoch: 1, modelDirectory: "/nowhere", precision: "f32", stage: 0,
      stages: [StageAssignment(blocks: blocks, workers: [])], resultsEndpoint: "ipc:///r",
      maximumMicroBatches: 1, fingerprint: config.fingerprint, modelEndpoint: endpoint)
  }

  func configuration(_ cache: String, limits: Limits = Limits()) -> WorkerConfiguration {
    var configuration = WorkerConfiguration(
      coordinatorEndpoint: "ipc:///tmp/unused", name: "w", threadCount: 1, limits: limits,
      softwareVersion: "test")
    configuration.cache = ModelCache(directory: cache, isPreferred: true)
    return configuration
  }

  func fetch(
    _ assign: Assign, _ configuration: WorkerConfiguration, _ log: Log = Log(),
    isInterrupted: @escaping () -> Bool = { false }
  ) throws -> ModelFetch.Result {
    let context = try Context()
    let hooks = ModelFetch.Hooks(
      isInterrupted: isInterrupted, progress: { log.progress.append(($0, $1)) },
      report: { log.reports.append($0) })
    return try ModelFetch(assign, configuration, in: context, hooks).run()
  }

  /// Fetches until so many bytes are there, and is interrupted.
  @discardableResult
  func fetchUntil(_ byteCount: Int, _ order: Assign, _ served: Served) -> Log {
    let log = Log()
    #expect(throws: FetchInterrupted.self) {
      try fetch(order, configuration(served.cache), log) {
        (log.progress.last?.done ?? 0) >= byteCount
      }
    }
    return log
  }

  /// A folder, a model in it, and a door that gives it.
  struct Served {
    let folder: String
    let config: ModelConfig
    let door: ModelDoor
    let blocks: Range<Int>
    var cache: String { folder + "/cache" }
    var checkpoint: Checkpoint { get throws { try Checkpoint(directory: folder + "/model") } }
  }

  func serve() throws -> Served {
    let folder = NSTemporaryDirectory() + "palisade-fetch-" + UUID().uuidString.prefix(8)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let config = try Self.model(in: folder + "/model")
    let door = try ModelDoor(
      Coordinator.Configuration(
        endpoint: "", template: .even(visionCount: 1, shardCount: 1, config: config),
        modelDirectory: folder + "/model"), config: config,
      endpoint: temporaryEndpoint("model"), report: { _ in })
    return Served(
      folder: folder, config: config, door: door,
      blocks: config.tokenEmbeddingIndex..<config.blockCount)
  }

  @Test func theBytesAreTheModelsAndComeOnce() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let order = assign(served.config, served.blocks, endpoint: served.door.endpoint)
    let log = Log()
    let first = try fetch(order, configuration(served.cache), log)
    #expect(first.config == served.config)
    let names = try served.checkpoint.tensorNames(of: served.blocks, config: served.config)
    #expect(first.checkpoint.names == names)
    var byteCount = 0
    for name in names {
      let (mine, theirs) = (
        try first.checkpoint.tensor(name), try served.checkpoint.tensor(name)
      )
      #expect(mine.shape == theirs.shape && Frame(tensor: mine) == Frame(tensor: theirs), "\(name)")
      byteCount += mine.byteCount
    }
    #expect(log.received == byteCount && byteCount > 3 << 20)
    #expect(
      log.progress.dropLast().last.map { $0.done == byteCount && $0.all == byteCount } ?? false)
    #expect(log.progress.last.map { $0 == (0, 0) } ?? false)
    // The second time nothing comes, and another cut shares what it has in common.
    let again = Log()
    _ = try fetch(order, configuration(served.cache), again)
    #expect(again.received == 0)
    let all = Log()
    let whole = assign(served.config, 0..<served.config.blockCount, endpoint: served.door.endpoint)
    let checkpoint = try fetch(whole, configuration(served.cache), all).checkpoint
    let rest = try checkpoint.names.reduce(0) { try $0 + checkpoint.entry($1).byteCount }
    #expect(all.received == rest - byteCount)
  }

  /// Interrupted in the middle, as by an order: what has come stays, and is not asked for again.
  @Test func anInterruptedFetchGoesOn() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let order = assign(served.config, served.blocks, endpoint: served.door.endpoint)
    let (first, second) = (fetchUntil(2 << 20, order, served), Log())
    let kept = try #require(first.progress.map(\.done).max())
    _ = try fetch(order, configuration(served.cache), second)
    let all = try #require(second.progress.map(\.all).max())
    #expect(
      kept >= 2 << 20 && second.received == all - kept, "\(kept) \(second.received) of \(all)")
  }

  @Test func aDamagedFileOfTheCacheIsFetchedAgain() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let order = assign(served.config, served.blocks, endpoint: served.door.endpoint)
    _ = try fetch(order, configuration(served.cache))
    let files = try FileManager.default.contentsOfDirectory(atPath: served.cache)
      .filter { $0.hasSuffix(".safetensors") }.sorted()
    let path = served.cache + "/" + files[0]
    var content = try Data(contentsOf: URL(filePath: path))
    let size = try #require(try SafetensorsFile(path: path).entries.values.first).byteCount
    content[content.count - 1] ^= 0x10
    try content.write(to: URL(filePath: path))
    let log = Log()
    _ = try fetch(order, configuration(served.cache), log)
    #expect(log.received == size)
    content[content.count - 1] ^= 0x10
    #expect(try Data(contentsOf: URL(filePath: path)) == content)
  }

  @Test func aCacheThatIsTooSmallSaysSo() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    var small = configuration(served.cache)
    small.cache.byteCountMaximum = 1 << 20
    let order = assign(served.config, served.blocks, endpoint: served.door.endpoint)
    let error = #expect(throws: CheckpointError.self) { try fetch(order, small) }
    #expect("\(try #require(error))".contains("--cache-limit"))
  }

  @Test func anotherModelIsRefused() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    var order = assign(served.config, served.blocks, endpoint: served.door.endpoint)
    order.fingerprint = "f00d"
    let error = #expect(throws: Failure.self) { try fetch(order, configuration(served.cache)) }
    #expect(error?.code == "other_model")
    let blocks = 0..<served.config.blockCount + 1
    let beyond = assign(served.config, blocks, endpoint: served.door.endpoint)
    #expect(throws: Failure.self) { try fetch(beyond, configuration(served.cache)) }
  }

  /// Files of this machine first, unless a cache is wanted; the coordinator where there are none.
  @Test func whereTheWeightsComeFrom() throws {
    let here = Golden.folder.appending(path: "tiny-a/model").path()
    let config = try ModelConfig(directory: here)
    var order = assign(config, 0..<1, endpoint: "ipc:///m")
    var worker = configuration("/c")
    worker.cache.isPreferred = false
    #expect(StageModel.folder(order, worker) == nil)
    order.modelDirectory = here
    #expect(StageModel.folder(order, worker) == here)
    worker.cache.isPreferred = true
    #expect(StageModel.folder(order, worker) == nil)
    worker.modelDirectory = "/mine"
    #expect(StageModel.folder(order, worker) == "/mine")
    (worker.modelDirectory, order.modelEndpoint, order.modelDirectory) = (nil, "", "/theirs")
    #expect(StageModel.folder(order, worker) == "/theirs")
  }

  // MARK: A door that is no good

  /// A door that answers as `answer` says, on a thread of its own, until nothing comes for a while.
  func hostileDoor(
    _ answer: @escaping @Sendable (ModelMessage) throws -> [ModelMessage]
  ) throws -> String {
    let endpoint = temporaryEndpoint("hostile")
    let thread = Thread {
      guard let context = try? Context(), let router = try? Socket(.router, in: context),
        (try? router.bind(endpoint)) != nil
      else { return }
      while let (peer, frames) = try? router.receiveFromPeer(wait: .milliseconds(10_000)) {
        guard let message = try? ModelMessage.decode(frames) else { continue }
        for reply in (try? answer(message)) ?? [] {
          if let frames = try? reply.encode() { try? router.send(frames, to: peer) }
        }
      }
    }
    thread.start()
    return endpoint
  }

  func limits(stall: Int = 30_000) -> Limits {
    var limits = Limits()
    limits.fetchStallMilliseconds = stall
    limits.loadMilliseconds = 4 * stall
    return limits
  }

  private func honest(_ served: Served) -> @Sendable (ModelMessage) -> ModelMessage? {
    let source = Mutex(ModelSource(directory: served.folder + "/model", config: served.config))
    return { message in
      source.withLock { source in
        switch message {
        case .manifestRequest(let request):
          while true {
            if let answer = source.answer(to: request) { return answer }
          }
        case .chunkRequest(let request): return source.answer(to: request)
        default: return nil
        }
      }
    }
  }

  @Test func damagedChunksAreAskedForAgainAndThenStated() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let honest = honest(served)
    let count = Mutex(0)
    let bad: @Sendable (ModelMessage) -> ModelMessage? = { message in
      guard case .chunk(let request, let bytes)? = honest(message) else { return honest(message) }
      var changed = bytes.bytes
      changed[changed.count / 2] ^= 1
      return .chunk(request, Frame(bytes: changed))
    }
    // Twice it is bad, then good.
    let healing = try hostileDoor { message in
      guard case .chunkRequest = message else { return [honest(message)].compactMap { $0 } }
      let number = count.withLock { count in
        count += 1
        return count
      }
      return [number <= 2 ? bad(message) : honest(message)].compactMap { $0 }
    }
    let order = assign(served.config, served.blocks, endpoint: healing)
    _ = try fetch(order, configuration(served.cache, limits: limits()))
    let never = try hostileDoor { [bad($0)].compactMap { $0 } }
    let error = #expect(throws: Failure.self) {
      try fetch(
        assign(served.config, served.blocks, endpoint: never),
        configuration(served.folder + "/other", limits: limits()))
    }
    #expect(error?.code == "fetch_damaged")
    // Nothing of it was kept.
    let kept = try FileManager.default.contentsOfDirectory(atPath: served.folder + "/other")
    #expect(!kept.contains { $0.hasSuffix(".safetensors") })
  }

  /// Chunks that nobody asked for, in another order, twice, or not at all.
  @Test func strayLateAndLostChunksDoNoHarm() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let honest = honest(served)
    let seen = Mutex<(held: [ModelMessage], count: Int)>(([], 0))
    let endpoint = try hostileDoor { message in
      guard let answer = honest(message), case .chunk = answer else {
        return [honest(message)].compactMap { $0 }
      }
      let stray = ModelMessage.chunk(
        ChunkRequest(tensor: [UInt8](repeating: 9, count: 32), chunk: 4), Frame(bytes: [1, 2]))
      return seen.withLock { seen in
        seen.count += 1
        // The third is lost once; others come in pairs, the later first, one of them twice.
        if seen.count == 3 { return [stray] }
        seen.held.append(answer)
        guard seen.held.count == 2 || seen.count > 12 else { return [] }
        defer { seen.held = [] }
        return [stray] + seen.held.reversed() + [seen.held[0]]
      }
    }
    let log = Log()
    let order = assign(served.config, served.blocks, endpoint: endpoint)
    let checkpoint = try fetch(
      order, configuration(served.cache, limits: limits(stall: 1000)), log
    ).checkpoint
    for name in checkpoint.names {
      let (mine, theirs) = (try checkpoint.tensor(name), try served.checkpoint.tensor(name))
      #expect(Frame(tensor: mine) == Frame(tensor: theirs), "\(name)")
    }
  }

  @Test func aSilentDoorIsGivenUp() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let honest = honest(served)
    let endpoint = try hostileDoor { message in
      if case .chunkRequest = message { [] } else { [honest(message)].compactMap { $0 } }
    }
    for endpoint in [endpoint, temporaryEndpoint("nobody")] {
      let error = #expect(throws: Failure.self) {
        try fetch(
          assign(served.config, served.blocks, endpoint: endpoint),
          configuration(served.cache, limits: limits(stall: 200)))
      }
      #expect(error?.code == "fetch_stalled")
    }
  }

  /// A manifest that says other things than its order, or nonsense.
  @Test func aManifestIsNotBelieved() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let honest = honest(served)
    func error(_ change: @escaping @Sendable (inout Manifest) -> Void) throws -> (any Error)? {
      let endpoint = try hostileDoor { message in
        guard case .manifest(var manifest)? = honest(message) else { return [] }
        change(&manifest)
        return [.manifest(manifest)]
      }
      do {
        _ = try fetch(
          assign(served.config, served.blocks, endpoint: endpoint),
          configuration(served.cache, limits: limits(stall: 1000)))
        return nil
      } catch { return error }
    }
    #expect(try error { $0.configuration = Array("{}".utf8) } is ModelError)
    #expect(try error { $0.configuration = [] } is ModelError)
    let small = try ModelConfig(directory: Golden.folder.appending(path: "tiny-b/model").path())
    let other = small.hubFiles(elementType: .f32)[0].content
    #expect((try error { $0.configuration = [UInt8](other) } as? Failure)?.code == "other_model")
    // Tensors of sizes that nobody has room for.
    #expect(
      try error {
        $0.tensors[0].shape = [100_000 << 20]
        $0.tensors[0].elementType = .u8
        $0.tensors[0].hashes = [UInt8](repeating: 1, count: 100_000 * 32)
      } is CheckpointError)
    #expect((try error { $0.blocks = 0..<1 } as? Failure)?.code == "fetch_stalled")
  }
}
