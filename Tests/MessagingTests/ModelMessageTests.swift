import Messaging
import Tensors
import Testing

/// A manifest is a stranger's word: what it says of sizes must be true of itself.
@Suite struct ModelMessageTests {
  private func manifest(_ entries: [Manifest.Entry]) -> ModelMessage {
    .manifest(
      Manifest(blocks: 0..<3, configuration: [1], generation: [], notes: [:], tensors: entries))
  }

  private func entry(
    _ shape: [Int], hashes: Int, type: ElementType = .u8
  ) -> Manifest.Entry {
    Manifest.Entry(
      name: "t", elementType: type, shape: shape,
      hashes: [UInt8](repeating: 3, count: hashes))
  }

  @Test func sizesAndHashesMustAgree() throws {
    func code(_ entry: Manifest.Entry) -> MessagingError.Code? {
      MessagingTests.code { try manifest([entry]).encode() }
    }
    #expect(code(entry([1 << 20], hashes: 32)) == nil)
    #expect(code(entry([1 << 20, 2], hashes: 64)) == nil)
    #expect(code(entry([(1 << 20) + 1], hashes: 32)) == .malformed)
    #expect(code(entry([1], hashes: 64)) == .malformed)
    #expect(code(entry([1], hashes: 31)) == .malformed)
    #expect(code(entry([0], hashes: 0)) == .malformed)
    #expect(code(entry([-5], hashes: 32)) == .malformed)
    #expect(code(entry([Int.max, Int.max], hashes: 32)) == .malformed)
    #expect(code(entry([Int](repeating: 1, count: 9), hashes: 32)) == .tooLarge)
  }

  @Test func theHashesFrameMustHaveTheirSize() throws {
    let frames = try manifest([entry([5], hashes: 32), entry([6], hashes: 32)]).encode()
    #expect(
      try ModelMessage.decode(frames) == manifest([entry([5], hashes: 32), entry([6], hashes: 32)]))
    for size in [0, 32, 63, 65, 96, 1 << 20] {
      let other = Frame(bytes: [UInt8](repeating: 3, count: size))
      #expect(code { try ModelMessage.decode([frames[0], other]) } == .malformed, "\(size)")
    }
    #expect(code { try ModelMessage.decode([frames[0]]) } == .malformed)
  }

  @Test func boundsHold() throws {
    let tooMany = [Manifest.Entry](
      repeating: entry([1], hashes: 32), count: MessageLimits.sharedTensorCount + 1)
    #expect(code { try manifest(tooMany).encode() } == .tooLarge)
    let chunks = MessageLimits.sharedChunkCount + 1
    #expect(
      code { try manifest([entry([chunks << 20], hashes: 32 * chunks)]).encode() } == .tooLarge)
    let request = ChunkRequest(tensor: [UInt8](repeating: 1, count: 32), chunk: 0)
    let largest = MessageLimits.chunkByteCount
    func chunk(_ byteCount: Int) -> MessagingError.Code? {
      code {
        try ModelMessage.chunk(request, Frame(bytes: [UInt8](repeating: 0, count: byteCount)))
          .encode()
      }
    }
    #expect(chunk(largest) == nil)
    #expect(chunk(largest + 1) == .malformed)
    #expect(chunk(0) == .malformed)
    // A hash is a hash: nothing that could be a path.
    for count in [0, 31, 33] {
      let request = ChunkRequest(tensor: [UInt8](repeating: 47, count: count), chunk: 0)
      #expect(code { try ModelMessage.chunkRequest(request).encode() } == .malformed)
    }
    #expect(
      code {
        try ModelMessage.chunkRequest(
          ChunkRequest(tensor: request.tensor, chunk: MessageLimits.sharedChunkCount)
        ).encode()
      } == .malformed)
    #expect(Door.model.roles == [.worker])
  }
}
