import Foundation
import Messaging
import Synchronization
import Tensors
import Testing

/// A folder of its own for `ipc://` sockets.
func temporaryEndpoint() throws -> String {
  let folder = FileManager.default.temporaryDirectory.appending(
    path: "palisade-" + UUID().uuidString.prefix(8)
  )
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  return "ipc://" + folder.appending(path: "socket").path()
}

/// Memory that says when it is released.
final class Watched: Sendable {
  let isReleased = Mutex(false)
  func storage(byteCount: Int) -> TensorStorage {
    let address = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
    for index in 0..<byteCount {
      address.storeBytes(of: UInt8(index & 0x7f), toByteOffset: index, as: UInt8.self)
    }
    let bits = UInt(bitPattern: address)
    return TensorStorage(adopting: address, byteCount: byteCount) {
      UnsafeMutableRawPointer(bitPattern: bits)?.deallocate()
      self.isReleased.withLock { $0 = true }
    }
  }
  /// ZeroMQ releases on its I/O thread, a little after the message has left.
  func waitForRelease() -> Bool {
    for _ in 0..<500 {
      if isReleased.withLock({ $0 }) { return true }
      usleep(10_000)
    }
    return false
  }
}

@Suite struct SocketTests {
  /// A tensor that is under way is gone for whoever sent it, but its memory must not become another's: over
  /// inproc the receiver sees the very bytes.
  @Test(arguments: [1000, 1 << 19]) func memoryUnderWayIsNotRecycled(_ count: Int) throws {
    let context = try Context()
    let pull = try Socket(.pull, in: context)
    let push = try Socket(.push, in: context)
    try pull.bind("inproc://recycled\(count)")
    try push.connect("inproc://recycled\(count)")
    let numbers = { (value: Float) in
      Tensor([Float](repeating: value, count: count), shape: [count])
    }
    try push.send([Frame(tensor: numbers(7))], wait: .milliseconds(5000))
    // Tensors of its size come and go, and some stay.
    let others = (0..<8).map { round in
      _ = numbers(Float(round) - 100)
      return numbers(Float(round))
    }
    let received = try #require(try pull.receive(wait: .milliseconds(5000)))
    let isTheSame = received[0] == Frame(tensor: numbers(7))
    #expect(isTheSame)
    let address = received[0].withBytes { $0.baseAddress }
    #expect(others.allSatisfy { UnsafeRawPointer($0.storage.address) != address })
  }

  @Test(arguments: ["inproc://a", "ipc", "tcp://127.0.0.1:*"])
  func zeroCopyFramesArriveAndAreReleased(endpoint: String) throws {
    let context = try Context()
    let pull = try Socket(.pull, in: context)
    let push = try Socket(.push, in: context)
    try pull.bind(endpoint == "ipc" ? try temporaryEndpoint() : endpoint)
    try push.connect(try pull.lastEndpoint())
    let watched = Watched()
    let expected = (0..<100_000).map { UInt8($0 & 0x7f) }
    do {
      let frames = [
        Frame(bytes: [1, 2, 3]), Frame(bytes: []),
        Frame(storage: watched.storage(byteCount: 100_000)),
      ]
      try push.send(frames, wait: .milliseconds(5000))
      let received = try #require(try pull.receive(wait: .milliseconds(5000)))
      #expect(received.map { $0.byteCount } == [3, 0, 100_000])
      #expect(received[0].bytes == [1, 2, 3])
      #expect(received[2].bytes == expected)
    }
    #expect(watched.waitForRelease())
  }

  @Test func aMicroBatchCrossesTCPAndItsTensorAdoptsTheMessage() throws {
    let context = try Context()
    let pull = try Socket(.pull, in: context)
    let push = try Socket(.push, in: context)
    try pull.bind("tcp://127.0.0.1:*")
    try push.connect(try pull.lastEndpoint())
    var seeded = Seeded(seed: 30)
    var adopted = 0
    for _ in 0..<100 {
      let message = StageMessage.microBatch(seeded.microBatch())
      try push.send(try message.encode(), wait: .milliseconds(5000))
      let frames = try #require(try pull.receive(wait: .milliseconds(5000)))
      let decoded = try StageMessage.decode(frames)
      #expect(decoded == message)
      guard frames.count == 2, case .microBatch(let batch) = decoded else { continue }
      let tensor = try #require(batch.tensor)
      #expect(
        tensor.withBytes { UInt(bitPattern: $0.baseAddress) }
          == frames[1].withBytes { UInt(bitPattern: $0.baseAddress) }
      )
      adopted += 1
    }
    #expect(adopted > 5)
  }

  @Test func aFullQueueIsAnErrorNotAHang() throws {
    let context = try Context()
    var options = SocketOptions()
    options.sendHighWaterMark = 2
    options.receiveHighWaterMark = 2
    options.lingerMilliseconds = 0
    let pull = try Socket(.pull, in: context, options: options)
    let push = try Socket(.push, in: context, options: options)
    #expect(code { try push.send([Frame(bytes: [1])]) } == .wouldBlock)
    try pull.bind("inproc://full")
    try push.connect("inproc://full")
    var sent = 0
    while sent < 100, code({ try push.send([Frame(bytes: [1]), Frame(bytes: [2])]) }) == nil {
      sent += 1
    }
    #expect((1...4).contains(sent))
    let start = ContinuousClock.now
    #expect(
      code { try push.send([Frame(bytes: [1])], wait: .milliseconds(100)) } == .timedOut
    )
    #expect(ContinuousClock.now - start >= .milliseconds(100))
    // What was accepted arrives whole, and makes room again.
    for _ in 0..<sent { #expect(try pull.receive(wait: .milliseconds(5000))?.count == 2) }
    #expect(try pull.receive() == nil)
    try push.send([Frame(bytes: [1])], wait: .milliseconds(5000))
  }

  @Test func aRouterKnowsItsPeersAndMissesTheVanished() throws {
    let context = try Context()
    let router = try Socket(.router, in: context)
    try router.bind("tcp://127.0.0.1:*")
    var options = SocketOptions()
    options.identity = Array("worker-1".utf8)
    let peer = PeerIdentity(options.identity)
    #expect(code { try router.send([Frame(bytes: [1])], to: peer) } == .unreachable)
    do {
      let dealer = try Socket(.dealer, in: context, options: options)
      try dealer.connect(try router.lastEndpoint())
      try dealer.send(try ControlMessage.goodbye.encode(), wait: .milliseconds(5000))
      let (sender, frames) = try #require(try router.receiveFromPeer(wait: .milliseconds(5000)))
      #expect(sender == peer)
      #expect(try ControlMessage.decode(frames) == .goodbye)
      try router.send(try ControlMessage.reset(epoch: 5).encode(), to: sender)
      let answer = try #require(try dealer.receive(wait: .milliseconds(5000)))
      #expect(try ControlMessage.decode(answer) == .reset(epoch: 5))
    }
    var last: MessagingError.Code?
    for _ in 0..<500 where last != .unreachable {
      last = code { try router.send([Frame(bytes: [1])], to: peer) }
      usleep(10_000)
    }
    #expect(last == .unreachable)
  }

  @Test func limitsHoldOnBothEnds() throws {
    let context = try Context()
    var narrow = SocketOptions()
    narrow.limits = MessageLimits(maximumFrameCount: 2, maximumByteCount: 100)
    let pull = try Socket(.pull, in: context, options: narrow)
    let push = try Socket(.push, in: context)
    try pull.bind("inproc://limits")
    try push.connect("inproc://limits")
    let frame = Frame(bytes: [UInt8](repeating: 1, count: 60))
    try push.send([frame, frame])
    #expect(code { try pull.receive(wait: .milliseconds(5000)) } == .tooLarge)
    try push.send([Frame(bytes: [1]), Frame(bytes: [1]), Frame(bytes: [1])])
    #expect(code { try pull.receive(wait: .milliseconds(5000)) } == .tooLarge)
    try push.send([Frame(bytes: [9])])
    #expect(try pull.receive(wait: .milliseconds(5000)) == [Frame(bytes: [9])])
    let narrowPush = try Socket(.push, in: context, options: narrow)
    #expect(code { try narrowPush.send([frame, frame]) } == .tooLarge)
    #expect(code { try narrowPush.send([]) } == .malformed)
  }

  @Test func endpointErrorsHaveCodes() throws {
    let context = try Context()
    let pull = try Socket(.pull, in: context)
    try pull.bind("tcp://127.0.0.1:*")
    let taken = try pull.lastEndpoint()
    let other = try Socket(.pull, in: context)
    #expect(code { try other.bind(taken) } == .addressInUse)
    #expect(code { try other.bind("ipc:///no/such/folder/socket") } == .invalidEndpoint)
    #expect(code { try other.bind("nonsense") } == .invalidEndpoint)
    try pull.unbind(taken)
    // The I/O thread gives the port back a little later.
    for _ in 0..<500 where code({ try other.bind(taken) }) == .addressInUse { usleep(10_000) }
    #expect(try other.lastEndpoint() == taken)
    try other.unbind(taken)
    #expect(code { try other.unbind(taken) } == .invalidEndpoint)
  }

  @Test func shutdownWakesABlockedReceiver() throws {
    let context = try Context()
    let pull = try Socket(.pull, in: context)
    try pull.bind("inproc://shutdown")
    Thread.detachNewThread {
      usleep(50_000)
      context.shutdown()
    }
    #expect(code { try pull.receive(wait: .forever) } == .terminated)
  }
}
