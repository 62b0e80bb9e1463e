import Messaging
import Testing

/// Figures and spans come from workers: what can't have been measured is refused on both ends.
@Suite struct TraceBoundsTests {
  private static let start: UInt64 = 1 << 42

  private func span(_ change: (inout TraceSpan) -> Void = { _ in }) -> TraceSpan {
    var span = TraceSpan(
      sequence: 1,
      stage: 0,
      phase: .decode,
      requestCount: 1,
      rowCount: 1,
      startNanoseconds: Self.start,
      waitingNanoseconds: 5
    )
    change(&span)
    return span
  }

  private func heartbeat(_ spans: [TraceSpan]) -> MessagingError.Code? {
    code { try ControlMessage.heartbeat(Heartbeat(epoch: 1, spans: spans)).encode() }
  }

  @Test func spansAreBounded() {
    #expect(heartbeat([span()]) == nil)
    let most = MessageLimits.heartbeatSpanCount
    #expect(heartbeat(Array(repeating: span(), count: most)) == nil)
    #expect(heartbeat(Array(repeating: span(), count: most + 1)) == .tooLarge)
    #expect(heartbeat([span { $0.startNanoseconds = .max }]) == .malformed)
    #expect(heartbeat([span { $0.startNanoseconds = 4 }]) == .malformed)
    #expect(heartbeat([span { $0.busyNanoseconds = .max }]) == .malformed)
    #expect(heartbeat([span { $0.sendingNanoseconds = 3_600_000_000_001 }]) == .malformed)
    #expect(heartbeat([span { $0.rowCount = -1 }]) == .malformed)
  }

  @Test func theLargestTraceFitsAMessage() throws {
    let large = span {
      $0.sequence = .max
      $0.stage = 255
      $0.worker = Int(UInt32.max)
      $0.requestCount = 4096
      $0.firstRequest = .max
      $0.rowCount = 1 << 28
      $0.queueLength = 4096
      $0.startNanoseconds = UInt64(Int64.max) / 2
      $0.waitingNanoseconds = MessageLimits.spanNanoseconds
      $0.busyNanoseconds = MessageLimits.spanNanoseconds
      $0.sendingNanoseconds = MessageLimits.spanNanoseconds
    }
    let count = MessageLimits.traceSpanCount
    let trace = Trace(spans: Array(repeating: large, count: count), nowNanoseconds: .max)
    let frames = try ServerMessage.trace(trace).encode()
    #expect(try ServerMessage.decode(frames) == .trace(trace))
    let more = Trace(spans: Array(repeating: large, count: count + 1))
    #expect(code { try ServerMessage.trace(more).encode() } == .tooLarge)
  }

  @Test func impossibleFiguresAreRefused() {
    let status = { (change: (inout Status) -> Void) in
      var status = Status(
        state: "ready",
        stages: [StageStatus(name: "vision", blocks: 0..<4, worker: "w")]
      )
      change(&status)
      return code { try ServerMessage.status(status).encode() }
    }
    #expect(status { _ in } == nil)
    #expect(status { $0.stages[0].busyShare = .nan } == .malformed)
    #expect(status { $0.stages[0].recentBusyShare = -0.1 } == .malformed)
    #expect(status { $0.stages[0].bubbleShare = .infinity } == .malformed)
    #expect(status { $0.stages[0].gauges.queueLength = -1 } == .malformed)
    #expect(status { $0.service.waiting = -1 } == .malformed)
    #expect(status { $0.service.answer.p99Milliseconds = .nan } == .malformed)
    #expect(status { $0.service.tokensPerSecond = -1 } == .malformed)
    #expect(status { $0.bottleneck = "a\0b" } == .malformed)
    #expect(
      status {
        $0.stages = Array(repeating: $0.stages[0], count: MessageLimits.stageRowCount + 1)
      } == .tooLarge
    )
  }
}
