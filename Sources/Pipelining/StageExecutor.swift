import Messaging
import PaliGemma
import Tensors

/// Runs one stage: takes messages in, computes one micro-batch per `step`, gives messages out.
///
/// The same code runs in one process (`LocalEngine`) and in many (`WorkerLoop`); it knows no
/// sockets. Owned by one thread.
///
/// Who bounds the queues: the scheduler admits at most `Limits.requestsInFlight` requests and
/// `prefillsInFlight` micro-batches, so what can wait here is bounded by `messagesInFlight`.
public final class StageExecutor {
  /// A message for somebody else.
  public enum Outgoing {
    /// For the worker `route[stage]`.
    case microBatch(MicroBatch)
    /// For the stage with the token embedding, and for the coordinator.
    case tokens(TokenBatch)
  }

  /// The plan this stage belongs to; messages of another epoch are dropped.
  public let epoch: UInt64
  /// Which stage of the plan this is.
  public let stage: Int
  /// The weights and the arithmetic.
  let section: ModelSection
  private let limits: Limits
  private let cacheCountMaximum: Int
  private var queue: [MicroBatch] = []
  private var caches: [UInt64: KVCache] = [:]
  private var decodeGroups: DecodeGroups?
  private var head: HeadState?
  private var lastWasDecode = false
  /// Rows of pictures seen before; nil where no vision blocks are.
  public let visionCache: VisionCache?
  private var meter: StageMeter
  private var recent = RecentSequences()
  /// The code of a failure that a new prefill heals: the stage has not what the request left here.
  static let cacheLost = "cache_lost"

  /// Makes the executor of stage `stage` of `plan`.
  ///
  /// What `previous`, of the same section under the plan before, knows of pictures is kept, and the
  /// caches of `keptRequests`, which go on from there.
  public init(
    section: ModelSection, plan: PipelinePlan, stage: Int, epoch: UInt64, limits: Limits,
    previous: StageExecutor? = nil, keptRequests: [UInt64] = []
  ) {
    self.section = section
    self.stage = stage
    self.epoch = epoch
    self.limits = limits
    cacheCountMaximum = limits.cachesPerStage(decodeStages: plan.decodeStageCount)
    meter = StageMeter(stage: stage)
    if section.takesTokens {
      decodeGroups = DecodeGroups(
        epoch: epoch, stage: stage, stageCount: plan.decodeStageCount,
        replayedAtOnce: Self.replayedAtOnce(section))
    }
    if section.givesLogits { head = HeadState() }
    visionCache =
      section.visionPartCount > 0
      ? previous?.visionCache ?? VisionCache(byteCountMaximum: limits.visionCacheByteCount) : nil
    if let previous {
      for request in keptRequests { caches[request] = previous.caches[request] }
    }
  }

  /// Takes a message in; one of another epoch is late, one that came before is a copy: both are
  /// dropped.
  public func receive(_ message: StageMessage) {
    switch message {
    case .microBatch(let batch) where batch.epoch == epoch:
      guard recent.insert(batch.sequence) else { return }
      meter.arrived(batch)
      queue.append(batch)
    case .tokenBatch(let batch) where batch.epoch == epoch: decodeGroups?.receive(batch)
    case .microBatch, .tokenBatch, .pulse: break
    }
  }

  /// Stops decoding these requests; their caches are released.
  public func cancel(_ requests: [UInt64]) { decodeGroups?.cancel(requests) }

  /// Computes the next micro-batch, if there is one.
  ///
  /// Policy where decode steps start: prefills and decode groups take turns when both wait, so
  /// that neither starves. Elsewhere: first come, first served.
  ///
  /// - Returns: what is to be sent, perhaps nothing (the release of a cache in the last stage has
  ///   nobody to tell); nil when there was nothing to do.
  public func step() -> [Outgoing]? {
    let wantsDecode = decodeGroups?.hasTokens ?? false
    if !queue.isEmpty && !(wantsDecode && !lastWasDecode) {
      lastWasDecode = false
      let batch = queue.removeFirst()
      decodeGroups?.admit(batch)
      return compute(batch)
    }
    lastWasDecode = true
    return decodeGroups?.next().map(compute)
  }

  /// What the last step took, once.
  public func takeSpan() -> TraceSpan? { meter.takeSpan() }

  /// Pictures that the vision cache had, and those that were computed.
  public var visionCounts: (hits: UInt64, misses: UInt64) {
    (visionCache?.hits ?? 0, visionCache?.misses ?? 0)
  }

  /// Recorded tokens of one request that go through the stages in one step: one where a product of
  /// several rows may have other bits than one of each.
  private static func replayedAtOnce(_ section: ModelSection) -> Int {
    section.isExact ? 128 : 1
  }

  /// What this stage holds now; the process's memory is not its business.
  public var gauges: Gauges {
    var gauges = Gauges()
    gauges.queueLength = queue.count
    gauges.waitingTokens = decodeGroups?.waitingCount ?? 0
    gauges.weightBytes = section.weightByteCount
    gauges.cacheCount = caches.count
    gauges.cacheBytes = caches.values.reduce(0) { $0 + $1.byteCount }
    gauges.visionCacheBytes = visionCache?.byteCount ?? 0
    return gauges
  }

  private func compute(_ batch: MicroBatch) -> [Outgoing] {
    meter.begin(batch, queueLength: queue.count)
    defer { meter.end() }
    for request in batch.released { forget(request) }
    if batch.segments.isEmpty { return forwarded(batch, tensor: nil) }
    do throws(Failure) {
      try MicroBatchCheck(section: section, limits: limits).check(batch)
      let sequences = try makeSequences(batch)
      let rows = section.forward(
        batch.tensor, sequences: sequences, visionCache: visionCache)
      if let tokens = head?.sample(rows, batch: batch) { return [.tokens(tokens)] }
      return forwarded(batch, tensor: rows)
    } catch {
      // One bad micro-batch is an error for its requests; the stage goes on.
      let failures = StageExecutor.Outgoing.tokens(failed(batch, error))
      guard !batch.released.isEmpty else { return [failures] }
      var release = batch
      release.segments = []
      return [failures] + forwarded(release, tensor: nil)
    }
  }

  /// Caches for new requests, and the caches of known ones.
  private func makeSequences(_ batch: MicroBatch) throws(Failure) -> [SequenceRows] {
    var sequences: [SequenceRows] = []
    sequences.reserveCapacity(batch.segments.count)
    for segment in batch.segments {
      let isPrefill = segment.phase == .prefill
      if isPrefill, !section.decoderLayers.isEmpty {
        // What an earlier plan left of the request is no use any more.
        caches[segment.request] = nil
        guard caches.count < cacheCountMaximum else {
          throw Failure(code: "overloaded", message: "stage \(stage) holds \(caches.count) caches")
        }
        caches[segment.request] = section.makeCache(capacity: segment.capacity)
      }
      let cache = caches[segment.request]
      guard cache != nil || section.decoderLayers.isEmpty else {
        throw Failure(
          code: Self.cacheLost,
          message: "stage \(stage) doesn't know request \(segment.request)")
      }
      // It goes on from the last token that the coordinator knows; stages may have been further.
      if segment.phase == .decode, segment.sampling != nil { cache?.truncate(to: segment.position) }
      let filled = cache?.tokenCount ?? segment.position
      guard filled == segment.position, segment.rowCount <= (cache?.capacity ?? .max) - filled
      else {
        throw Failure(
          code: Self.cacheLost,
          message: "stage \(stage) has \(filled) positions of request \(segment.request), not "
            + "\(segment.position)")
      }
      sequences.append(
        SequenceRows(
          isPrefill ? .prefix(imageCount: segment.imageCount) : .suffix,
          tokenIDs: segment.tokenIDs, rowCount: segment.rowCount, cache: cache))
    }
    return sequences
  }

  private func forwarded(_ batch: MicroBatch, tensor: Tensor?) -> [Outgoing] {
    // The last stage passes nothing on: what it releases ends here.
    guard head == nil else { return [] }
    var next = batch
    next.stage = stage + 1
    next.tensor = tensor
    if section.takesTokens {
      for index in next.segments.indices { next.segments[index].tokenIDs = [] }
    }
    return [.microBatch(next)]
  }

  private func failed(_ batch: MicroBatch, _ failure: Failure) -> TokenBatch {
    TokenBatch(
      epoch: epoch, sequence: batch.sequence,
      results: batch.segments.map {
        TokenResult(
          request: $0.request, index: 0, tokenID: 0, finish: .failed, failure: failure)
      })
  }

  private func forget(_ request: UInt64) {
    caches[request] = nil
    head?.forget(request)
  }
}
