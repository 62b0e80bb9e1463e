import Foundation
import Fuzzing
import Testing

@testable import palisade

/// Cluster files that are nearly right: read, or refused with a reason.
@Suite struct ClusterFileFuzzTests {
  @Test(arguments: ["local", "explicit"]) func mutatedFiles(_ name: String) throws {
    let original = Program.root.appending(path: "cluster/\(name).yaml")
    let seed = [UInt8](try Data(contentsOf: original))
    let path = try Program.temporaryFolder().appending(path: "cluster.yaml").path()
    var mutation = Mutation(seed: 4)
    var refused = 0
    for _ in 0..<600 {
      try Data(mutation.of(seed)).write(to: URL(filePath: path))
      do { _ = try ClusterFile(path: path) } catch {
        refused += 1
        #expect(!"\(error)".isEmpty)
      }
    }
    #expect(refused > 30 && refused < 600, "\(refused)")
  }
}
