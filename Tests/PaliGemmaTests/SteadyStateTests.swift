import GoldenFixtures
import PaliGemma
import Testing

@testable import Tensors

/// A worker in its steady state asks the system for no tensor's memory: what a step takes, steps before gave back.
@Suite struct SteadyStateTests {
  @Test(arguments: Precision.allCases) func stepsTakeNoNewBlock(_ precision: Precision) throws {
    let golden = try Golden("tiny-a")
    let model = try golden.section(precision: precision)
    let pixels = try golden.cases.map { try golden.pixels($0) }
    let pool = BlockPool(byteCountMaximum: 64 << 20)
    BlockPool.$current.withValue(pool) {
      // A request's whole life: a prefill with its cache, and all its steps.
      let live = { (index: Int) in
        let item = golden.cases[index]
        let rows = golden.prefix(item, in: model)
        _ = model.forward(pixels[index], sequences: [rows])
        for token in item.greedyTokens.prefix(5) {
          let step = SequenceRows(.suffix, tokenIDs: [token], rowCount: 1, cache: rows.cache)
          _ = model.forward(nil, sequences: [step])
        }
      }
      for index in golden.cases.indices { live(index) }
      let before = pool.newBlockCount
      #expect(before > 0)
      for index in golden.cases.indices { live(index) }
      #expect(pool.newBlockCount == before)
    }
  }

  /// However many layers there are: they work in turn in the same memory.
  @Test func layersShareTheirMemory() throws {
    let golden = try Golden("tiny-a")
    let config = golden.config
    let layers = config.firstDecoderIndex..<config.headIndex
    let counts = try [1, layers.count].map { count in
      let section = try golden.section(
        layers.lowerBound..<layers.lowerBound + count, precision: .int8)
      let pool = BlockPool(byteCountMaximum: 64 << 20)
      try BlockPool.$current.withValue(pool) {
        let cache = try #require(section.madeUpCache(tokenCount: 7, more: 2))
        let row = SequenceRows(.suffix, tokenIDs: [], rowCount: 1, cache: cache)
        _ = section.forward(BlockSample.rows(1, width: config.text.width), sequences: [row])
      }
      return pool.newBlockCount
    }
    #expect(layers.count > 1 && counts[0] == counts[1])
  }
}
