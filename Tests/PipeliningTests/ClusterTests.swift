import Checkpoints
import Foundation
import GoldenFixtures
import Messaging
import PaliGemma
import Synchronization
import Tensors
import Testing

@testable import Pipelining

/// Coordinator and workers over real sockets, each worker on a thread of its own.
@Suite struct ClusterTests {
  /// A worker on its own thread, and how it ended.
  final class WorkerThread: Sendable {
    private let stopping = Mutex<Worker.StopHandle?>(nil)
    let end: AsyncStream<Failure?>

    init(_ configuration: WorkerConfiguration) {
      let (end, sink) = AsyncStream<Failure?>.makeStream()
      self.end = end
      let thread = Thread { [self] in
        do {
          let worker = try Worker(configuration) { _ in }
          stopping.withLock { $0 = worker.stopHandle }
          try worker.run()
          sink.yield(nil)
        } catch { sink.yield((error as? Failure) ?? Failure(code: "other", message: "\(error)")) }
        sink.finish()
      }
      thread.start()
    }

    func stop() { stopping.withLock { $0?.stop() } }
    /// How it ended: nil in peace.
    func ended() async -> Failure? {
      for await failure in end { return failure }
      return Failure(code: "test", message: "no end")
    }
  }

  struct Cluster {
    let coordinator: Coordinator
    let workers: [WorkerThread]
  }

  static func start(
    _ golden: Golden, template: ClusterTemplate, endpoint: String,
    precision: Precision = .f32, limits: Limits = Limits()
  ) async throws -> Cluster {
    let configuration = Coordinator.Configuration(
      endpoint: endpoint, template: template, modelDirectory: golden.checkpoint.directory,
      precision: precision, limits: limits)
    let coordinator = try await Coordinator.start(configuration, config: golden.config)
    let workers = (0..<template.workerCount).map { index in
      WorkerThread(
        WorkerConfiguration(
          coordinatorEndpoint: coordinator.endpoint, name: "w\(index)", threadCount: 1,
          limits: limits, softwareVersion: "test"))
    }
    return Cluster(coordinator: coordinator, workers: workers)
  }

  @Test(arguments: ["ipc", "tcp"], [(1, 1), (1, 2), (2, 3)])
  func processesGiveTheBitsOfOneModel(_ transport: String, _ size: (Int, Int)) async throws {
    let golden = try Golden("tiny-a")
    let cluster = try await Self.start(
      golden, template: .even(visionCount: size.0, shardCount: size.1, config: golden.config),
      endpoint: transport == "ipc" ? temporaryEndpoint("c") : "tcp://127.0.0.1:*")
    let expected = try golden.expected()
    let actual = try await golden.completions(from: cluster.coordinator, times: 4)
    for (index, completion) in actual.enumerated() {
      #expect(isSame(completion, expected[index % expected.count]), "request \(index)")
    }
    cluster.coordinator.stop()
    for worker in cluster.workers { #expect(await worker.ended() == nil) }
  }

  @Test func processesInInt8() async throws {
    let golden = try Golden("tiny-a")
    let cluster = try await Self.start(
      golden, template: .even(visionCount: 2, shardCount: 2, config: golden.config),
      endpoint: temporaryEndpoint("int8"), precision: .int8)
    let expected = try golden.expected(.int8)
    #expect(try await golden.completions(from: cluster.coordinator) == expected)
    cluster.coordinator.stop()
    for worker in cluster.workers { #expect(await worker.ended() == nil) }
  }

  @Test(arguments: Golden.names) func everyCutOverSockets(_ name: String) async throws {
    let golden = try Golden(name)
    let expected = try golden.expected()
    for cut in 1..<golden.config.blockCount {
      let template = try ClusterTemplate(
        stages: [
          .init(name: "a", blocks: 0..<cut),
          .init(name: "b", blocks: cut..<golden.config.blockCount),
        ], config: golden.config)
      let cluster = try await Self.start(
        golden, template: template, endpoint: temporaryEndpoint("cut"))
      #expect(
        areSame(try await golden.completions(from: cluster.coordinator), expected), "cut at \(cut)")
      cluster.coordinator.stop()
      for worker in cluster.workers { _ = await worker.ended() }
    }
  }

  @Test func aLeavingWorkerCostsNoAnswerAndANewOneTakesPart() async throws {
    let golden = try Golden("tiny-a")
    let template = try ClusterTemplate.even(visionCount: 1, shardCount: 2, config: golden.config)
    let cluster = try await Self.start(
      golden, template: template, endpoint: temporaryEndpoint("leave"))
    let expected = try golden.expected()
    async let answers = golden.completions(from: cluster.coordinator, times: 20)
    // One that has not begun yet could not leave.
    for _ in 0..<6000 where cluster.coordinator.telemetry.status.service.succeeded == 0 {
      try await Task.sleep(for: .milliseconds(10))
    }
    cluster.workers[2].stop()
    #expect(await cluster.workers[2].ended() == nil)
    // Those left have a plan of their own, and every answer is the same.
    for (index, completion) in try await answers.enumerated() {
      #expect(isSame(completion, expected[index % expected.count]), "request \(index)")
    }
    #expect(areSame(try await golden.completions(from: cluster.coordinator), expected))
    let spare = WorkerThread(
      WorkerConfiguration(
        coordinatorEndpoint: cluster.coordinator.endpoint, name: "spare", threadCount: 1,
        softwareVersion: "test"))
    for _ in 0..<600 where cluster.coordinator.telemetry.status.stages.count < 3 {
      try await Task.sleep(for: .milliseconds(50))
    }
    #expect(cluster.coordinator.telemetry.status.stages.count == 3)
    #expect(areSame(try await golden.completions(from: cluster.coordinator), expected))
    cluster.coordinator.stop()
    #expect(await spare.ended() == nil)
  }

  @Test func aWorkerWithoutCoordinatorSaysSo() async throws {
    let worker = WorkerThread(
      WorkerConfiguration(
        coordinatorEndpoint: temporaryEndpoint("nobody"), name: "w", threadCount: 1,
        patienceMilliseconds: 300, softwareVersion: "test"))
    #expect(await worker.ended()?.code == "no_coordinator")
  }

  @Test func aWorkerWithAnotherModelIsRefused() async throws {
    let golden = try Golden("tiny-a")
    let other = try Golden("tiny-b")
    let template = try ClusterTemplate(
      stages: [.init(name: "all", blocks: 0..<golden.config.blockCount)], config: golden.config)
    let coordinator = try await Coordinator.start(
      .init(
        endpoint: temporaryEndpoint("other"), template: template,
        modelDirectory: golden.checkpoint.directory), config: golden.config)
    let worker = WorkerThread(
      WorkerConfiguration(
        coordinatorEndpoint: coordinator.endpoint, name: "w",
        modelDirectory: other.checkpoint.directory, threadCount: 1, softwareVersion: "test"))
    #expect(await worker.ended()?.code == "other_model")
    coordinator.stop()
  }

  @Test(.timeLimit(.minutes(1))) func aVanishedClientIsNoticed() async throws {
    let golden = try Golden("tiny-a")
    var limits = Limits()
    limits.clientSilenceMilliseconds = 300
    let template = try ClusterTemplate.even(visionCount: 1, shardCount: 1, config: golden.config)
    let coordinator = try await Coordinator.start(
      .init(
        endpoint: temporaryEndpoint("gone"), template: template,
        modelDirectory: golden.checkpoint.directory, limits: limits), config: golden.config)
    #expect(try StatusClient.ask(coordinator.endpoint, milliseconds: 5000)?.state == "gathering")
    var wentAway = false
    for await event in coordinator.clients {
      if case .gone = event { wentAway = true }
      if wentAway { break }
    }
    #expect(wentAway)
    coordinator.stop()
  }

  @Test func strangersBytesAreDropped() async throws {
    let golden = try Golden("tiny-a")
    let template = try ClusterTemplate.even(visionCount: 1, shardCount: 1, config: golden.config)
    let cluster = try await Self.start(golden, template: template, endpoint: temporaryEndpoint("x"))
    let context = try Context()
    var options = SocketOptions()
    options.isImmediate = false
    options.identity = Endpoints.clientIdentity()
    let stranger = try Socket(.dealer, in: context, options: options)
    try stranger.connect(cluster.coordinator.endpoint)
    for size in [1, 7, 100, 5000] {
      try stranger.send([Frame(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 * 31) })])
    }
    #expect(areSame(try await golden.completions(from: cluster.coordinator), try golden.expected()))
    cluster.coordinator.stop()
    for worker in cluster.workers { #expect(await worker.ended() == nil) }
  }
}
