import Testing

@testable import Tensors

/// Memory that tensors gave back.
@Suite struct BlockPoolTests {
  private let megabyte = 1 << 20

  @Test func whatWasGivenBackComesAgain() {
    let pool = BlockPool(byteCountMaximum: 64 << 20)
    let first = pool.take(5 * megabyte)
    #expect(first.byteCount >= 5 * megabyte && first.address % (2 << 20) == 0)
    // All of it is memory.
    let bytes = UnsafeMutableRawBufferPointer(start: first.pointer, count: first.byteCount)
    bytes.initializeMemory(as: UInt8.self, repeating: 7)
    pool.give(first)
    #expect(pool.keptByteCount == first.byteCount)
    let again = pool.take(5 * megabyte - 100)
    #expect(again.address == first.address && pool.keptByteCount == 0)
    pool.give(again)
  }

  @Test func theBestFittingIsTakenAndNoneThatIsFarTooLarge() {
    let pool = BlockPool(byteCountMaximum: 64 << 20)
    let blocks = [8, 4, 5].map { pool.take($0 * megabyte) }
    for block in blocks { pool.give(block) }
    let four = pool.take(4 * megabyte)
    #expect(four.address == blocks[1].address)
    // The one of 5 would do, the one of 8 would waste half.
    let next = pool.take(4 * megabyte)
    #expect(next.address == blocks[2].address)
    let third = pool.take(4 * megabyte)
    #expect(third.address != blocks[0].address)
    #expect(pool.keptByteCount == blocks[0].byteCount)
  }

  @Test func theOldestLeaveAboveTheMaximum() {
    let pool = BlockPool(byteCountMaximum: 6 << 20)
    let blocks = [3, 2, 2].map { pool.take($0 * megabyte) }
    for block in blocks { pool.give(block) }
    #expect(pool.keptByteCount == blocks[1].byteCount + blocks[2].byteCount)
    let large = pool.take(7 * megabyte)
    pool.give(large)
    #expect(pool.keptByteCount == 0)
  }

  @Test func smallOnesComeInSizesAQuarterOfAnOctaveApart() {
    var last = (index: -1, byteCount: 0)
    for byteCount in 0..<BlockPool.mappedByteCount {
      let size = BlockPool.size(byteCount)
      guard size.byteCount != last.byteCount else { continue }
      // Each size has a list of its own, and begins where the one before ends.
      #expect(
        size.index == last.index + 1 && byteCount == (last.index < 0 ? 0 : last.byteCount + 1))
      #expect(size.byteCount % 64 == 0 && size.byteCount >= byteCount)
      #expect(byteCount <= 256 || size.byteCount * 4 <= byteCount * 5)
      last = size
    }
    #expect(last.byteCount == BlockPool.mappedByteCount)
    let pool = BlockPool(byteCountMaximum: 0)
    let first = pool.take(1000)
    pool.give(first)
    #expect(pool.take(1020).address == first.address && pool.newBlockCount == 1)
    pool.give(first)
    #expect(pool.take(1025).address != first.address && pool.newBlockCount == 2)
  }

  @Test func smallOnesAboveTheMaximumAreNotKept() {
    let pool = BlockPool(byteCountMaximum: 0)
    let blocks = (0..<33).map { _ in pool.take(1 << 20 - 1) }
    for block in blocks { pool.give(block) }
    #expect(pool.keptByteCount == 32 << 20)
  }

  /// A view is enough to keep memory from becoming another tensor's.
  @Test(arguments: [100, 3 << 20]) func memoryComesBackWithItsLastView(_ byteCount: Int) throws {
    let pool = BlockPool(byteCountMaximum: 64 << 20)
    try BlockPool.$current.withValue(pool) {
      var view: Tensor? = Tensor(.u8, shape: [2, byteCount / 2]).rows(1..<2)
      let address = try #require(view).storage.address
      #expect(Tensor(.u8, shape: [byteCount]).storage.address != address)
      #expect(pool.newBlockCount == 2)
      view = nil
      let both = (Tensor(.u8, shape: [byteCount]), Tensor(.u8, shape: [byteCount]))
      #expect([both.0.storage.address, both.1.storage.address].contains(address))
      #expect(pool.newBlockCount == 2)
    }
  }
}
