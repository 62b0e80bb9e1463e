import Messaging
import Testing

@testable import Pipelining

@Suite struct ClientMemoryTests {
  private func submit(_ tag: UInt64, byteCount: Int) -> Submit {
    Submit(
      tag: tag, prompt: "", images: [Frame(bytes: [UInt8](repeating: 0, count: byteCount))],
      sampling: Sampling())
  }

  @Test func eachClientAndAllTogetherHaveABound() {
    var limits = Limits()
    limits.clientByteCount = 1000
    limits.clientsByteCount = 1500
    limits.clientRequests = 3
    var memory = ClientMemory(limits)
    func take(_ tag: UInt64, byteCount: Int, from peer: PeerIdentity) -> Bool {
      memory.take(submit(tag, byteCount: byteCount), from: peer)
    }
    let (a, b) = (PeerIdentity([1]), PeerIdentity([2]))
    #expect(take(1, byteCount: 600, from: a))
    #expect(!take(2, byteCount: 401, from: a))
    #expect(take(3, byteCount: 400, from: a))
    #expect(!take(1, byteCount: 501, from: b))
    #expect(take(1, byteCount: 500, from: b))
    #expect(memory.byteCount == 1500)
    // The same tag again takes no room, nor gives any.
    #expect(take(1, byteCount: 600, from: a))
    #expect(memory.byteCount == 1500)
    memory.release(1, of: a)
    memory.release(1, of: a)
    memory.release(9, of: a)
    #expect(memory.byteCount == 900)
    #expect(take(4, byteCount: 10, from: a))
    #expect(take(5, byteCount: 10, from: a))
    #expect(!take(6, byteCount: 10, from: a), "three requests are enough")
    for tag in [3, 4, 5] as [UInt64] { memory.release(tag, of: a) }
    memory.release(1, of: b)
    #expect(memory.byteCount == 0)
  }
}
