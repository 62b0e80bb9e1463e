import Messaging
import PaliGemma
import Tensors

/// Lets requests into a pipeline and puts their answers together: a pure value, driven by whoever
/// owns the sockets or the local stages.
public struct Scheduler {
  /// Something a caller waits for.
  public enum Event: Sendable, Equatable {
    /// A request has one more token.
    case token(UInt64, TokenLogprob)
    /// A request ended: with an answer, or with a failure.
    case finished(UInt64, Result<Completion, Failure>)

    /// Whose event it is.
    var request: UInt64 {
      switch self {
      case .token(let id, _), .finished(let id, _): id
      }
    }
  }

  private struct Active {
    var tokens: [TokenLogprob] = []
    var priority: Handling.Priority
  }
  private struct Prefill {
    var route: [Int]
    var requests: Set<UInt64>
  }

  private let config: ModelConfig
  private let plan: PipelinePlan
  private let epoch: UInt64
  private let limits: Limits
  private var waiting = WaitingRequests()
  private var active: [UInt64: Active] = [:]
  private var prefills: [UInt64: Prefill] = [:]
  private var prefillOfRequest: [UInt64: UInt64] = [:]
  private var sequence: UInt64 = 0

  /// A scheduler for one epoch of a plan.
  public init(config: ModelConfig, plan: PipelinePlan, epoch: UInt64, limits: Limits) {
    self.config = config
    self.plan = plan
    self.epoch = epoch
    self.limits = limits
  }

  /// Requests that wait for their prefill, and requests under way.
  public var counts: (waiting: Int, active: Int) { (waiting.count, active.count) }

  /// Takes a request in, or says why not.
  ///
  /// - Throws: `overloaded` when too many wait, `invalid_request` when it can't be computed.
  public mutating func enqueue(_ request: PreparedRequest, id: UInt64) throws(Failure) {
    guard waiting.count(request.handling.priority) < limits.requestsWaiting else {
      throw Failure(
        code: "overloaded",
        message: "\(waiting.count) requests wait already; send this one again in a moment")
    }
    try RequestCheck(config: config).check(request)
    waiting.append(request, id: id)
  }

  /// The next prefill to send to the first stage; nil when nothing waits or enough is under way.
  ///
  /// Interactive requests go first, then the jobs in turn, a request each; a few places are never
  /// given to batch work, so that somebody who waits needn't wait for a long answer to end.
  public mutating func nextMicroBatch() -> MicroBatch? {
    guard prefills.count < limits.prefillsInFlight(stageCount: plan.stages.count) else {
      return nil
    }
    var chosen: [(id: UInt64, request: PreparedRequest)] = []
    var rows = 0
    while let next = waiting.first, hasPlace(next.request.handling.priority) {
      let more = rowCount(of: next.request)
      if !chosen.isEmpty && rows + more > limits.prefillRows { break }
      rows += more
      waiting.removeFirst()
      active[next.id] = Active(priority: next.request.handling.priority)
      chosen.append(next)
    }
    guard !chosen.isEmpty else { return nil }
    sequence += 1
    let route = nextRoute()
    prefills[sequence] = Prefill(route: route, requests: Set(chosen.map(\.id)))
    for (id, _) in chosen { prefillOfRequest[id] = sequence }
    return MicroBatch(
      epoch: epoch, sequence: sequence, stage: 0, route: route,
      segments: chosen.map { segment(id: $0.id, $0.request) },
      tensor: Self.concatenated(chosen.map(\.request.pixels)))
  }

  /// Takes what the stages answered.
  public mutating func receive(_ batch: TokenBatch) -> [Event] {
    guard batch.epoch == epoch else { return [] }
    var events: [Event] = []
    for result in batch.results {
      guard var state = active[result.request] else { continue }
      endPrefill(of: result.request)
      if result.finish == .failed {
        active[result.request] = nil
        let failure = result.failure ?? Failure(code: "internal", message: "a stage failed")
        events.append(.finished(result.request, .failure(failure)))
        continue
      }
      let token = TokenLogprob(
        tokenID: result.tokenID, logprob: result.logprob, alternatives: result.alternatives)
      state.tokens.append(token)
      active[result.request] = state
      events.append(.token(result.request, token))
      if let finish = result.finish {
        active[result.request] = nil
        events.append(
          .finished(result.request, .success(Completion(tokens: state.tokens, finish: finish))))
      }
    }
    return events
  }

  /// Gives a request up. It is forgotten at once; what is under way for it comes to nothing.
  ///
  /// - Returns: whether stages must be told, because it is under way.
  public mutating func cancel(_ id: UInt64) -> Bool {
    waiting.remove(id)
    endPrefill(of: id)
    return active.removeValue(forKey: id) != nil
  }

  /// Ends everything: the pipeline is gone.
  public mutating func failAll(_ failure: Failure) -> [Event] {
    let ids = active.keys.sorted() + waiting.ids
    (waiting, active, prefills, prefillOfRequest) = (WaitingRequests(), [:], [:], [:])
    return ids.map { .finished($0, .failure(failure)) }
  }

  /// Whether one more request of this priority may be under way.
  private func hasPlace(_ priority: Handling.Priority) -> Bool {
    guard active.count < limits.requestsInFlight else { return false }
    return priority == .interactive
      || active.values.count { $0.priority == .batch } < limits.batchRequestsInFlight
  }

  private mutating func endPrefill(of request: UInt64) {
    guard let sequence = prefillOfRequest.removeValue(forKey: request) else { return }
    prefills[sequence]?.requests.remove(request)
    if prefills[sequence]?.requests.isEmpty ?? false { prefills[sequence] = nil }
  }

  /// For each stage the replica with the least prefills under way; the first of equals.
  private func nextRoute() -> [Int] {
    plan.stages.enumerated().map { index, stage in
      let load = { (worker: Int) in prefills.values.count { $0.route[index] == worker } }
      return stage.workers.min { (load($0), $0) < (load($1), $1) } ?? stage.workers[0]
    }
  }

  private func rowCount(of request: PreparedRequest) -> Int {
    request.pixels.rowCount * config.imageTokenCount + request.textTokenIDs.count
  }

  private func segment(id: UInt64, _ request: PreparedRequest) -> Segment {
    let rows = rowCount(of: request)
    return Segment(
      request: id, phase: .prefill, position: 0, rowCount: rows,
      tokenIDs: request.textTokenIDs, imageCount: request.pixels.rowCount,
      capacity: rows + request.sampling.maximumTokens, sampling: request.sampling)
  }

  private static func concatenated(_ pixels: [Tensor]) -> Tensor? {
    guard let first = pixels.first, pixels.count > 1 else { return pixels.first }
    let all = Tensor(
      .u8, shape: [pixels.reduce(0) { $0 + $1.rowCount }] + first.shape.dropFirst())
    var row = 0
    for part in pixels {
      all.rows(row..<row + part.rowCount).withBytes { target in
        part.withBytes { target.copyMemory(from: UnsafeRawBufferPointer($0)) }
      }
      row += part.rowCount
    }
    return all
  }
}

/// Whether a request can be computed at all; checked before anything is spent on it.
struct RequestCheck {
  let config: ModelConfig

  func check(_ request: PreparedRequest) throws(Failure) {
    let side = config.vision.imageSide
    let pictures = request.pixels.rowCount
    try require(
      request.pixels.elementType == .u8 && pictures > 0
        && request.pixels.shape == [pictures, side, side, 3],
      "pixels of shape \(request.pixels.shape), not [pictures, \(side), \(side), 3]")
    try require(!request.textTokenIDs.isEmpty, "no tokens")
    try require(
      request.textTokenIDs.allSatisfy { $0 >= 0 && Int($0) < config.text.vocabularyCount },
      "a token outside the vocabulary of \(config.text.vocabularyCount)")
    let sampling = request.sampling
    try require(sampling.maximumTokens > 0, "no room for an answer")
    let (positions, overflow) = (pictures * config.imageTokenCount + request.textTokenIDs.count)
      .addingReportingOverflow(sampling.maximumTokens)
    try require(
      !overflow && positions <= config.text.positionCountMaximum,
      "\(pictures * config.imageTokenCount + request.textTokenIDs.count) prompt tokens and up to "
        + "\(sampling.maximumTokens) answer tokens, more than the model's "
        + "\(config.text.positionCountMaximum) positions")
    try require(
      sampling.temperature >= 0 && sampling.temperature.isFinite && sampling.topK >= 0
        && sampling.topP > 0 && sampling.topP <= 1,
      "sampling out of range: temperature >= 0, top_k >= 0, 0 < top_p <= 1")
  }

  private func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Failure) {
    guard holds else {
      throw Failure(code: "invalid_request", message: "the request has \(what())")
    }
  }
}
