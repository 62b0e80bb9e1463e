import Testing

@testable import Pipelining

@Suite struct EndpointsTests {
  @Test(arguments: [
    ("tcp://0.0.0.0:71", "tcp://10.0.0.1:70", "tcp://10.0.0.1:71"),
    ("tcp://*:71", "tcp://head:70", "tcp://head:71"),
    ("tcp://[::]:71", "tcp://[fe80::1]:70", "tcp://[fe80::1]:71"),
    ("tcp://10.0.0.2:71", "tcp://10.0.0.1:70", "tcp://10.0.0.2:71"),
    ("ipc:///tmp/r", "ipc:///tmp/c", "ipc:///tmp/r"),
  ]) func wildcardsAreReachedByTheCoordinatorsAddress(
    _ endpoint: String, _ coordinator: String, _ expected: String
  ) {
    #expect(Endpoints.reachable(endpoint, asSeenFrom: coordinator) == expected)
  }

  @Test func aWorkerTellsOfAnAddressThatOthersReach() {
    let coordinator = "tcp://127.0.0.1:70"
    #expect(Endpoints.advertised("tcp://0.0.0.0:71", toward: coordinator) == "tcp://127.0.0.1:71")
    #expect(Endpoints.advertised("tcp://10.1.2.3:71", toward: coordinator) == "tcp://10.1.2.3:71")
    #expect(Endpoints.advertised("ipc:///tmp/w", toward: "ipc:///tmp/c") == "ipc:///tmp/w")
    #expect(Endpoints.isComplete("tcp://gpu7.example:7500"))
    for endpoint in [
      "tcp://*:71", "tcp://0.0.0.0:71", "tcp://a:*", "tcp://a:0", "a:71", "ipc:///x", "tcp://a",
      "tcp://", "tcp://:7",
    ] {
      #expect(!Endpoints.isComplete(endpoint), "\(endpoint)")
    }
  }

  @Test func aCoordinatorIsToldOfByAnotherName() {
    let bound = "tcp://10.1.2.3:71"
    #expect(Endpoints.told(bound, as: nil) == bound)
    #expect(Endpoints.told(bound, as: "head.example") == "tcp://head.example:71")
    #expect(Endpoints.told("tcp://0.0.0.0:71", as: "[fe80::1]") == "tcp://[fe80::1]:71")
    #expect(Endpoints.told(bound, as: "tcp://head:9") == "tcp://head:9")
    #expect(Endpoints.told("ipc:///tmp/r", as: "head") == "ipc:///tmp/r")
    for name in ["head.example", "10.0.0.1", "gpu-7_a", "[2001:db8::1]"] {
      #expect(Endpoints.isHost(name), "\(name)")
    }
    for name in ["", "*", "0.0.0.0", "[::]", "a:71", "a/b", "tcp://a", "[]", "ä"] {
      #expect(!Endpoints.isHost(name), "\(name)")
    }
  }

  @Test func aWorkerListensWhereTheCoordinatorIsReachedFrom() {
    #expect(LocalAddress.toward("127.0.0.1", port: "7400") == "127.0.0.1")
    #expect(LocalAddress.toward("no such host", port: "7400") == nil)
    #expect(Endpoints.data(for: "tcp://127.0.0.1:7400") == "tcp://127.0.0.1:*")
    #expect(Endpoints.data(for: "ipc:///tmp/c").hasPrefix("ipc:///tmp/c.worker-"))
  }
}
