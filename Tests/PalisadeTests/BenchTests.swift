import Foundation
import Messaging
import PaliGemma
import Tensors
import Testing

@testable import palisade

/// What measurements are made of: medians, rates, busy shares and lines of JSON, from made-up times.
@Suite struct BenchTests {
  private func object(_ line: String) throws -> [String: Any] {
    #expect(!line.contains("\n"))
    return try #require(
      try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
  }

  private func model() throws -> BenchModel {
    let config = try #require(SynthesisPreset.named("paligemma-3b-224")).config
    return BenchModel(name: "paligemma-3b-224", config: config, precision: .int8, folder: nil)
  }

  @Test func mediansAndSpread() throws {
    #expect(BenchRuns.median([]) == 0)
    #expect(BenchRuns.median([3, 1, 2]) == 2)
    #expect(BenchRuns.median([4, 1, 2, 3]) == 2.5)
    var runs = BenchRuns()
    for seconds in [2.0, 1, 4] { runs.add(seconds, cpuSeconds: 2 * seconds) }
    #expect(runs.median == 2 && runs.best == 1 && runs.worst == 4 && runs.spread == 2)
    #expect(abs(runs.cpuMean - 14.0 / 3) < 1e-12)
    var calls = 0
    let counted = try BenchRuns.measure(count: 5, atLeast: 0) { calls += 1 }
    #expect(calls >= 5 && counted.seconds.count == 5 && counted.best > 0)
  }

  @Test func ratesOfARun() {
    var result = BenchEngineLoad.Result()
    result.seconds = 4
    result.tokens = [[1, 2, 3], [4, 5, 6]]
    result.tokenTimes = [[1, 2, 3], [1.5, 2.5, 3.5]]
    #expect(result.imagesPerSecond == 0.5)
    // From 1.5 to 3: tokens at 2, 2.5 and 3.
    #expect(result.decodeTokensPerSecond == 2)
    result.tokenTimes = [[1], [2]]
    #expect(result.decodeTokensPerSecond == nil)
  }

  @Test func endToEndReport() throws {
    var report = BenchE2EReport(
      head: BenchHead("e2e", model: try model(), threads: 2, limits: (1000, 20)),
      config: try model().config, images: 4, maxTokens: 20, promptTokens: 16, window: 4)
    var result = BenchEngineLoad.Result()
    (result.seconds, result.cpuSeconds) = (8, 10)
    report.add(result)
    #expect(report.imagesPerSecond == 0.5)
    // peers.md counts 1.4 TFLOP an image.
    #expect(abs(report.operationsPerImage - 1.4e12) < 0.02e12)
    let shares = try #require(report.shareOfFloor)
    #expect(abs(shares.wall - 0.35) < 0.01 && abs(shares.cpu - 0.56) < 0.01)
    let fields = try object(try report.json)
    #expect(fields["bench"] as? String == "e2e")
    #expect(fields["images_per_second"] as? Double == 0.5)
    #expect(fields["peak_gops"] as? Double == 1000 && fields["read_gbps"] as? Double == 20)
    #expect(fields["share_of_peak"] as? Double == shares.wall)
    #expect(fields["preset"] as? String == "paligemma-3b-224")
    #expect(report.table.contains("0.500 images/s"))
  }

  @Test func busySharesAreThoseOfTheTimeAskedFor() {
    func span(_ worker: Int, _ start: UInt64, _ busy: UInt64) -> TraceSpan {
      TraceSpan(
        sequence: start, stage: 0, worker: worker, phase: .prefill, requestCount: 1, rowCount: 1,
        startNanoseconds: start, busyNanoseconds: busy)
    }
    func track(_ name: String, _ worker: Int) -> TraceTrack {
      TraceTrack(stage: 0, stageName: name, worker: worker, workerName: "w", node: "n")
    }
    let trace = Trace(
      tracks: [track("vision", 0), track("vision", 1), track("shard", 2)],
      // Half in front of the time, all of it, and behind it.
      spans: [span(0, 50, 100), span(1, 100, 100), span(2, 200, 50)], nowNanoseconds: 300)
    let shares = BenchPipeline.busyShares(trace, from: 100, to: 200)
    #expect(shares == ["vision": 0.75, "shard": 0])
    #expect(BenchPipeline.busyShares(trace, from: 100, to: 100) == [:])
  }

  @Test func wireReportComparesWithinARound() throws {
    var report = BenchWireReport(head: BenchHead("wire", model: nil, threads: 1))
    let plain = BenchWireKind(transport: .tcp, byteCount: 1 << 20, encoding: nil)
    let exact = BenchWireKind(transport: .tcp, byteCount: 1 << 20, encoding: .exact)
    for (fast, slow) in [(2e9, 1e9), (1e9, 0.25e9), (3e9, 1e9)] {
      report.add(
        plain, BenchWireFigures(bytesPerSecond: fast, oneWaySeconds: 1e-6, cpuSeconds: 1e-6))
      report.add(
        exact, BenchWireFigures(bytesPerSecond: slow, oneWaySeconds: 2e-6, cpuSeconds: 1e-6))
    }
    let messages = try #require(try object(try report.json)["messages"] as? [[String: Any]])
    #expect(messages.map { $0["encoding"] as? String } == ["socket", "f32"])
    #expect(messages[1]["stream_by_socket"] as? Double == 3)
    #expect(messages[1]["one_way_by_socket"] as? Double == 2)
    #expect(messages[1]["mbps"] as? Double == 1000)
  }

  @Test func listsOfNumbers() {
    #expect(BenchCores.numbers("0-2,5") == [0, 1, 2, 5])
    #expect(BenchCores.numbers("3") == [3])
    #expect(BenchCores.numbers("") == [] && BenchCores.numbers("2-1,x") == [])
    #expect(!BenchCores.allowed.isEmpty)
    #expect(BenchStageCommand.counts("1,8,64") ?? [] == [1, 8, 64])
    for bad in ["", "1,", "0", "1,x", "257"] { #expect(BenchStageCommand.counts(bad) == nil) }
  }
}
