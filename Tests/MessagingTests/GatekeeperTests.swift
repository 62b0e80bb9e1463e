import Foundation
import Glibc
import Messaging
import Synchronization
import Testing

/// What a gatekeeper told.
final class Told: Sendable {
  private let reports = Mutex<[GateReport]>([])
  func add(_ report: GateReport) { reports.withLock { $0.append(report) } }
  var all: [GateReport] { reports.withLock { $0 } }

  func wait(for condition: ([GateReport]) -> Bool) -> Bool {
    for _ in 0..<1000 {
      if condition(all) { return true }
      usleep(10_000)
    }
    return false
  }
}

/// Doors with CURVE: who comes through, and who doesn't.
@Suite struct GatekeeperTests {
  /// A coordinator's door, and what passes it.
  final class House {
    let keys: KeyFolder
    let told = Told()
    let context: Context
    let gate: Gatekeeper
    let control: Socket
    let results: Socket
    let endpoint: String
    let resultsEndpoint: String

    init() throws {
      keys = try newKeys()
      context = try Context()
      let links = Links.curve(
        try keys.key(for: .coordinator), allowListFile: keys.allowListFile)
      let told = told
      gate = try links.gatekeeper(in: context) { told.add($0) }
      control = try Socket(
        .router, in: context, options: links.listening(at: .control, SocketOptions()))
      try control.bind("tcp://127.0.0.1:*")
      endpoint = try control.lastEndpoint()
      results = try Socket(
        .pull, in: context, options: links.listening(at: .results, SocketOptions()))
      try results.bind("tcp://127.0.0.1:*")
      resultsEndpoint = try results.lastEndpoint()
    }

    /// The next message at the control door: its last frame, and by whose key it came.
    func next(_ milliseconds: Int = 10_000) throws -> (bytes: [UInt8], sender: Sender)? {
      guard let (_, delivery) = try control.takeFromPeer(wait: .milliseconds(milliseconds)) else {
        return nil
      }
      return (delivery.frames.last?.bytes ?? [], gate.sender(delivery.senderKey, at: .control))
    }
  }

  private func dealer(_ security: Security, _ endpoint: String, _ context: Context) throws -> Socket
  {
    var options = SocketOptions()
    options.isImmediate = false
    options.lingerMilliseconds = 0
    options.security = security
    let socket = try Socket(.dealer, in: context, options: options)
    try socket.connect(endpoint)
    return socket
  }

  private func dealer(
    _ key: KeyFile, _ endpoint: String, _ context: Context
  ) throws -> Socket {
    try dealer(
      .curveClient(key.keys, serverPublicKey: key.coordinatorKey), endpoint, context)
  }

  @Test func keysThatAreLetInAreKnownByRole() throws {
    let house = try House()
    let context = try Context()
    let worker = try dealer(house.keys.key(for: .worker), house.endpoint, context)
    var seeded = Seeded(seed: 40)
    let message = seeded.controlMessage()
    try worker.send(message.encode())
    let delivery = try #require(try house.control.takeFromPeer(wait: .milliseconds(10_000)))
      .delivery
    #expect(try ControlMessage.decode(delivery.frames) == message)
    let sender = house.gate.sender(delivery.senderKey, at: .control)
    #expect(sender == .known(.worker, name: "worker"))
    #expect(sender.mayBe(.worker) && !sender.mayBe(.client) && !sender.mayBe(.coordinator))
    let client = try dealer(house.keys.key(for: .client), house.endpoint, context)
    try client.send([Frame(bytes: [7])])
    let next = try house.next()
    #expect(next?.sender == .known(.client, name: "client") && next?.bytes == [7])
    // The same key is nobody at a door that is not for it.
    #expect(
      house.gate.sender(try house.keys.key(for: .client).keys.publicKey, at: .results) == .stranger)
    #expect(house.gate.sender(nil, at: .control) == .stranger)
  }

  @Test func aTrialTellsWhetherSomebodyIsThere() throws {
    let house = try House()
    let key = try house.keys.key(for: .client)
    func attempt(_ security: Security, _ endpoint: String) throws -> ConnectionTrial {
      var options = SocketOptions()
      options.security = security
      return try .attempt(endpoint, options: options)
    }
    let mine = Security.curveClient(key.keys, serverPublicKey: key.coordinatorKey)
    #expect(try attempt(mine, house.endpoint) == .connected)
    let unknown = Security.curveClient(
      try .generate(), serverPublicKey: key.coordinatorKey)
    #expect(try attempt(unknown, house.endpoint) == .turnedAway)
    let elsewhere = try newKeys().key(for: .client)
    let other = Security.curveClient(elsewhere.keys, serverPublicKey: elsewhere.coordinatorKey)
    #expect(try attempt(other, house.endpoint) == .turnedAway)
    #expect(try attempt(.plain, house.endpoint) == .turnedAway)
    // A port that is taken and never listens, and a file that never was.
    let taken = try SilentPort()
    defer { taken.close() }
    let endpoint = "tcp://127.0.0.1:\(taken.port)"
    for nobody in [endpoint, "ipc:///tmp/palisade-nobody-\(UUID().uuidString.prefix(8))"] {
      #expect(try attempt(.plain, nobody) == .nobody)
    }
  }

  /// No key, an unknown key, the key of another cluster, a plain socket, bytes of any kind: no message
  /// of theirs comes in, and those who may come still do.
  @Test func strangersSayNothing() throws {
    let house = try House()
    let context = try Context()
    let good = try house.keys.key(for: .client)
    let unknown = try dealer(
      .curveClient(CurveKeyPair.generate(), serverPublicKey: good.coordinatorKey), house.endpoint,
      context)
    let elsewhere = try dealer(newKeys().key(for: .client), house.endpoint, context)
    let plain = try dealer(.plain, house.endpoint, context)
    for frames in [[Frame(bytes: [1])], [Frame(bytes: [2]), Frame(bytes: [3])]] {
      try unknown.send(frames)
      try elsewhere.send(frames)
      try plain.send(frames)
    }
    var seeded = Seeded(seed: 41)
    let garbage = try (0..<20).map { index in
      // Every third begins as ZMTP does, so that more of it is read.
      let greeting: [UInt8] = index % 3 == 0 ? [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1] : []
      return try RawConnection(
        house.endpoint, sending: greeting + seeded.list(0...2000) { UInt8($0.next() & 0xff) })
    }
    #expect(
      house.told.wait { reports in
        reports.contains {
          if case .refused("control", "127.0.0.1", _) = $0 { true } else { false }
        }
      }, "\(house.told.all)")
    #expect(try house.next(500) == nil)
    withExtendedLifetime(garbage) {}
    let client = try dealer(good, house.endpoint, context)
    try client.send([Frame(bytes: [9])])
    #expect(try house.next()?.bytes == [9])
    #expect(!"\(house.told.all)".contains(good.keys.secretKey))
  }

  @Test func aClientsKeyDoesNotOpenTheWorkersDoor() throws {
    let house = try House()
    let context = try Context()
    let client = try house.keys.key(for: .client)
    var options = SocketOptions()
    options.lingerMilliseconds = 0
    options.security = .curveClient(client.keys, serverPublicKey: client.coordinatorKey)
    let push = try Socket(.push, in: context, options: options)
    try push.connect(house.resultsEndpoint)
    #expect(code { try push.send([Frame(bytes: [1])], wait: .milliseconds(500)) } == .timedOut)
    #expect(try house.results.receive(wait: .milliseconds(200)) == nil)
    #expect(
      house.told.wait { reports in
        reports.contains {
          if case .refused("results", _, let reason) = $0 {
            reason.contains("client")
          } else {
            false
          }
        }
      })
    let worker = try house.keys.key(for: .worker)
    options.security = .curveClient(worker.keys, serverPublicKey: worker.coordinatorKey)
    let right = try Socket(.push, in: context, options: options)
    try right.connect(house.resultsEndpoint)
    try right.send([Frame(bytes: [4])], wait: .milliseconds(10_000))
    let delivery = try #require(try house.results.take(wait: .milliseconds(10_000)))
    #expect(house.gate.sender(delivery.senderKey, at: .results).mayBe(.worker))
  }

  @Test func aRemovedKeyOpensNothingAndAnAddedOneDoes() throws {
    let house = try House()
    let context = try Context()
    let client = try house.keys.key(for: .client)
    let socket = try dealer(client, house.endpoint, context)
    try socket.send([Frame(bytes: [1])])
    #expect(try house.next()?.sender == .known(.client, name: "client"))
    try house.keys.remove("client")
    #expect(house.told.wait { $0.contains(.listRead(count: 1)) })
    // Over the connection that still stands, and over a new one.
    try socket.send([Frame(bytes: [2])])
    #expect(try house.next()?.sender == .stranger)
    let again = try dealer(client, house.endpoint, context)
    try again.send([Frame(bytes: [3])])
    #expect(try house.next(500) == nil)
    // One that is added lets in somebody who has been knocking all the while.
    let late = try KeyFile(path: house.keys.add(.client, name: "late"))
    let knocking = try dealer(late, house.endpoint, context)
    try knocking.send([Frame(bytes: [4])])
    #expect(try house.next()?.sender == .known(.client, name: "late"))
    // A list that can't be trusted is not read.
    chmod(house.keys.allowListFile, 0o666)
    #expect(
      house.told.wait { reports in
        reports.contains { if case .listUnreadable = $0 { true } else { false } }
      })
    try knocking.send([Frame(bytes: [5])])
    #expect(try house.next()?.sender == .known(.client, name: "late"))
  }

  @Test func workersLetInThoseOfTheirPlanOnly() throws {
    let keys = try newKeys()
    let other = try KeyFile(path: keys.add(.worker, name: "other"))
    let own = try keys.key(for: .worker)
    let links = Links.curve(own)
    let context = try Context()
    let gate = try links.gatekeeper(in: context)
    let data = try Socket(.pull, in: context, options: links.listening(at: .data, SocketOptions()))
    try data.bind("tcp://127.0.0.1:*")
    let endpoint = try data.lastEndpoint()
    func push(_ key: KeyFile) throws -> Socket {
      var options = SocketOptions()
      options.lingerMilliseconds = 0
      options = try Links.curve(key).toWorker(options, publicKey: own.keys.publicKey)
      let socket = try Socket(.push, in: context, options: options)
      try socket.connect(endpoint)
      return socket
    }
    let neighbour = try push(other)
    #expect(code { try neighbour.send([Frame(bytes: [1])], wait: .milliseconds(300)) } == .timedOut)
    let coordinator = try push(keys.key(for: .coordinator))
    try coordinator.send([Frame(bytes: [2])], wait: .milliseconds(10_000))
    let first = try #require(try data.take(wait: .milliseconds(10_000)))
    #expect(gate.sender(first.senderKey, at: .data).mayBe(.coordinator))
    // The plan says so: the neighbour, who has kept on trying, is let in.
    try gate.admit(workers: [other.keys.publicKey])
    try neighbour.send([Frame(bytes: [3])], wait: .milliseconds(10_000))
    let second = try #require(try data.take(wait: .milliseconds(10_000)))
    #expect(second.frames.first?.bytes == [3])
    #expect(gate.sender(second.senderKey, at: .data).mayBe(.worker))
    try gate.admit(workers: [])
    #expect(gate.sender(second.senderKey, at: .data) == .stranger)
    #expect(gate.sender(first.senderKey, at: .data).mayBe(.coordinator))
    // A worker does not speak to one that shows no key, nor a plain one to one that has.
    #expect(code { try links.toWorker(SocketOptions(), publicKey: "") } == .insecure)
    #expect(
      code { try Links.local.toWorker(SocketOptions(), publicKey: own.keys.publicKey) } == .insecure
    )
  }

  @Test func aDoorWithoutAGatekeeperStaysShut() throws {
    let keys = try newKeys()
    let links = Links.curve(try keys.key(for: .coordinator))
    let context = try Context()
    let options = links.listening(at: .control, SocketOptions())
    #expect(code { try Socket(.router, in: context, options: options).lastEndpoint() } == .insecure)
    let gate = try links.gatekeeper(in: context)
    #expect(code { try Socket(.router, in: context, options: options).lastEndpoint() } == nil)
    #expect(gate.isWatching)
  }

  /// libzmq 4.3.4 ended the process when a CURVE connection was pinged.
  @Test func anIdleConnectionWithKeysStands() throws {
    let house = try House()
    let context = try Context()
    let key = try house.keys.key(for: .client)
    var options = SocketOptions()
    options.isImmediate = false
    options.heartbeatMilliseconds = 50
    options.security = .curveClient(key.keys, serverPublicKey: key.coordinatorKey)
    let socket = try Socket(.dealer, in: context, options: options)
    try socket.connect(house.endpoint)
    for byte in [1, 2] as [UInt8] {
      try socket.send([Frame(bytes: [byte])])
      #expect(try house.next()?.bytes == [byte])
      usleep(400_000)
    }
  }
}

/// A TCP connection that sends bytes of no protocol.
final class RawConnection {
  private let file: Int32

  init(_ endpoint: String, sending bytes: [UInt8]) throws {
    let port = try #require(endpoint.split(separator: ":").last.flatMap { UInt16($0) })
    file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(connected == 0)
    _ = send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  deinit { close(file) }
}

/// A port of this machine that refuses connections for as long as it is held: bound, and not listening.
private struct SilentPort {
  let port: Int
  private let descriptor: Int32

  init() throws {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let done = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(file, $0, size) == 0 && getsockname(file, $0, &size) == 0
      }
    }
    try #require(done)
    descriptor = file
    port = Int(UInt16(bigEndian: address.sin_port))
  }

  func close() { _ = Glibc.close(descriptor) }
}
