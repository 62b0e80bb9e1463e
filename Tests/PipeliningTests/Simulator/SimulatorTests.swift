import GoldenFixtures
import PaliGemma
import Tensors
import Testing

@testable import Pipelining

/// Ten thousand clusters that never were: every request ends once, with the tokens of an undisturbed
/// run, whatever is lost, doubled, late, dead or silent.
@Suite struct SimulatorTests {
  private static let seeds = 10_000
  private static let crashSeeds = 2000
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

  /// The coordinator dies as well, once or twice: whoever asks again gets the same, and what workers of
  /// its earlier life still say changes nothing.
  @Test(arguments: 0..<shares) func noCrashOfTheCoordinatorLosesOrDoublesARequest(
    _ share: Int
  ) throws {
    let config = try Golden("tiny-a").config
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    let count = Self.crashSeeds / Self.shares
    var lives: UInt64 = 0
    for seed in share * count..<(share + 1) * count {
      var simulation = try Simulation(
        seed: UInt64(seed), config: config, pixels: pixels, crashes: true)
      if let error = simulation.run() {
        Issue.record("seed \(seed): \(error)")
        return
      }
      lives += simulation.coordinatorLife
    }
    // Most batches are still under way when it dies.
    #expect(lives > UInt64(count / 2), "\(lives) restarts in \(count) seeds")
  }

  /// A request that kills workers is answered with an error of its own, and no other is blamed.
  @Test(arguments: 0..<shares) func aPoisonIsFoundAndNobodyElseIsBlamed(_ share: Int) throws {
    try poisoned(isCalm: true, share) { condemned, _ in condemned == 1 }
  }

  /// The same while workers die by themselves, hang and are cut off. Who is innocent and yet was alone
  /// under way at two deaths can't be told apart; that stays rare.
  @Test func aPoisonIsFoundAmongOtherFaults() throws {
    var blamed = 0
    try poisoned(isCalm: false, 0) { condemned, simulation in
      blamed += condemned - 1
      return true
    }
    print("simulator: \(blamed) requests were blamed beside the 200 poisons")
    #expect(blamed <= 4)
  }

  private func poisoned(
    isCalm: Bool, _ share: Int, _ isRight: (Int, Simulation) -> Bool
  ) throws {
    let config = try Golden("tiny-a").config
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    for seed in share * 200..<(share + 1) * 200 {
      var simulation = try Simulation(
        seed: UInt64(seed), config: config, pixels: pixels, isCalm: isCalm, isPoisoned: true)
      if let error = simulation.run() {
        Issue.record("seed \(seed): \(error)")
        return
      }
      let poison = try #require(simulation.poison?.request)
      #expect(simulation.condemned.contains(poison), "seed \(seed)")
      #expect(isRight(simulation.condemned.count, simulation), "seed \(seed)")
    }
  }
}
