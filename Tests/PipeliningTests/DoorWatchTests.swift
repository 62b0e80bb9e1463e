import Checkpoints
import GoldenFixtures
import Messaging
import Testing

@testable import Pipelining

/// A client that sends nonsense to a coordinator is not listened to for a while, and others are.
@Suite struct DoorWatchTests {
  @Test func nonsenseSilencesItsSenderOnly() async throws {
    let golden = try Golden("tiny-a")
    let coordinator = try await Coordinator.start(
      Coordinator.Configuration(
        endpoint: temporaryEndpoint("nonsense"),
        template: .even(visionCount: 1, shardCount: 1, config: golden.config),
        modelDirectory: golden.checkpoint.directory), config: golden.config)
    defer { coordinator.stop() }
    let context = try Context()
    var options = SocketOptions()
    options.identity = Endpoints.clientIdentity()
    options.isImmediate = false
    options.lingerMilliseconds = 0
    let socket = try Socket(.dealer, in: context, options: options)
    try socket.connect(coordinator.endpoint)
    // It is heard at first.
    try socket.send(ClientMessage.status.encode())
    #expect(try socket.receive(wait: .milliseconds(20_000)) != nil)
    for _ in 0..<30 { try socket.send([Frame(bytes: [1, 2, 3])], wait: .milliseconds(5000)) }
    try socket.send(ClientMessage.status.encode(), wait: .milliseconds(5000))
    var (dropped, muted) = (0, 0)
    for await report in coordinator.reports {
      if case .dropped = report { dropped += 1 }
      if case .gate(.muted(_, let reason)) = report {
        muted += 1
        #expect(reason.contains("no good"))
        break
      }
    }
    #expect(muted == 1 && dropped >= 10 && dropped <= 12, "\(muted) \(dropped)")
    #expect(try socket.receive(wait: .milliseconds(500)) == nil)
    #expect(try StatusClient.ask(coordinator.endpoint, milliseconds: 20_000) != nil)
  }
}
