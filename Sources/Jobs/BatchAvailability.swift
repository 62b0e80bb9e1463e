import Messaging
import Synchronization

/// Keeps a batch from burning its requests on a cluster that is away for a while.
///
/// While the service fails for reasons of its own, one request at a time goes to see whether it is
/// back, and the others wait. A request that was under way when a worker or the coordinator was lost is
/// asked again; one that is lost time and again may be what kills them: from its second loss on it is
/// suspected, suspects run one at a time, and after `JobLimits.lossCount` losses it has failed.
final class BatchAvailability: Sendable {
  /// A failure that says nothing about the request.
  enum Kind {
    /// A queue is full: soon there is room.
    case busy
    /// Nobody could begin it.
    case away
    /// It was under way, and is lost.
    case lost
    /// Another model is there now: nothing that the run could go on with.
    case foreign
  }

  /// What a failure's code says; nil when it is the request's own.
  static func kind(_ code: String) -> Kind? {
    switch code {
    case "overloaded": .busy
    // A coordinator that is away says so of what was under way and of what never was, so its loss counts
    // against no request.
    case "cluster_not_ready", "no_coordinator", "coordinator_lost", "stopped": .away
    case "worker_lost", "reply_timeout": .lost
    case "model_changed": .foreign
    default: nil
    }
  }

  private struct State {
    /// Since when nothing but transient failures came, and the last of them.
    var outage: (since: ContinuousClock.Instant, failure: Failure)?
    /// While it is away: when to look again, the wait after that, and whether somebody looks now.
    var nextProbe: ContinuousClock.Instant?
    var wait = Duration.milliseconds(50)
    var isProbing = false
    var isSuspectRunning = false
    var hasGivenUp = false
  }

  private static let waitMaximum = Duration.seconds(2)
  private static let poll = Duration.milliseconds(50)
  private let patience: Duration
  private let state = Mutex(State())

  /// Gives up when there was nothing but transient failures for `patience`.
  init(patience: Duration) { self.patience = patience }

  /// What the service fails with for now; nil when it works.
  var outage: Failure? { state.withLock { $0.nextProbe == nil ? nil : $0.outage?.failure } }
  /// Why the run should end; nil while there is hope.
  var end: Failure? { state.withLock { $0.hasGivenUp ? $0.outage?.failure : nil } }

  /// Waits for the turn to ask.
  ///
  /// - Parameter isSuspect: whether to run alone among suspects; then `leave` has to follow.
  /// - Returns: false when there is nothing to wait for: cancelled, or given up.
  func enter(isSuspect: Bool) async -> Bool {
    while !Task.isCancelled {
      let answer = state.withLock { state -> Bool? in
        if state.hasGivenUp { return false }
        if isSuspect, state.isSuspectRunning { return nil }
        if let next = state.nextProbe {
          guard !state.isProbing, ContinuousClock.now >= next else { return nil }
          state.isProbing = true
        }
        if isSuspect { state.isSuspectRunning = true }
        return true
      }
      if let answer { return answer }
      try? await Task.sleep(for: Self.poll)
    }
    return false
  }

  /// Ends a suspect's turn.
  func leave() { state.withLock { $0.isSuspectRunning = false } }

  /// The service answered, be it with a failure of the request's own.
  func noteAnswer() {
    state.withLock { state in
      (state.outage, state.nextProbe, state.isProbing) = (nil, nil, false)
      state.wait = .milliseconds(50)
    }
  }

  /// A cancelled request says nothing; somebody else may look.
  func noteNothing() { state.withLock { $0.isProbing = false } }

  /// The service failed for a reason of its own.
  func note(_ failure: Failure, _ kind: Kind) {
    let now = ContinuousClock.now
    state.withLock { state in
      let since = state.outage?.since ?? now
      state.outage = (since, failure)
      state.isProbing = false
      if kind == .foreign || since.duration(to: now) >= patience { state.hasGivenUp = true }
      guard kind != .busy else {
        state.nextProbe = nil
        return
      }
      if state.nextProbe.map({ $0 <= now }) ?? true {
        state.nextProbe = now + state.wait
        state.wait = min(state.wait * 2, Self.waitMaximum)
      }
    }
  }
}
