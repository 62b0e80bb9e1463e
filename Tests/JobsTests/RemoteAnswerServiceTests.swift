import Foundation
import Messaging
import Synchronization
import Testing

@testable import Jobs

/// A coordinator with one thread, which answers each message as `respond` says.
private final class FakeCoordinator: Sendable {
  typealias Respond = @Sendable (ClientMessage) -> [ServerMessage]
  let received = Mutex<[ClientMessage]>([])
  let peers = Mutex<Set<PeerIdentity>>([])
  private let isStopped = Mutex(false)
  private let ended = Mutex(false)

  init(_ endpoint: String, garbage: Bool = false, _ respond: @escaping Respond) {
    Thread { [self] in
      do {
        let socket = try Socket(.router, in: Context())
        try socket.bind(endpoint)
        while !isStopped.withLock({ $0 }) {
          guard let (peer, frames) = try socket.receiveFromPeer(wait: .milliseconds(20)) else {
            continue
          }
          let message = try ClientMessage.decode(frames)
          received.withLock { $0.append(message) }
          peers.withLock { _ = $0.insert(peer) }
          if garbage {
            let frames = [Frame(bytes: [1, 2, 3]), Frame(bytes: [])]
            try socket.send(frames, to: peer, wait: .milliseconds(5000))
          }
          for answer in respond(message) {
            try socket.send(answer.encode(), to: peer, wait: .milliseconds(5000))
          }
        }
      } catch { Issue.record(error) }
      ended.withLock { $0 = true }
    }.start()
  }

  func stop() async throws {
    isStopped.withLock { $0 = true }
    while !ended.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
  }

  func waitForSubmit(_ prompt: String) async throws {
    func isHere(_ message: ClientMessage) -> Bool {
      if case .submit(let submit) = message { submit.prompt == prompt } else { false }
    }
    while !received.withLock({ $0.contains(where: isHere) }) {
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  static func echo(_ message: ClientMessage) -> [ServerMessage] {
    switch message {
    case .submit(let submit): [.reply(reply(submit))]
    case .status: [.status(Status(state: "ready"))]
    case .cancel, .trace, .order: []
    }
  }

  static func reply(_ submit: Submit) -> Reply {
    Reply(
      tag: submit.tag, text: submit.prompt, tokenIDs: [4], finish: .length, promptTokens: 3,
      completionTokens: 1, images: [ImageSize(width: 2, height: 1)],
      boxes: [Box(label: "x", x1: 0, y1: 0, x2: 1, y2: 1)])
  }
}

@Suite(.timeLimit(.minutes(1))) struct RemoteAnswerServiceTests {
  private let folder: TemporaryFolder
  private let endpoint: String
  private var patience = RemotePatience()

  init() throws {
    folder = try TemporaryFolder()
    endpoint = "ipc://\(folder.path("c"))"
    patience.pingMilliseconds = 50
    patience.silenceMilliseconds = 600
    patience.busyMilliseconds = 5
  }

  private func request(_ prompt: String) -> AnswerRequest {
    AnswerRequest(images: [EncodedImage(name: "a", bytes: [1, 2])], prompt: prompt)
  }

  private func service() throws -> RemoteAnswerService {
    try RemoteAnswerService(endpoint: endpoint, patience: patience)
  }

  @Test("Replies find their requests, in any order, through garbage")
  func replies() async throws {
    let held = Mutex<[Submit]>([])
    let coordinator = FakeCoordinator(endpoint, garbage: true) { message in
      guard case .submit(let submit) = message else { return FakeCoordinator.echo(message) }
      // Two at a time, the later one first.
      return held.withLock { held in
        held.append(submit)
        if held.count % 2 == 1 { return [] }
        return held.suffix(2).reversed().map { .reply(FakeCoordinator.reply($0)) }
      }
    }
    let service = try service()
    let texts = try await withThrowingTaskGroup(of: (Int, String).self) { group in
      for index in 0..<40 {
        group.addTask { (index, try await service.answer(request("p\(index)")).text) }
      }
      return try await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
    }
    #expect(texts == Dictionary(uniqueKeysWithValues: (0..<40).map { ($0, "p\($0)") }))
    #expect(try await service.status().state == "ready")
    let answer = try await pair(service)
    #expect(answer.boxes.count == 1 && answer.imageSizes.count == 1 && answer.finish == .length)
    let peers = coordinator.peers.withLock { $0 }
    #expect(peers.count == 1)
    #expect(peers.allSatisfy { String(decoding: $0.bytes, as: UTF8.self).hasPrefix("client:") })
    try await coordinator.stop()
  }

  /// Asks twice, because that coordinator answers two at a time.
  private func pair(_ service: RemoteAnswerService) async throws -> Answer {
    async let other = service.answer(request("other"))
    let answer = try await service.answer(request("one"))
    _ = try await other
    return answer
  }

  @Test("A busy coordinator is asked again; its failures pass through")
  func busyAndFailures() async throws {
    let calls = Mutex(0)
    let coordinator = FakeCoordinator(endpoint) { message in
      guard case .submit(let submit) = message else { return FakeCoordinator.echo(message) }
      if submit.prompt == "bad" {
        let failure = Failure(code: "worker_lost", message: "m")
        return [.reply(Reply(tag: submit.tag, failure: failure))]
      }
      let call = calls.withLock {
        $0 += 1
        return $0
      }
      return call < 4
        ? [.reply(Reply(tag: submit.tag, isBusy: true))] : FakeCoordinator.echo(message)
    }
    let service = try service()
    #expect(try await service.answer(request("p")).text == "p")
    #expect(calls.withLock { $0 } == 4)
    #expect(await failure { try await service.answer(request("bad")) }?.code == "worker_lost")
    try await coordinator.stop()
  }

  @Test("Nobody there: all fail in time, and later ones at once")
  func nobody() async throws {
    let service = try service()
    let start = ContinuousClock.now
    async let one = failure { try await service.answer(request("a")) }
    async let two = failure { try await service.status() }
    #expect(await [one?.code, two?.code] == ["no_coordinator", "no_coordinator"])
    // Far less than the time that a reply may take, however busy this machine is.
    #expect(start.duration(to: .now) < .seconds(60))
    #expect(await failure { try await service.answer(request("b")) }?.code == "no_coordinator")
    // When somebody comes after all, the client works.
    let coordinator = FakeCoordinator(endpoint, FakeCoordinator.echo)
    var answer: Answer?
    for _ in 0..<100 where answer == nil {
      answer = try? await service.answer(request("c"))
      try await Task.sleep(for: .milliseconds(30))
    }
    #expect(answer?.text == "c")
    try await coordinator.stop()
  }

  @Test("A coordinator that falls silent is lost")
  func silence() async throws {
    let isSilent = Mutex(false)
    let coordinator = FakeCoordinator(endpoint) { message in
      if case .submit(let submit) = message, submit.prompt == "hush" {
        isSilent.withLock { $0 = true }
      }
      return isSilent.withLock { $0 } ? [] : FakeCoordinator.echo(message)
    }
    let service = try service()
    _ = try await service.answer(request("hello"))
    let start = ContinuousClock.now
    #expect(await failure { try await service.answer(request("hush")) }?.code == "coordinator_lost")
    // Far less than the time that a reply may take, however busy this machine is.
    #expect(start.duration(to: .now) < .seconds(60))
    try await coordinator.stop()
  }

  @Test("A coordinator started anew knows no requests: they fail, and new ones are answered")
  func restart() async throws {
    let first = FakeCoordinator(endpoint) { message in
      if case .submit(let submit) = message, submit.prompt == "held" { return [] }
      return FakeCoordinator.echo(message)
    }
    let service = try service()
    _ = try await service.answer(request("hello"))
    async let held = failure { try await service.answer(request("held")) }
    try await first.waitForSubmit("held")
    try await first.stop()
    let second = FakeCoordinator(endpoint, FakeCoordinator.echo)
    #expect(await held?.code == "coordinator_lost")
    var answer: Answer?
    for _ in 0..<100 where answer == nil {
      answer = try? await service.answer(request("again"))
      try await Task.sleep(for: .milliseconds(30))
    }
    #expect(answer?.text == "again")
    try await second.stop()
  }

  @Test("Cancelling a task withdraws its request; stopping ends the rest")
  func cancelling() async throws {
    let coordinator = FakeCoordinator(endpoint) { message in
      if case .submit = message { return [] }
      return FakeCoordinator.echo(message)
    }
    let service = try service()
    let task = Task { await failure { try await service.answer(request("a")) } }
    try await coordinator.waitForSubmit("a")
    task.cancel()
    #expect(await task.value?.code == "cancelled")
    let cancelledBefore = Task { await failure { try await service.answer(request("b")) } }
    cancelledBefore.cancel()
    #expect(await cancelledBefore.value?.code == "cancelled")
    for _ in 0..<100 where !coordinator.received.withLock({ $0.contains(.cancel(tag: 1)) }) {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(coordinator.received.withLock { $0.contains(.cancel(tag: 1)) })
    let waiting = Task { await failure { try await service.answer(request("c")) } }
    try await Task.sleep(for: .milliseconds(50))
    service.stop()
    #expect(await waiting.value?.code == "stopped")
    #expect(await failure { try await service.answer(request("d")) }?.code == "stopped")
    try await coordinator.stop()
  }

  @Test("A lost reply ends in a timeout, while the coordinator lives")
  func lostReply() async throws {
    let coordinator = FakeCoordinator(endpoint) { message in
      if case .submit = message { return [] }
      return FakeCoordinator.echo(message)
    }
    var patience = patience
    patience.replyMilliseconds = 900
    let service = try RemoteAnswerService(endpoint: endpoint, patience: patience)
    #expect(await failure { try await service.answer(request("a")) }?.code == "reply_timeout")
    try await coordinator.stop()
  }

  @Test("Wrong endpoints and requests that no wire can carry fail at once")
  func refusals() async throws {
    for (endpoint, code) in [
      ("nonsense", "invalid_endpoint"), ("tcp://10.1.2.3:5", "insecure_endpoint"),
    ] {
      #expect(await failure { try RemoteAnswerService(endpoint: endpoint) }?.code == code)
    }
    let service = try service()
    let empty = AnswerRequest(images: [], prompt: "a")
    #expect(await failure { try await service.answer(empty) }?.code == "no_image")
    let long = request(String(repeating: "x", count: 70_000))
    #expect(await failure { try await service.answer(long) }?.code == "request_too_large")
    var hot = request("a")
    hot.sampling.temperature = .nan
    #expect(await failure { try await service.answer(hot) }?.code == "invalid_sampling")
  }
}
