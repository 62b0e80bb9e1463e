import GoldenFixtures
import PaliGemma
import Tensors
import Testing

@testable import Pipelining

/// Ten thousand clusters that never were: every request ends once, with the tokens of an undisturbed
/// run, whatever is lost, doubled, late, dead or silent.
@Suite struct SimulatorTests {
  private static let seeds = 10_000
  private static let shares = 10

  @Test(arguments: 0..<shares) func noSeedLosesOrDoublesARequest(_ share: Int) throws {
    let config = try Golden("tiny-a").config
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    for seed in share * Self.seeds / Self.shares..<(share + 1) * Self.seeds / Self.shares {
      var simulation = try Simulation(seed: UInt64(seed), config: config, pixels: pixels)
      if let error = simulation.run() {
        Issue.record("seed \(seed): \(error)")
        return
      }
    }
  }
}
