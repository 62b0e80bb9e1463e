import Foundation
import Fuzzing
import Testing

/// The seeds, and mutations of them by number: the short form of `scripts/fuzz`.
@Suite struct FuzzingTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Seeds")

  static func seeds(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
    let folder = folder.appending(path: target.rawValue)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path()).sorted()
    return try names.map { ($0, [UInt8](try Data(contentsOf: folder.appending(path: $0)))) }
  }

  @Test(arguments: FuzzTarget.allCases) func seedsAreReadAndMutationsBreakNothing(
    _ target: FuzzTarget
  ) throws {
    let seeds = try Self.seeds(target)
    try #require(!seeds.isEmpty)
    // A seed that is refused leads nowhere; those named bad… were found to break something once.
    for (name, bytes) in seeds where !name.hasPrefix("bad") {
      #expect(target.run(bytes) == .accepted, "\(name)")
    }
    for (name, bytes) in seeds where name.hasPrefix("bad") {
      #expect(target.run(bytes) == .refused, "\(name)")
    }
    var mutation = Mutation(seed: 5)
    var refused = 0
    let rounds = 1500
    for round in 0..<rounds {
      let seed = seeds[round % seeds.count]
      switch target.run(mutation.of(seed.bytes)) {
      case .accepted: break
      case .refused: refused += 1
      case .broken(let promise): Issue.record("\(target) round \(round), \(seed.name): \(promise)")
      }
    }
    #expect(refused > rounds / 50, "only \(refused) of \(rounds) were refused")
  }
}
