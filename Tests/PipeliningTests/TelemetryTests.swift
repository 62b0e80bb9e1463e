import GoldenFixtures
import Messaging
import PaliGemma
import Testing

@testable import Pipelining

/// What is measured is what was done: values alone, with a clock of the test's own.
@Suite struct TelemetryTests {
  private static let second: UInt64 = 1_000_000_000

  @Test func aRingKeepsTheNewest() {
    var ring = Ring<Int>(capacity: 3)
    #expect(ring.newest().isEmpty)
    for number in 1...5 { ring.append(number) }
    #expect(ring.newest() == [3, 4, 5])
    #expect(ring.newest(2) == [4, 5])
    #expect(ring.droppedCount == 2)
    #expect(ring.takeAll() == [3, 4, 5])
    #expect(ring.newest().isEmpty)
    ring.append(6)
    #expect(ring.newest() == [6])
  }

  @Test func ratesAreThoseOfTheLastSeconds() {
    var counter = RecentCounter()
    #expect(counter.rate(at: 5) == 0)
    // 10 a second for 20 s, then nothing.
    for half in 0...40 { counter.set(Double(half) * 5, at: UInt64(half) * Self.second / 2) }
    #expect(abs(counter.rate(at: 20 * Self.second) - 10) < 0.001)
    let idle = (21...30).map { counter.rate(at: $0 * Self.second + Self.second / 2) }
    #expect(zip(idle, idle.dropFirst()).allSatisfy { $0 >= $1 } && idle.last == 0)
    // After a long pause only what is new counts.
    counter.add(100, from: 100 * Self.second, to: 101 * Self.second)
    #expect(abs(counter.rate(at: 101 * Self.second) - 20) < 0.001)
    #expect(counter.total == 300)
  }

  @Test func aStepCountsFromItsBeginning() {
    var counter = RecentCounter()
    counter.add(2, from: 10 * Self.second, to: 12 * Self.second)
    #expect(abs(counter.rate(at: 12 * Self.second) - 1) < 0.001)
  }

  @Test func percentilesAreCloseAndOrdered() {
    var histogram = LatencyHistogram()
    #expect(histogram.latency == Latency())
    for milliseconds in 1...1000 { histogram.add(seconds: Double(milliseconds) / 1000) }
    histogram.add(seconds: 1e9)
    #expect(histogram.count == 1001)
    for share in [0.1, 0.5, 0.9, 0.95, 0.99] {
      #expect(abs(histogram.percentile(share) / share - 1) < 0.21, "\(share)")
    }
    var twice = histogram
    twice.add(histogram)
    #expect(twice.count == 2002 && twice.percentile(0.5) == histogram.percentile(0.5))
  }

  @Test func historyHasEverySecondAndAnEnd() {
    var history = History()
    history.change(3) { $0.tokens += 2 }
    history.change(3) { $0.tokens += 2 }
    history.change(6) { $0.failed += 1 }
    let points = history.last(5, until: 7)
    #expect(points.map(\.second) == [3, 4, 5, 6, 7])
    #expect(points.map(\.tokens) == [4, 0, 0, 0, 0] && points[3].failed == 1)
    #expect(history.last(100, until: 1).map(\.second) == [0, 1])
    for second in 7..<5000 { history.change(second) { $0.images = second } }
    #expect(history.last(.max, until: 4999).count == History.secondsMaximum)
    #expect(history.known(.max >> 1, until: 4999).count == History.secondsMaximum)
  }

  @Test func clocksAreAlignedByTheShortestRoundTrip() throws {
    // The coordinator is 1000 s ahead.
    let ahead: UInt64 = 1000 * Self.second
    var clock = ClockOffset()
    let span = TraceSpan(
      sequence: 1, stage: 0, phase: .decode, requestCount: 1, rowCount: 1,
      startNanoseconds: 50 * Self.second)
    #expect(!clock.isAligned && clock.shifted(span) == nil)
    // A reply without times, and one from the future, say nothing.
    clock.exchanged(sent: 5, coordinator: 0, received: 9)
    clock.exchanged(sent: 9, coordinator: 100, received: 5)
    #expect(!clock.isAligned)
    // A slow exchange whose way back took 80 ms longer, then a quick one.
    let sent = 49 * Self.second
    clock.exchanged(sent: sent, coordinator: sent + ahead + 1_000_000, received: sent + 82_000_000)
    let error = { (clock: ClockOffset) in
      abs(Int64(clock.shifted(span)?.startNanoseconds ?? 0) - Int64(1050 * Self.second))
    }
    #expect(error(clock) == 40_000_000)
    clock.exchanged(sent: sent, coordinator: sent + ahead + 500_000, received: sent + 1_000_000)
    #expect(error(clock) == 0 && clock.roundTripNanoseconds == 1_000_000)
    clock.exchanged(sent: sent, coordinator: sent + ahead, received: sent + 50_000_000)
    #expect(error(clock) == 0)
  }

  @Test func requestsAreCountedOnceAndTimed() {
    let telemetry = Telemetry()
    telemetry.began(1, images: 2)
    telemetry.began(2, images: 1)
    telemetry.publish(Status(state: "ready"), epoch: 1, inFlight: 1)
    #expect(telemetry.status.service.inFlight == 1 && telemetry.status.service.waiting == 1)
    let tokens = { (request: UInt64, index: Int) in
      TokenBatch(
        epoch: 1, sequence: 1,
        results: [TokenResult(request: request, index: index, tokenID: 5)])
    }
    for index in 0..<3 { telemetry.received(tokens(1, index)) }
    telemetry.received(tokens(77, 0))  // a probe's, nobody's
    telemetry.ended(1, .success(Completion(tokens: [], finish: .stop)))
    telemetry.ended(1, .success(Completion(tokens: [], finish: .stop)))
    telemetry.ended(2, .failure(Failure(code: "overloaded", message: "")))
    let service = telemetry.status.service
    #expect(service.succeeded == 1 && service.failed == 1 && service.images == 2)
    #expect(service.tokens == 3 && service.waiting == 0 && service.inFlight == 0)
    #expect(service.answer.count == 1 && service.firstToken.count == 1)
    #expect(telemetry.totals.failures == ["overloaded": 1])
    let points = telemetry.history(seconds: 10)
    #expect(points.reduce(0) { $0 + $1.tokens } == 3 && points.reduce(0) { $0 + $1.images } == 2)
    #expect(points.map(\.waiting).max() == 2)
  }

  @Test func aNewPlanBeginsANewTrace() {
    let telemetry = Telemetry()
    let base = Status(
      state: "ready", stages: [StageStatus(name: "a", blocks: 0..<3, worker: "w", workerIndex: 4)])
    telemetry.publish(base, epoch: 1, inFlight: 0)
    let span = TraceSpan(
      sequence: 1, stage: 9, worker: 9, phase: .prefill, requestCount: 1, rowCount: 20,
      startNanoseconds: 100)
    var future = span
    future.startNanoseconds = UInt64(Int64.max) / 2
    var beat = Heartbeat(epoch: 1, spans: [span, future])
    beat.counters.droppedSpans = 3
    telemetry.heard(beat, from: 4)
    telemetry.heard(beat, from: 5)  // in no stage
    telemetry.heard(Heartbeat(epoch: 0, spans: [span]), from: 4)  // late
    let trace = telemetry.trace()
    // The coordinator knows better than a worker which stage and worker it is.
    #expect(trace.spans.map(\.worker) == [4] && trace.spans.map(\.stage) == [0])
    #expect(trace.tracks.map(\.workerName) == ["w"])
    #expect(telemetry.status.stages[0].counters.droppedSpans == 3)
    telemetry.publish(base, epoch: 2, inFlight: 0)
    #expect(telemetry.trace().spans.isEmpty)
  }

  @Test func theBusiestStageIsTheBottleneckNotTheBusiestReplica() {
    let row = { (name: String, stage: Int, share: Double) in
      var row = StageStatus(name: name, stage: stage, blocks: 0..<1, worker: "w")
      row.recentBusyShare = share
      return row
    }
    let rows = [row("vision", 0, 0.9), row("vision", 0, 0.1), row("shard", 1, 0.6)]
    #expect(Telemetry.State.bottleneck(rows) == "shard")
    #expect(Telemetry.State.bottleneck([row("vision", 0, 0)]) == "")
    #expect(Telemetry.State.bottleneck([]) == "")
  }
}
