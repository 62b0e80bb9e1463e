import Testing

@testable import Tensors

/// Memory that tensors gave back.
@Suite struct BlockPoolTests {
  private let megabyte = 1 << 20

  @Test func whatWasGivenBackComesAgain() throws {
    let pool = BlockPool(byteCountMaximum: 64 << 20)
    let first = try #require(pool.take(5 * megabyte))
    #expect(first.byteCount >= 5 * megabyte && first.address % (2 << 20) == 0)
    // All of it is memory.
    let bytes = UnsafeMutableRawBufferPointer(start: first.pointer, count: first.byteCount)
    bytes.initializeMemory(as: UInt8.self, repeating: 7)
    pool.give(first)
    #expect(pool.keptByteCount == first.byteCount)
    let again = try #require(pool.take(5 * megabyte - 100))
    #expect(again.address == first.address && pool.keptByteCount == 0)
    pool.give(again)
  }

  @Test func theBestFittingIsTakenAndNoneThatIsFarTooLarge() throws {
    let pool = BlockPool(byteCountMaximum: 64 << 20)
    let blocks = try [8, 4, 5].map { try #require(pool.take($0 * megabyte)) }
    for block in blocks { pool.give(block) }
    let four = try #require(pool.take(4 * megabyte))
    #expect(four.address == blocks[1].address)
    // The one of 5 would do, the one of 8 would waste half.
    let next = try #require(pool.take(4 * megabyte))
    #expect(next.address == blocks[2].address)
    let third = try #require(pool.take(4 * megabyte))
    #expect(third.address != blocks[0].address)
    #expect(pool.keptByteCount == blocks[0].byteCount)
  }

  @Test func theOldestLeaveAboveTheMaximum() throws {
    let pool = BlockPool(byteCountMaximum: 6 << 20)
    let blocks = try [3, 2, 2].map { try #require(pool.take($0 * megabyte)) }
    for block in blocks { pool.give(block) }
    #expect(pool.keptByteCount == 4 * megabyte)
    let large = try #require(pool.take(7 * megabyte))
    pool.give(large)
    #expect(pool.keptByteCount == 0)
  }
}
