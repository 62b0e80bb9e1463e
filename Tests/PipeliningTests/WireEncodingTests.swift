import Checkpoints
import Foundation
import GoldenFixtures
import Messaging
import PaliGemma
import Tensors
import Testing

@testable import Pipelining

/// Rows between stages in fewer bytes. In int8 arithmetic, which is exact in any company.
@Suite struct WireEncodingTests {
  private struct Run {
    var alone: [Completion]
    var together: [Completion]
    /// Of the first stage, for the same work.
    var sentBytes: UInt64
  }

  private func run(_ golden: Golden, _ encoding: TensorEncoding) async throws -> Run {
    let template = try ClusterTemplate.even(visionCount: 1, shardCount: 2, config: golden.config)
    var configuration = Coordinator.Configuration(
      endpoint: temporaryEndpoint("wire"), template: template,
      modelDirectory: golden.checkpoint.directory, precision: .int8)
    configuration.encoding = encoding
    let coordinator = try await Coordinator.start(configuration, config: golden.config)
    let workers = (0..<3).map { index in
      ClusterTests.WorkerThread(
        WorkerConfiguration(
          coordinatorEndpoint: coordinator.endpoint, name: "w\(index)", threadCount: 1,
          softwareVersion: "test"))
    }
    var alone: [Completion] = []
    for item in golden.cases { alone.append(try await coordinator.complete(golden.request(item))) }
    let count = golden.cases.count
    // Heartbeats tell what was sent.
    var sent: UInt64 = 0
    for _ in 0..<200 {
      try await Task.sleep(for: .milliseconds(50))
      let stages = coordinator.telemetry.status.stages
      guard let first = stages.first, first.microBatches > 0 else { continue }
      if first.sentBytes == sent, sent > 0 { break }
      sent = first.sentBytes
      try await Task.sleep(for: .milliseconds(600))
    }
    let together = try await golden.completions(from: coordinator, times: 4)
    #expect(together.count == 4 * count)
    coordinator.stop()
    for worker in workers { #expect(await worker.ended() == nil) }
    return Run(alone: alone, together: together, sentBytes: sent)
  }

  /// Law 2 within each encoding, and bytes that become fewer.
  @Test func answersDoNotDependOnCompany() async throws {
    let golden = try Golden("tiny-a")
    var sent: [TensorEncoding: UInt64] = [:]
    for encoding in TensorEncoding.allCases {
      let run = try await run(golden, encoding)
      for (index, completion) in run.together.enumerated() {
        #expect(completion == run.alone[index % run.alone.count], "\(encoding) request \(index)")
      }
      if encoding == .exact { #expect(try run.alone == golden.expected(.int8)) }
      sent[encoding] = run.sentBytes
    }
    let whole = Double(try #require(sent[.exact]))
    let halves = Double(try #require(sent[.bf16])) / whole
    let quarters = Double(try #require(sent[.int8])) / whole
    // Headers stay as they are, and rows of 64 values have a scale each.
    #expect(
      (0.45...0.75).contains(halves) && (0.2...0.6).contains(quarters), "\(halves) \(quarters)")
    #expect(quarters < halves)
  }
}
