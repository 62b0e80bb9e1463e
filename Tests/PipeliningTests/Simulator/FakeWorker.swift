import Messaging
import PaliGemma

@testable import Pipelining

/// What a stage computes in the simulator: numbers that depend on everything a request had so far, so
/// that a token missed, doubled or put in the wrong place changes all that come after it.
enum FakeModel {
  static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
    var mixed = (left ^ (right &* 0x9E37_79B9_7F4A_7C15)) &+ 0xD1B5_4A32_D192_ED03
    mixed = (mixed ^ (mixed >> 29)) &* 0xBF58_476D_1CE4_E5B9
    return mixed ^ (mixed >> 32)
  }

  static func prompt(_ tokens: [Int32]) -> UInt64 {
    tokens.reduce(1) { mix($0, UInt64(bitPattern: Int64($1))) }
  }

  static func token(_ state: UInt64) -> Int32 { Int32(state % 500) + 3 }

  /// The undisturbed answer.
  static func answer(_ request: PreparedRequest) -> [Int32] {
    var state = mix(7, prompt(request.textTokenIDs))
    var tokens: [Int32] = []
    while tokens.count < request.sampling.maximumTokens {
      tokens.append(token(state))
      state = mix(state, UInt64(tokens[tokens.count - 1]))
    }
    return tokens
  }
}

/// A worker process of the simulator: the real protocol (`DecodeGroups` and the rules for caches), with
/// `FakeModel` for arithmetic.
struct FakeWorker {
  /// What travels beside a micro-batch in place of its tensor: per segment the rows as they entered, and
  /// what the stage before made of them.
  struct Rows: Equatable {
    var raw: [UInt64]
    var states: [UInt64]?
  }
  struct Message {
    var batch: MicroBatch
    var rows: [Rows]
  }
  private struct Cache {
    let promptRowCount: Int
    var states: [UInt64]
    var rowCount: Int { promptRowCount + states.count - 1 }
  }
  private struct Head {
    let promptRowCount: Int
    let recorded: [Int32]
    let maximum: Int
  }
  enum Outgoing {
    case next(Message)
    case tokens(TokenBatch)
  }

  private(set) var assign: Assign?
  private let config: ModelConfig
  private var caches: [UInt64: Cache] = [:]
  private var heads: [UInt64: Head] = [:]
  private var groups: DecodeGroups?
  private var recent = RecentSequences()
  var queue: [Message] = []
  var microBatches: UInt64 = 0
  /// What the last step computed, a failure or not.
  private(set) var computed: [Segment] = []

  init(config: ModelConfig) { self.config = config }

  var waiting: Int { groups?.waitingCount ?? 0 }
  var blocks: Range<Int> { assign.map { $0.stages[$0.stage].blocks } ?? 0..<0 }
  private var hasEmbedding: Bool { blocks.contains(config.tokenEmbeddingIndex) }
  private var hasHead: Bool { blocks.upperBound == config.blockCount }
  private var hasLayers: Bool { !config.decoderLayers(in: blocks).isEmpty }

  mutating func take(_ new: Assign) {
    guard new.epoch != assign?.epoch else { return }
    let isSame =
      assign.map { $0.stages[$0.stage].blocks == new.stages[new.stage].blocks } ?? false
    let keeps = isSame && new.keptEpoch == assign?.epoch
    caches = keeps ? caches.filter { new.keptRequests.contains($0.key) } : [:]
    (assign, queue, heads, recent, microBatches) = (new, [], [:], RecentSequences(), 0)
    let embedding =
      new.stages.firstIndex { $0.blocks.contains(config.tokenEmbeddingIndex) } ?? 0
    groups =
      hasEmbedding
      ? DecodeGroups(
        epoch: new.epoch, stage: new.stage, stageCount: new.stages.count - embedding,
        replayedAtOnce: 128) : nil
  }

  mutating func receive(_ message: Message) {
    if message.batch.epoch == assign?.epoch, recent.insert(message.batch.sequence) {
      queue.append(message)
    }
  }

  mutating func receive(_ tokens: TokenBatch) {
    if tokens.epoch == assign?.epoch { groups?.receive(tokens) }
  }

  mutating func cancel(_ requests: [UInt64], epoch: UInt64) {
    if epoch == assign?.epoch { groups?.cancel(requests) }
  }

  /// One step; nil when there is nothing to do.
  mutating func step() -> [Outgoing]? {
    guard let assign else { return nil }
    var message: Message
    if !queue.isEmpty {
      message = queue.removeFirst()
      groups?.admit(message.batch)
    } else if let batch = groups?.next() {
      message = Message(batch: batch, rows: [])
    } else {
      return nil
    }
    microBatches += 1
    computed = message.batch.segments
    for request in message.batch.released { (caches[request], heads[request]) = (nil, nil) }
    guard !message.batch.segments.isEmpty else {
      return hasHead ? [] : [.next(passed(message))]
    }
    if hasEmbedding || assign.stage == 0 {
      message.rows = message.batch.segments.map { segment in
        Rows(
          raw: segment.phase == .prefill
            ? [FakeModel.prompt(segment.tokenIDs)] : segment.tokenIDs.map { UInt64($0) })
      }
    }
    var failed: [TokenResult] = []
    for (index, segment) in message.batch.segments.enumerated() {
      guard let rows = attend(message.rows[index], segment) else {
        let failure = Failure(code: StageExecutor.cacheLost, message: "m")
        failed.append(
          TokenResult(
            request: segment.request, index: 0, tokenID: 0, finish: .failed, failure: failure))
        continue
      }
      message.rows[index] = rows
    }
    if !failed.isEmpty {
      // As the real stage: one bad segment fails its micro-batch.
      return [
        .tokens(
          TokenBatch(
            epoch: assign.epoch, sequence: message.batch.sequence,
            results: message.batch.segments.map {
              TokenResult(
                request: $0.request, index: 0, tokenID: 0, finish: .failed,
                failure: failed[0].failure)
            }))
      ]
    }
    return [hasHead ? .tokens(draw(message)) : .next(passed(message))]
  }

  private func passed(_ message: Message) -> Message {
    var message = message
    message.batch.stage += 1
    return message
  }

  /// The rows with this stage's states; nil when the cache isn't what the segment needs.
  private mutating func attend(_ rows: Rows, _ segment: Segment) -> Rows? {
    guard hasLayers || hasHead else { return rows }
    var cache: Cache
    if segment.phase == .prefill {
      cache = Cache(
        promptRowCount: segment.rowCount, states: [FakeModel.mix(7, rows.raw[0])])
    } else {
      guard let old = caches[segment.request] else { return nil }
      cache = old
      if segment.sampling != nil, cache.rowCount > segment.position {
        cache.states.removeLast(cache.rowCount - segment.position)
      }
      guard cache.rowCount == segment.position else { return nil }
      for raw in rows.raw {
        cache.states.append(FakeModel.mix(cache.states[cache.states.count - 1], raw))
      }
    }
    caches[segment.request] = cache
    let mine = Array(cache.states.suffix(rows.raw.count))
    // Stages that have not seen the same give something else than either.
    guard let before = rows.states, before != mine else { return Rows(raw: rows.raw, states: mine) }
    return Rows(raw: rows.raw, states: zip(before, mine).map { FakeModel.mix($0, $1) })
  }

  private mutating func draw(_ message: Message) -> TokenBatch {
    let results = zip(message.batch.segments, message.rows).map { segment, rows in
      if let sampling = segment.sampling {
        heads[segment.request] = Head(
          promptRowCount: segment.phase == .prefill
            ? segment.rowCount : segment.position + 1 - segment.recorded.count,
          recorded: segment.recorded, maximum: sampling.maximumTokens)
      }
      guard let head = heads[segment.request], let state = rows.states?.last else {
        return TokenResult(
          request: segment.request, index: 0, tokenID: 0, finish: .failed,
          failure: Failure(code: StageExecutor.cacheLost, message: "m"))
      }
      let index = segment.position + segment.rowCount - head.promptRowCount
      if index < head.recorded.count {
        return TokenResult(request: segment.request, index: index, tokenID: head.recorded[index])
      }
      return TokenResult(
        request: segment.request, index: index, tokenID: FakeModel.token(state),
        finish: index + 1 >= head.maximum ? .length : nil)
    }
    return TokenBatch(
      epoch: message.batch.epoch, sequence: message.batch.sequence, results: results)
  }
}
