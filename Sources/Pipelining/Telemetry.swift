import Messaging
import Synchronization

/// What an engine does, measured: read by whoever shows it, written by the engine's threads.
///
/// Everything in it is bounded: requests by those under way, workers by `Limits.workers`, spans by
/// `MessageLimits.traceSpanCount`, seconds by `History.secondsMaximum`.
public final class Telemetry: Sendable {
  private let state: Mutex<State>

  init() { state = Mutex(State(now: Clock.nanoseconds)) }

  // MARK: For whoever shows it

  /// The state of the pipeline, with all figures.
  public var status: Status { state.withLock { $0.status(at: Clock.nanoseconds) } }

  /// What the stages computed lately: at most `spanCount` spans, oldest first.
  public func trace(spanCount: Int = MessageLimits.traceSpanCount) -> Trace {
    trace(after: 0, spanCount: spanCount).trace
  }

  /// What came since an earlier look, so that each span is told once.
  ///
  /// - Parameters:
  ///   - cursor: what the earlier look gave; 0 at first.
  ///   - spanCount: at most so many, the newest.
  /// - Returns: the spans, and the cursor for the next look.
  public func trace(after cursor: UInt64, spanCount: Int) -> (trace: Trace, cursor: UInt64) {
    state.withLock { state in
      let appended = state.spans.appendedCount
      let count = cursor <= appended ? Int(clamping: appended - cursor) : .max
      let spans = state.spans.newest(min(spanCount, count))
      let trace = Trace(
        tracks: state.base.stages.map {
          TraceTrack(
            stage: $0.stage, stageName: $0.name, worker: $0.workerIndex, workerName: $0.worker,
            node: $0.node)
        }, spans: spans.sorted { $0.startNanoseconds < $1.startNanoseconds },
        nowNanoseconds: Clock.nanoseconds)
      return (trace, appended)
    }
  }

  /// The last seconds one by one, the present one last.
  public func history(seconds: Int) -> [HistoryPoint] {
    state.withLock { $0.history.last(seconds, until: $0.second(at: Clock.nanoseconds)) }
  }

  /// Everything since the start, as a metrics collector wants it.
  public var totals: ServiceTotals { state.withLock { $0.totals } }

  /// The model that answers, for the status; nil says nothing.
  public func serves(_ model: ModelIdentity?) { state.withLock { $0.model = model } }

  /// The side of its pictures, for the status.
  func takes(pictureSide: Int) { state.withLock { $0.pictureSide = pictureSide } }

  // MARK: For the engine

  /// A request with so many pictures was submitted.
  func began(_ id: UInt64, images: Int) {
    state.withLock { $0.began(id, images: images, at: Clock.nanoseconds) }
  }

  /// Stages have generated tokens.
  func received(_ batch: TokenBatch) {
    state.withLock { $0.received(batch, at: Clock.nanoseconds) }
  }

  /// A request has its one answer.
  func ended(_ id: UInt64, _ result: Result<Completion, Failure>) {
    state.withLock { $0.ended(id, result, at: Clock.nanoseconds) }
  }

  /// The plan and its state, and how many requests the pipeline has.
  func publish(_ base: Status, epoch: UInt64, inFlight: Int) {
    state.withLock { $0.publish(base, epoch: epoch, inFlight: inFlight, at: Clock.nanoseconds) }
  }

  /// A worker reports.
  func heard(_ heartbeat: Heartbeat, from worker: Int) {
    state.withLock { $0.heard(heartbeat, from: worker, at: Clock.nanoseconds) }
  }

  /// A stage in this process computed a micro-batch, after `idleNanoseconds` of waiting.
  func stepped(
    _ span: TraceSpan, gauges: Gauges, vision: (hits: UInt64, misses: UInt64),
    idleNanoseconds: UInt64
  ) {
    state.withLock { state in
      let now = Clock.nanoseconds
      var span = span
      span.worker = span.stage
      state.measures[span.worker, default: WorkerMeasure(at: now)].take(
        span, gauges: gauges, vision: vision, idleNanoseconds: idleNanoseconds, at: now)
      state.spans.append(span)
    }
  }
}

/// What an engine did for its callers since it started.
public struct ServiceTotals: Sendable, Equatable {
  /// Requests answered.
  public internal(set) var succeeded: UInt64 = 0
  /// Requests that ended in an error, by the failure's code.
  public internal(set) var failures: [String: UInt64] = [:]
  /// Pictures of the requests answered.
  public internal(set) var images: UInt64 = 0
  /// Tokens generated.
  public internal(set) var tokens: UInt64 = 0
  /// From submission to the first token.
  public internal(set) var firstToken = LatencyHistogram()
  /// From submission to the answer.
  public internal(set) var answer = LatencyHistogram()

  /// Codes are a small set; a flood of strange ones is counted together.
  private static let codesMaximum = 64

  mutating func failed(_ code: String) {
    let known = failures[code] != nil || failures.count < Self.codesMaximum
    failures[known ? code : "other", default: 0] += 1
  }
}
