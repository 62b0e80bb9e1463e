import Messaging
import PaliGemma
import Tensors

/// Lets requests into a pipeline and puts their answers together: a pure value, driven by whoever
/// owns the sockets or the local stages.
///
/// It outlives plans. Of every request let in it keeps a record: what was asked, and the tokens so
/// far. When a plan ends, requests under way stand in line again, in front of all others; under the
/// next plan they are gone through up to their last token and go on from there.
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

  private struct Prefill {
    var route: [Int]
    var requests: Set<UInt64>
  }

  let config: ModelConfig
  private let limits: Limits
  private var plan: PipelinePlan?
  private var epoch: UInt64 = 0
  private var keepsCaches = false
  private var waiting = WaitingRequests()
  var records: [UInt64: Record] = [:]
  /// Let in, and with the stages.
  var active: Set<UInt64> = []
  /// Let in under an earlier plan, and not with the stages of this one yet; oldest first.
  private var replays: [UInt64] = []
  private var released: [UInt64] = []
  private var prefills: [UInt64: Prefill] = [:]
  private var prefillOfRequest: [UInt64: UInt64] = [:]
  private var sequence: UInt64 = 0
  private var turns = ReplicaTurns()
  /// Micro-batches that failed under this plan.
  private var failed = RecentSequences()
  /// What requests that were answered were like.
  private(set) var mix = RequestMix()

  /// A scheduler without a plan: requests wait.
  public init(config: ModelConfig, limits: Limits) {
    self.config = config
    self.limits = limits
  }

  /// A scheduler for one plan.
  public init(config: ModelConfig, plan: PipelinePlan, epoch: UInt64, limits: Limits) {
    self.init(config: config, limits: limits)
    begin(plan, epoch: epoch, keepsCaches: false)
  }

  /// Requests that wait for their prefill or for their replay, and requests under way.
  public var counts: (waiting: Int, active: Int) { (waiting.count + replays.count, active.count) }

  /// Whether nobody waits for anything.
  var isIdle: Bool { waiting.count == 0 && records.values.allSatisfy(\.isProbe) }

  /// Requests whose caches are worth keeping when the plan changes.
  var cachedRequests: [UInt64] { records.filter { $0.value.hasCaches }.keys.sorted() }

  // MARK: Requests

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

  /// Gives a request up. It is forgotten at once; what is under way for it comes to nothing.
  ///
  /// - Returns: whether stages must be told, because it is under way.
  public mutating func cancel(_ id: UInt64) -> Bool {
    waiting.remove(id)
    endPrefill(of: id)
    replays.removeAll { $0 == id }
    if let record = records.removeValue(forKey: id), record.hasCaches, !active.contains(id) {
      released.append(id)
    }
    return active.remove(id) != nil
  }

  /// Ends everything: there will be no pipeline.
  public mutating func failAll(_ failure: Failure) -> [Event] {
    let ids = records.filter { !$0.value.isProbe }.keys.sorted() + waiting.ids
    // Probes go on: the next plan begins with them.
    records = records.filter { $0.value.isProbe }
    active = active.filter { records[$0] != nil }
    (waiting, replays) = (WaitingRequests(), [])
    (prefills, prefillOfRequest) = ([:], [:])
    return ids.map { .finished($0, .failure(failure)) }
  }

  // MARK: Plans

  /// The plan is over: what was under way stands in line again.
  ///
  /// - Parameter isDeath: whether a worker died of it, perhaps by what it computed. A request that
  ///   was alone under way when that happened twice is what kills workers. In company it takes two
  ///   deaths more: after two it goes alone among those that were there both times, after a third
  ///   alone altogether.
  /// - Returns: that request's end, with `poison_request`.
  public mutating func suspend(isDeath: Bool) -> [Event] {
    let under = active.filter { !(records[$0]?.isProbe ?? true) }.sorted()
    for id in active where records[id]?.isProbe ?? true { records[id] = nil }
    (plan, active, prefills, prefillOfRequest) = (nil, [], [:], [:])
    var poisonous: UInt64?
    if isDeath { poisonous = blame(under) }
    let left = under.filter { $0 != poisonous }
    replays = (replays + left).sorted()
    guard let poisonous, let record = records.removeValue(forKey: poisonous) else { return [] }
    if record.hasCaches { released.append(poisonous) }
    return [
      .finished(
        poisonous,
        .failure(
          Failure(
            code: "poison_request",
            message: "workers died \(record.losses) times while this request was under way, and "
              + "nothing else explains it; look at its picture and at the workers' logs")))
    ]
  }

  /// - Returns: the request that must be what kills workers.
  private mutating func blame(_ under: [UInt64]) -> UInt64? {
    let suspects = under.filter { records[$0]?.isSuspect ?? false }
    for id in under { records[id]?.losses += 1 }
    if under.count == 1, let alone = under.first {
      records[alone]?.lossesAlone += 1
      if records[alone]?.isPoison ?? false { return alone }
    }
    if suspects.count == 1 { records[suspects[0]]?.isAccused = true }
    return nil
  }

  /// A new plan: what was under way goes on under it.
  ///
  /// - Parameters:
  ///   - plan: whom micro-batches go through.
  ///   - epoch: its number.
  ///   - keepsCaches: whether the stages still have what requests left there.
  public mutating func begin(_ plan: PipelinePlan, epoch: UInt64, keepsCaches: Bool) {
    (self.plan, self.epoch, self.keepsCaches, sequence) = (plan, epoch, keepsCaches, 0)
    (failed, turns) = (RecentSequences(), ReplicaTurns())
    if !keepsCaches {
      for id in records.keys { records[id]?.hasCaches = false }
      released = []
    }
  }

  /// A request of nobody's, through one replica of each stage.
  mutating func probe(_ request: PreparedRequest, id: UInt64, route: [Int]) -> MicroBatch {
    records[id] = Record(request: request, isProbe: true)
    return prefill([id], route: route)
  }

  // MARK: The way in

  /// The next micro-batch for the pipeline; nil when nothing waits or enough is under way.
  ///
  /// First what an earlier plan left; then interactive requests, then the jobs in turn, a request
  /// each. A few places are never given to batch work, so that somebody who waits needn't wait for a
  /// long answer to end.
  public mutating func nextMicroBatch() -> MicroBatch? {
    guard let plan else { return nil }
    if let accused = records.first(where: { $0.value.isAccused })?.key {
      guard active.allSatisfy({ records[$0]?.isProbe ?? false }) else { return nil }
      replays.removeAll { $0 == accused }
      return prefill([accused], route: nextRoute(plan))
    }
    if let batch = nextResumption(plan) { return batch }
    guard prefills.count < limits.prefillsInFlight(workerCount: plan.workerCount) else {
      return nil
    }
    let rowsMaximum = limits.prefillRows(workerCount: plan.workerCount)
    let places = limits.requestsInFlight(decodeStages: plan.decodeStageCount)
    var chosen: [UInt64] = []
    var rows = 0
    var isFull = false
    for id in replays {
      // An earlier plan may have had more places, and its workers more room for caches together.
      if active.count + chosen.count >= places { break }
      guard let record = records[id] else { continue }
      let more = rowCount(of: record.request)
      isFull = !chosen.isEmpty && (rows + more > rowsMaximum || record.isSuspect)
      if isFull { break }
      if record.isSuspect, active.contains(where: { records[$0]?.isSuspect ?? false }) { continue }
      rows += more
      chosen.append(id)
      isFull = record.isSuspect
      if isFull { break }
    }
    replays.removeAll(where: chosen.contains)
    while !isFull, let next = waiting.first,
      hasPlace(next.request.handling.priority, plan)
    {
      let more = rowCount(of: next.request)
      if !chosen.isEmpty && rows + more > rowsMaximum { break }
      rows += more
      waiting.removeFirst()
      records[next.id] = Record(request: next.request)
      chosen.append(next.id)
    }
    return chosen.isEmpty ? nil : prefill(chosen, route: nextRoute(plan))
  }

  private mutating func prefill(_ ids: [UInt64], route: [Int]) -> MicroBatch {
    sequence += 1
    active.formUnion(ids)
    prefills[sequence] = Prefill(route: route, requests: Set(ids))
    for id in ids { prefillOfRequest[id] = sequence }
    let chosen = ids.compactMap { id in records[id].map { (id, $0) } }
    defer { released = [] }
    return MicroBatch(
      epoch: epoch, sequence: sequence, stage: 0, route: route,
      segments: chosen.map { segment(id: $0, $1) }, released: released,
      tensor: Self.concatenated(chosen.map(\.1.request.pixels)))
  }

  /// Requests whose caches the stages have kept: straight to where decode steps start.
  private mutating func nextResumption(_ plan: PipelinePlan) -> MicroBatch? {
    let kept = replays.filter { id in
      records[id].map { $0.hasCaches && !$0.tokens.isEmpty && !$0.isSuspect } ?? false
    }
    guard keepsCaches, !kept.isEmpty else { return nil }
    replays.removeAll(where: kept.contains)
    active.formUnion(kept)
    sequence += 1
    return MicroBatch(
      epoch: epoch, sequence: sequence, stage: plan.embeddingStage, route: nextRoute(plan),
      segments: kept.compactMap { id in records[id].map { resumption(id: id, $0) } })
  }

  private func resumption(id: UInt64, _ record: Record) -> Segment {
    let tokens = record.tokens.map(\.tokenID)
    return Segment(
      request: id, phase: .decode, position: rowCount(of: record.request) + tokens.count - 1,
      rowCount: 1, tokenIDs: tokens.suffix(1), sampling: record.request.sampling,
      recorded: tokens)
  }

  // MARK: The way out

  /// Takes what the stages answered. A token that is known already, from before the plan changed, is
  /// no event.
  public mutating func receive(_ batch: TokenBatch) -> [Event] {
    guard batch.epoch == epoch else { return [] }
    // A second copy of a failure would start its requests a second time beside the first.
    if batch.results.contains(where: { $0.finish == .failed }), !failed.insert(batch.sequence) {
      return []
    }
    var events: [Event] = []
    events.reserveCapacity(batch.results.count)
    for result in batch.results where active.contains(result.request) {
      guard records[result.request] != nil else { continue }
      endPrefill(of: result.request)
      if result.finish == .failed {
        events += fail(result)
        continue
      }
      // Taken out while it changes: of two that share the tokens so far one would copy them, with each token.
      guard var record = records.removeValue(forKey: result.request) else { continue }
      defer { records[result.request] = record }
      // Where the answer has ended without its being heard, the stages keep nothing of it; where a
      // replay has just begun, not all yet.
      record.hasCaches = result.finish == nil && result.index + 1 >= record.tokens.count
      guard result.index == record.tokens.count else { continue }
      let token = TokenLogprob(
        tokenID: result.tokenID, logprob: result.logprob, alternatives: result.alternatives)
      record.tokens.append(token)
      events.append(.token(result.request, token))
      if let finish = result.finish {
        if !record.isProbe {
          mix.add(
            promptTokens: record.request.textTokenIDs.count, answerTokens: record.tokens.count)
        }
        events.append(
          .finished(result.request, .success(Completion(tokens: record.tokens, finish: finish))))
      }
    }
    for case .finished(let id, _) in events {
      records[id] = nil
      active.remove(id)
    }
    return events
  }

  /// The results of a batch that say something new, for counting.
  func fresh(_ batch: TokenBatch) -> TokenBatch {
    var fresh = batch
    fresh.results.removeAll { result in
      batch.epoch != epoch || records[result.request]?.tokens.count != result.index
    }
    return fresh
  }

  /// A stage that has lost a request's caches gets them anew; any other failure is the request's own.
  private mutating func fail(_ result: TokenResult) -> [Event] {
    if result.failure?.code == StageExecutor.cacheLost {
      records[result.request]?.hasCaches = false
      active.remove(result.request)
      replays = (replays + [result.request]).sorted()
      return []
    }
    let failure = result.failure ?? Failure(code: "internal", message: "a stage failed")
    return [.finished(result.request, .failure(failure))]
  }

  /// Whether one more request of this priority may be under way.
  private func hasPlace(_ priority: Handling.Priority, _ plan: PipelinePlan) -> Bool {
    // What stands in line for its replay has its place.
    let stages = plan.decodeStageCount
    guard records.count < limits.requestsInFlight(decodeStages: stages) else { return false }
    return priority == .interactive
      || records.values.count { $0.request.handling.priority == .batch }
        < limits.batchRequestsInFlight(decodeStages: stages)
  }

  private mutating func endPrefill(of request: UInt64) {
    guard let sequence = prefillOfRequest.removeValue(forKey: request) else { return }
    prefills[sequence]?.requests.remove(request)
    if prefills[sequence]?.requests.isEmpty ?? false { prefills[sequence] = nil }
  }

  /// A worker of each stage.
  private mutating func nextRoute(_ plan: PipelinePlan) -> [Int] {
    let prefills = prefills.values
    return plan.stages.enumerated().map { index, stage in
      turns.next(of: stage.workers) { worker in prefills.count { $0.route[index] == worker } }
    }
  }

  private func rowCount(of request: PreparedRequest) -> Int {
    request.pixels.rowCount * config.imageTokenCount + request.textTokenIDs.count
  }

  private func segment(id: UInt64, _ record: Record) -> Segment {
    let request = record.request
    let rows = rowCount(of: request)
    return Segment(
      request: id, phase: .prefill, position: 0, rowCount: rows,
      tokenIDs: request.textTokenIDs, imageCount: request.pixels.rowCount,
      capacity: rows + request.sampling.maximumTokens, sampling: request.sampling,
      recorded: record.tokens.map(\.tokenID))
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
