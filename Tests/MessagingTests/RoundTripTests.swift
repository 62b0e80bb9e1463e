import Messaging
import Tensors
import Testing

/// Whatever is encoded comes back equal, for many seeded values of every message.
@Suite struct RoundTripTests {
  private static let seeds: [UInt64] = [1, 2, 3, 4]

  private func check<Message: WireMessage & Equatable>(
    seed: UInt64,
    _ make: (inout Seeded) -> Message
  ) throws {
    var seeded = Seeded(seed: seed)
    for _ in 0..<300 {
      let message = make(&seeded)
      let frames = try message.encode()
      // As if received: other memory, same bytes.
      let received = frames.map { Frame(bytes: $0.bytes) }
      #expect(try Message.decode(received) == message)
    }
  }

  @Test(arguments: seeds) func stage(seed: UInt64) throws {
    try check(seed: seed) { $0.stageMessage() }
  }
  @Test(arguments: seeds) func microBatch(seed: UInt64) throws {
    try check(seed: seed) { $0.microBatch() }
  }
  @Test(arguments: seeds) func tokenBatch(seed: UInt64) throws {
    try check(seed: seed) { $0.tokenBatch() }
  }
  @Test(arguments: seeds) func control(seed: UInt64) throws {
    try check(seed: seed) { $0.controlMessage() }
  }
  @Test(arguments: seeds) func client(seed: UInt64) throws {
    try check(seed: seed) { $0.clientMessage() }
  }
  @Test(arguments: seeds) func server(seed: UInt64) throws {
    try check(seed: seed) { $0.serverMessage() }
  }
  @Test(arguments: seeds) func model(seed: UInt64) throws {
    try check(seed: seed) { $0.modelMessage() }
  }

  @Test func smallTensorsTravelInsideTheHeader() throws {
    let batch = { (count: Int) in
      MicroBatch(
        epoch: 1,
        sequence: 1,
        stage: 0,
        route: [0],
        segments: [],
        tensor: Tensor([Float](repeating: 1, count: count), shape: [count])
      )
    }
    #expect(try batch(MessageLimits.inlineByteCount / 4).encode().count == 1)
    #expect(try batch(MessageLimits.inlineByteCount / 4 + 1).encode().count == 2)
  }

  @Test func aTensorKeepsItsMemoryAcrossDecoding() throws {
    let tensor = Tensor([Float](repeating: 2, count: 4096), shape: [4, 1024])
    let part = tensor.rows(1..<4)
    let batch = MicroBatch(
      epoch: 1,
      sequence: 1,
      stage: 0,
      route: [0],
      segments: [],
      tensor: part
    )
    let decoded = try #require(try MicroBatch.decode(batch.encode()).tensor)
    #expect(decoded.storage === tensor.storage)
    #expect(decoded.byteOffset == part.byteOffset)
  }

  @Test func unalignedMemoryIsCopied() throws {
    let values = (0..<4096).map { Float($0) }
    let batch = MicroBatch(
      epoch: 1,
      sequence: 1,
      stage: 0,
      route: [0],
      segments: [],
      tensor: Tensor(values, shape: [4096])
    )
    var frames = try batch.encode()
    let shifted = Tensor(.u8, shape: [4096 * 4 + 1])
    shifted.withBytes { bytes in
      for (index, byte) in frames[1].bytes.enumerated() { bytes[index + 1] = byte }
    }
    frames[1] = Frame(tensor: shifted.rows(1..<(4096 * 4 + 1)))
    #expect(try MicroBatch.decode(frames).tensor?.floats == values)
  }
}
