import Foundation
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

  /// What became of one cluster.
  private struct Outcome: Sendable {
    var seed: Int
    /// What went wrong; nil when all is well.
    var error: String?
    var poison: UInt64?
    var condemned: Set<UInt64>
    var restarts: UInt64
  }

  /// Plays seeds on all cores, each by itself.
  private func play(
    _ seeds: Range<Int>, isCalm: Bool = false, isPoisoned: Bool = false, crashes: Bool = false
  ) async throws -> [Outcome] {
    let config = try Golden("tiny-a").config
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    let lanes = ProcessInfo.processInfo.activeProcessorCount
    return try await withThrowingTaskGroup(of: [Outcome].self) { group in
      for lane in 0..<lanes {
        group.addTask {
          try stride(from: seeds.lowerBound + lane, to: seeds.upperBound, by: lanes).map { seed in
            var simulation = try Simulation(
              seed: UInt64(seed), config: config, pixels: pixels, isCalm: isCalm,
              isPoisoned: isPoisoned, crashes: crashes)
            let error = simulation.run()
            return Outcome(
              seed: seed, error: error, poison: simulation.poison?.request,
              condemned: simulation.condemned, restarts: simulation.coordinatorLife)
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }.sorted { $0.seed < $1.seed }
    }
  }

  private func share(_ share: Int, of seeds: Int) -> Range<Int> {
    share * seeds / Self.shares..<(share + 1) * seeds / Self.shares
  }

  /// Records the first seed that went wrong.
  private func expectNoError(_ outcomes: [Outcome]) {
    if let bad = outcomes.first(where: { $0.error != nil }) {
      Issue.record("seed \(bad.seed): \(bad.error ?? "")")
    }
  }

  @Test(arguments: 0..<shares) func noSeedLosesOrDoublesARequest(_ share: Int) async throws {
    expectNoError(try await play(self.share(share, of: Self.seeds)))
  }

  /// The coordinator dies as well, once or twice: whoever asks again gets the same, and what workers of
  /// its earlier life still say changes nothing.
  @Test(arguments: 0..<shares) func noCrashOfTheCoordinatorLosesOrDoublesARequest(
    _ share: Int
  ) async throws {
    let outcomes = try await play(self.share(share, of: Self.crashSeeds), crashes: true)
    expectNoError(outcomes)
    // Most batches are still under way when it dies.
    let restarts = outcomes.reduce(0) { $0 + $1.restarts }
    #expect(restarts > UInt64(outcomes.count / 2), "\(restarts) in \(outcomes.count) seeds")
  }

  /// A request that kills workers is answered with an error of its own, and no other is blamed.
  @Test(arguments: 0..<shares) func aPoisonIsFoundAndNobodyElseIsBlamed(_ share: Int) async throws {
    let outcomes = try await play(self.share(share, of: 2000), isCalm: true, isPoisoned: true)
    expectPoisonFound(outcomes)
    for outcome in outcomes { #expect(outcome.condemned.count == 1, "seed \(outcome.seed)") }
  }

  /// The same while workers die by themselves, hang and are cut off. Who is innocent and yet was alone
  /// under way at two deaths can't be told apart; that stays rare.
  @Test func aPoisonIsFoundAmongOtherFaults() async throws {
    let outcomes = try await play(share(0, of: 2000), isPoisoned: true)
    expectPoisonFound(outcomes)
    let blamed = outcomes.reduce(0) { $0 + $1.condemned.count - 1 }
    print("simulator: \(blamed) requests were blamed beside the 200 poisons")
    #expect(blamed <= 4)
  }

  private func expectPoisonFound(_ outcomes: [Outcome]) {
    expectNoError(outcomes)
    for outcome in outcomes {
      let isFound = outcome.poison.map(outcome.condemned.contains) ?? false
      #expect(isFound, "seed \(outcome.seed)")
    }
  }
}
