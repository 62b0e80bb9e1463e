import Messaging
import Testing

@Suite struct SecurityTests {
  @Test(arguments: [
    ("inproc://a", true), ("ipc:///tmp/a", true), ("tcp://127.0.0.1:5555", true),
    ("tcp://127.8.9.1:*", true), ("tcp://localhost:1", true), ("tcp://[::1]:1", true),
    ("tcp://*:5555", false), ("tcp://0.0.0.0:5555", false), ("tcp://10.0.0.1:5555", false),
    ("tcp://127.0.0.1.example.org:1", false), ("tcp://127.0.0.1:0;10.0.0.1:1", false),
    ("tcp://eth0:1", false), ("udp://127.0.0.1:1", false), ("", false),
  ]) func localEndpoints(endpoint: String, isLocal: Bool) {
    #expect(EndpointPolicy.isLocal(endpoint) == isLocal)
  }

  @Test func plainSocketsStayOnTheMachine() throws {
    let context = try Context()
    let pull = try Socket(.pull, in: context)
    #expect(code { try pull.bind("tcp://0.0.0.0:*") } == .insecure)
    #expect(code { try pull.connect("tcp://10.255.255.1:5555") } == .insecure)
    var options = SocketOptions()
    options.security = .curveServer(try CurveKeyPair.generate())
    let secure = try Socket(.pull, in: context, options: options)
    try secure.bind("tcp://0.0.0.0:*")
  }

  @Test func keysAreCheckedAndSecretsNotPrinted() throws {
    let keys = try CurveKeyPair.generate()
    #expect(keys.publicKey.utf8.count == 40)
    #expect(try CurveKeyPair.generate() != keys)
    #expect(try CurveKeyPair(publicKey: keys.publicKey, secretKey: keys.secretKey) == keys)
    #expect(!"\(keys)".contains(keys.secretKey))
    #expect(code { try CurveKeyPair(publicKey: "short", secretKey: keys.secretKey) } == .malformed)
    let bad = String(repeating: "\u{7f}", count: 40)
    #expect(code { try CurveKeyPair(publicKey: bad, secretKey: keys.secretKey) } == .malformed)
  }

  @Test func curveCarriesMessagesAndRefusesTheWrongKey() throws {
    let context = try Context()
    let server = try CurveKeyPair.generate()
    let client = try CurveKeyPair.generate()
    var serverOptions = SocketOptions()
    serverOptions.security = .curveServer(server)
    let pull = try Socket(.pull, in: context, options: serverOptions)
    try pull.bind("tcp://127.0.0.1:*")
    let endpoint = try pull.lastEndpoint()

    var options = SocketOptions()
    options.lingerMilliseconds = 0
    options.security = .curveClient(client, serverPublicKey: server.publicKey)
    let push = try Socket(.push, in: context, options: options)
    try push.connect(endpoint)
    var seeded = Seeded(seed: 40)
    let message = StageMessage.microBatch(seeded.microBatch())
    try push.send(try message.encode(), wait: .milliseconds(5000))
    let frames = try #require(try pull.receive(wait: .milliseconds(5000)))
    #expect(try StageMessage.decode(frames) == message)

    // Another server's key, and no key at all: neither gets a connection.
    options.security = .curveClient(client, serverPublicKey: client.publicKey)
    let stranger = try Socket(.push, in: context, options: options)
    try stranger.connect(endpoint)
    #expect(
      code { try stranger.send([Frame(bytes: [1])], wait: .milliseconds(300)) } == .timedOut
    )
    options.security = .plain
    let plain = try Socket(.push, in: context, options: options)
    try plain.connect(endpoint)
    _ = code { try plain.send([Frame(bytes: [1])], wait: .milliseconds(300)) }
    #expect(try pull.receive(wait: .milliseconds(300)) == nil)
    options.security = .curveClient(client, serverPublicKey: "short")
    #expect(code { try Socket(.push, in: context, options: options).lastEndpoint() } == .malformed)
  }
}
