import Jobs
import Pipelining
import Synchronization

/// Says how often a stream writes, so that many streams together stay within what is worth it: a
/// reader sees no difference between ten pieces a second and forty, but each piece costs JSON, a
/// wake-up and a packet.
///
/// The first piece and the end go out at once. With n answers under way, pieces of one stream that follow
/// within n / 2000 s, at most a tenth of a second, are joined; below 40 answers nothing is.
final class StreamPacer: Sendable {
  /// Each answer's share of the pause.
  static let pausePerStream = Duration.microseconds(500)
  /// The longest pause.
  static let longestPause = Duration.milliseconds(100)
  /// How late a joined piece may be, and the shortest pause that is kept at all.
  static let precision = Duration.milliseconds(20)

  private let alarms = Alarms(precision: StreamPacer.precision)
  private let streams = Mutex(0)

  /// The pause between two pieces now; nil when they go out as they come.
  var pause: Duration? {
    let pause = min(Self.pausePerStream * streams.withLock { $0 }, Self.longestPause)
    return pause < Self.precision ? nil : pause
  }

  /// Counts an answer in.
  func open() { streams.withLock { $0 += 1 } }

  /// Counts an answer out.
  func close() { streams.withLock { $0 -= 1 } }

  /// Calls `action` after `duration`.
  func call(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> UInt64 {
    alarms.call(after: duration, action)
  }

  /// Takes a call back.
  func cancel(_ id: UInt64) { alarms.cancel(id) }
}

/// Where one stream's pieces are put, joined as the pacer says.
final class PacedEvents: Sendable {
  private struct State {
    var held: [Int: AnswerDelta] = [:]
    var lastPiece: ContinuousClock.Instant?
    var alarm: UInt64?
  }

  private let pacer: StreamPacer
  private let sink: AsyncThrowingStream<[AnswerEvent], any Error>.Continuation
  private let state = Mutex(State())

  /// Begins a stream whose events come out of `sink`'s other end.
  init(
    _ pacer: StreamPacer, into sink: AsyncThrowingStream<[AnswerEvent], any Error>.Continuation
  ) {
    (self.pacer, self.sink) = (pacer, sink)
    pacer.open()
  }

  deinit { pacer.close() }

  /// More of a choice: sent on at once, or joined with what comes soon.
  func add(_ delta: AnswerDelta, to index: Int) {
    state.withLock { state in
      let now = ContinuousClock.now
      guard let last = state.lastPiece, let pause = pacer.pause, now - last < pause else {
        state.lastPiece = now
        state.held[index, default: AnswerDelta(text: "", tokens: [])].append(delta)
        release(&state)
        return
      }
      state.held[index, default: AnswerDelta(text: "", tokens: [])].append(delta)
      guard state.alarm == nil else { return }
      state.alarm = pacer.call(after: pause - (now - last)) { [weak self] in self?.ring() }
    }
  }

  /// A choice is whole: that and all that was held goes out at once.
  func finish(_ index: Int, _ answer: Answer) {
    state.withLock { release(&$0, and: [.finished(index, answer)]) }
  }

  /// All choices are whole, or one failed.
  func end(throwing error: (any Error)? = nil) {
    state.withLock { release(&$0) }
    sink.finish(throwing: error)
  }

  private func ring() {
    state.withLock { state in
      state.alarm = nil
      state.lastPiece = .now
      release(&state)
    }
  }

  private func release(_ state: inout State, and more: [AnswerEvent] = []) {
    if let alarm = state.alarm { pacer.cancel(alarm) }
    state.alarm = nil
    let held = state.held.sorted { $0.key < $1.key }.map { AnswerEvent.delta($0.key, $0.value) }
    state.held = [:]
    if !(held.isEmpty && more.isEmpty) { sink.yield(held + more) }
  }
}

extension AnswerDelta {
  fileprivate mutating func append(_ other: AnswerDelta) {
    text += other.text
    tokens += other.tokens
  }
}
