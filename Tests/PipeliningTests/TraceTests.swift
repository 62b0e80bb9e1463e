import Foundation
import GoldenFixtures
import Messaging
import PaliGemma
import Testing

@testable import Pipelining

/// Spans of real engines, and the file that Perfetto opens.
@Suite struct TraceTests {
  /// What must hold of any trace of `completions` that all began and ended in it.
  private func check(_ trace: Trace, config: ModelConfig, answers: [Completion]) throws {
    // Each worker computes one micro-batch at a time.
    for track in trace.tracks {
      let own = trace.spans.filter { $0.worker == track.worker }
      #expect(!own.isEmpty, "\(track.stageName)")
      for (span, next) in zip(own, own.dropFirst()) {
        #expect(span.startNanoseconds + span.busyNanoseconds <= next.startNanoseconds)
      }
      #expect(own.allSatisfy { $0.stage == track.stage && $0.busyNanoseconds > 0 })
    }
    // A micro-batch is in a stage only after it was computed in the one before; the clocks of one
    // machine are aligned to within a round trip.
    for (_, hops) in Dictionary(grouping: trace.spans, by: \.sequence) {
      let hops = hops.sorted { $0.stage < $1.stage }
      for (hop, next) in zip(hops, hops.dropFirst()) {
        #expect(next.stage == hop.stage + 1 && next.phase == hop.phase)
        #expect(next.rowCount == hop.rowCount && next.requestCount == hop.requestCount)
        #expect(
          hop.startNanoseconds + hop.busyNanoseconds < next.startNanoseconds + 20_000_000)
      }
    }
    // Every token but the first of an answer took one row through the last stage.
    let last = trace.spans.filter { $0.stage == trace.tracks.last?.stage }
    let decoded = last.filter { $0.phase == .decode }.reduce(0) { $0 + $1.rowCount }
    #expect(decoded == answers.reduce(0) { $0 + $1.tokens.count - 1 })
  }

  @Test func oneProcess() async throws {
    let golden = try Golden("tiny-a")
    let plan = try PipelinePlan(
      stages: [
        .init(blocks: 0..<3, workers: [0]), .init(blocks: 3..<7, workers: [1]),
        .init(blocks: 7..<golden.config.blockCount, workers: [2]),
      ], config: golden.config)
    let engine = try await LocalEngine.start(
      config: golden.config, checkpoint: golden.checkpoint, plan: plan)
    let answers = try await golden.completions(from: engine, times: 3)
    try check(engine.telemetry.trace(), config: golden.config, answers: answers)
    let status = engine.telemetry.status
    #expect(status.state == "ready" && status.stages.count == 3)
    #expect(status.service.succeeded == UInt64(answers.count))
    #expect(status.service.tokens == UInt64(answers.reduce(0) { $0 + $1.tokens.count }))
    for row in status.stages {
      #expect(row.busyShare > 0 && row.busyShare <= 1 && row.counters.prefillRows > 0)
      #expect(row.gauges.weightBytes > 0)
    }
    #expect(status.stages[0].counters.decodeRows == 0 && status.stages[2].counters.decodeRows > 0)
    // Of the last seconds only: on a busy machine they may hold nothing any more.
    #expect((status.stages.map(\.name) + [""]).contains(status.bottleneck))
  }

  @Test(.timeLimit(.minutes(2))) func overSockets() async throws {
    let golden = try Golden("tiny-a")
    var limits = Limits()
    limits.heartbeatMilliseconds = 50
    let cluster = try await ClusterTests.start(
      golden, template: .even(visionCount: 1, shardCount: 2, config: golden.config),
      endpoint: temporaryEndpoint("trace"), limits: limits)
    let answers = try await golden.completions(from: cluster.coordinator, times: 3)
    // Spans come with heartbeats: wait until the last decode step is there.
    let wanted = answers.reduce(0) { $0 + $1.tokens.count - 1 }
    var trace = Trace()
    for _ in 0..<1000 {
      let client = try StatusClient(cluster.coordinator.endpoint)
      trace = try #require(try client.trace(spanCount: 10_000, milliseconds: 10_000))
      let rows = trace.spans.filter { $0.stage == 2 && $0.phase == .decode }
        .reduce(0) { $0 + $1.rowCount }
      if rows == wanted { break }
      try await Task.sleep(for: .milliseconds(20))
    }
    // The probe's prefill is in it too; it decodes nothing.
    try check(trace, config: golden.config, answers: answers)
    let status = try #require(
      try StatusClient.ask(cluster.coordinator.endpoint, milliseconds: 10_000))
    #expect(status.state == "ready" && status.service.succeeded == UInt64(answers.count))
    for row in status.stages {
      #expect(row.counters.microBatches > 0 && row.receivedBytes > 0 && row.sentBytes > 0)
      #expect(row.gauges.residentBytes > 1 << 20 && row.gauges.weightBytes > 0)
      #expect(row.roundTripNanoseconds > 0 && !row.node.isEmpty)
    }
    cluster.coordinator.stop()
    for worker in cluster.workers { #expect(await worker.ended() == nil) }
  }

  @Test func theFileIsWhatPerfettoReads() throws {
    let tracks = (0..<3).map {
      TraceTrack(
        stage: $0, stageName: "s\($0)", worker: $0 + 5, workerName: "w\"\($0)\u{1}", node: "n")
    }
    var spans: [TraceSpan] = []
    for stage in 0..<3 {
      let time = 1_000_000 + UInt64(stage) * 5000
      for isDecode in [false, true] where stage > 0 || !isDecode {
        spans.append(
          TraceSpan(
            sequence: isDecode ? 1 << 63 | 1 : 1, stage: stage, worker: stage + 5,
            phase: isDecode ? .decode : .prefill, requestCount: 2, rowCount: 40,
            startNanoseconds: isDecode ? time + 50_000 : time, waitingNanoseconds: 500,
            busyNanoseconds: 3000, sendingNanoseconds: 250))
      }
    }
    // A span of a worker that is in no track has nowhere to stand.
    var stray = spans[0]
    stray.worker = 99
    let json = try ChromeTrace.json(Trace(tracks: tracks, spans: spans + [stray]))
    let file = try JSONDecoder().decode(ChromeTrace.File.self, from: json)
    let slices = file.traceEvents.filter { $0.ph == "X" && $0.name != "send" }
    #expect(slices.count == spans.count && file.traceEvents.allSatisfy { $0.tid != 100 })
    #expect(slices.allSatisfy { ($0.ts ?? -1) >= 0 && $0.dur == 3 })
    let arguments = try #require(slices.first?.args)
    #expect(arguments["rows"] == ChromeTrace.Argument.count(40))
    #expect(arguments["requests"] == ChromeTrace.Argument.count(2))
    // One arrow per micro-batch: a start, steps, an end, each inside its slice.
    for id in ["1", "8000000000000001"] {
      let flow = file.traceEvents.filter { $0.id == id }
      #expect(flow.map(\.ph) == (id == "1" ? ["s", "t", "f"] : ["s", "f"]))
      for step in flow {
        let inside = slices.contains {
          $0.pid == step.pid && $0.tid == step.tid && ($0.ts ?? 0) <= (step.ts ?? -1)
            && (step.ts ?? 0) <= ($0.ts ?? 0) + ($0.dur ?? 0)
        }
        #expect(inside)
      }
    }
    let names = file.traceEvents.filter { $0.name == "thread_name" }.compactMap { $0.args?["name"] }
    #expect(names.first == ChromeTrace.Argument.text("w\"0\u{1} on n"))
    let empty = try JSONDecoder().decode(
      ChromeTrace.File.self, from: try ChromeTrace.json(Trace()))
    #expect(empty.traceEvents.isEmpty)
  }
}
