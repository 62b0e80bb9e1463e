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
    options.security = .curveServer(try CurveKeyPair.generate(), .data)
    let gate = try Links.curve(try newKeys().key(for: .worker)).gatekeeper(in: context)
    let secure = try Socket(.pull, in: context, options: options)
    #expect(gate.isWatching)
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
}
