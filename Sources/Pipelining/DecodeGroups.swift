import Messaging

/// The stage with the token embedding starts decode steps: this remembers which requests wait for
/// one, and groups them. Tokens come back from the last stage straight to here.
struct DecodeGroups {
  private struct Active {
    var position: Int  // rows the request has so far
    var promptRowCount: Int
    var route: [Int]
    /// Tokens drawn under an earlier plan, which the stages see again.
    var recorded: [Int32]
    /// The micro-batch that it is in, or was in last: whose answer it waits for.
    var sequence: UInt64
    var isCancelled = false

    init(_ segment: Segment, sequence: UInt64, route: [Int]) {
      position = segment.position + segment.rowCount
      promptRowCount =
        segment.phase == .prefill ? segment.rowCount : position - segment.recorded.count
      self.sequence = sequence
      self.route = route
      recorded = segment.recorded
    }

    /// The token that comes after the rows so far, from 0.
    var index: Int { position - promptRowCount }
  }

  private let epoch: UInt64
  private let stage: Int
  private let stageCount: Int
  private var active: [UInt64: Active] = [:]
  private var returned: [(request: UInt64, tokens: [Int32])] = []
  private var finished: [UInt64] = []
  private var finishedRoute: [Int] = []
  private var count: UInt64 = 0
  /// Cancelled before their prefill came by; the newest only, since an old one never comes.
  private var cancelledEarly: [UInt64] = []
  private static let cancelledEarlyMaximum = 4096
  private let replayedAtOnce: Int
  /// Decode steps whose tokens have not come back.
  private var underWay: Set<UInt64> = []

  /// Decode steps that may be under way where so many stages decode: one for each stage. Were there no
  /// bound, a token that comes back by itself would go on by itself, and where the last stage is the
  /// slowest, steps of one row would queue there for ever instead of meeting here: in the simulation of
  /// a demo model over four machines 128 images/s and not 1,200. One step more, for the way between two,
  /// splits the rows for ever too (16, 9 and 7 where 16 and 16 would do; each reads all weights): two
  /// stages of the 3B on one machine decode 80 % of what one process does, and 51 % with it. It gains
  /// 3 % only where a step takes no longer than a hop.
  static func stepsUnderWay(stageCount: Int) -> Int { max(1, stageCount) }

  /// - Parameters:
  ///   - epoch: of the plan.
  ///   - stage: the stage with the token embedding.
  ///   - stageCount: stages a decode step goes through.
  ///   - replayedAtOnce: recorded tokens of one request that go through the stages in one step.
  init(epoch: UInt64, stage: Int, stageCount: Int, replayedAtOnce: Int = 1) {
    self.epoch = epoch
    self.stage = stage
    self.stageCount = stageCount
    self.replayedAtOnce = max(1, replayedAtOnce)
  }

  /// Whether one more decode step may be under way.
  private var mayStep: Bool { underWay.count < Self.stepsUnderWay(stageCount: stageCount) }

  /// Whether there is a decode step, or a release, to send.
  var hasTokens: Bool { waitingCount > 0 || !finished.isEmpty }

  /// Tokens that wait for a decode step and could be in one; those that wait for others to come back
  /// are no work that is left undone.
  var waitingCount: Int { mayStep ? returned.count : 0 }

  /// Takes note of the requests of a prefill that passes here, or of those that go on after a plan
  /// has changed.
  mutating func admit(_ batch: MicroBatch) {
    for segment in batch.segments {
      var request = Active(segment, sequence: batch.sequence, route: batch.route)
      // It starts anew here: a token from before would be put in the wrong place.
      returned.removeAll { $0.request == segment.request }
      finished.removeAll { $0 == segment.request }
      if cancelledEarly.contains(segment.request) {
        request.isCancelled = true
        cancelledEarly.removeAll { $0 == segment.request }
      }
      active[segment.request] = request
    }
  }

  /// Takes tokens that the last stage chose; one that came before is dropped, and so is what a request
  /// was answered, even a failure, before it started anew.
  ///
  /// Recorded tokens go through the stages many at a time where a row's bits don't depend on the
  /// rows beside it, else one by one as they first did.
  mutating func receive(_ batch: TokenBatch) {
    underWay.remove(batch.sequence)
    for result in batch.results {
      guard let request = active[result.request], request.sequence == batch.sequence else {
        continue
      }
      guard result.finish == .failed || result.index == request.index,
        !returned.contains(where: { $0.request == result.request })
      else { continue }
      if result.finish != nil || request.isCancelled {
        end(result.request, request)
      } else {
        let end = min(request.recorded.count, result.index + replayedAtOnce)
        returned.append(
          (
            result.request,
            end > result.index ? Array(request.recorded[result.index..<end]) : [result.tokenID]
          ))
      }
    }
  }

  /// Ends requests nobody waits for: at once where a token waits for its next step, else when the
  /// token under way comes back.
  mutating func cancel(_ requests: [UInt64]) {
    for request in requests {
      if let state = active[request] {
        if let waiting = returned.firstIndex(where: { $0.request == request }) {
          returned.remove(at: waiting)
          end(request, state)
        } else {
          active[request]?.isCancelled = true
        }
      } else {
        cancelledEarly.append(request)
      }
    }
    cancelledEarly.removeFirst(max(0, cancelledEarly.count - Self.cancelledEarlyMaximum))
  }

  /// Forgets a request; its caches are released by the next message that passes through.
  private mutating func end(_ request: UInt64, _ state: Active) {
    active[request] = nil
    finished.append(request)
    finishedRoute = state.route
  }

  /// The next decode step: at most an equal share of the active requests for each stage that
  /// decodes, so that every stage has a group to work on while others are under way.
  ///
  /// - Returns: nil when no token waits; a batch without segments when there is only a release.
  mutating func next() -> MicroBatch? {
    guard hasTokens else { return nil }
    let share = max(1, (active.count + stageCount - 1) / stageCount)
    let group = Array(returned.prefix(mayStep ? share : 0))
    returned.removeFirst(group.count)
    var route = finishedRoute
    var segments: [Segment] = []
    segments.reserveCapacity(group.count)
    // The upper half of the numbers, so that they never meet the coordinator's.
    count += 1
    let sequence = 1 << 63 | count
    for (request, tokens) in group {
      guard var state = active[request] else { continue }
      segments.append(
        Segment(
          request: request, phase: .decode, position: state.position, rowCount: tokens.count,
          tokenIDs: tokens))
      state.position += tokens.count
      state.sequence = sequence
      active[request] = state
      route = state.route
    }
    if !segments.isEmpty { underWay.insert(sequence) }
    let released = finished
    finished = []
    return MicroBatch(
      epoch: epoch, sequence: sequence, stage: stage, route: route, segments: segments,
      released: released)
  }
}
