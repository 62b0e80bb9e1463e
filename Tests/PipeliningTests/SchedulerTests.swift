import GoldenFixtures
import Messaging
import PaliGemma
import Tensors
import Testing

@testable import Pipelining

/// Which requests go into the pipeline, and what is made of what comes out, message by message.
@Suite struct SchedulerTests {
  private let plan: PipelinePlan
  private let config: ModelConfig

  init() throws {
    config = try Golden("tiny-a").config
    plan = try .even(stageCount: 3, config: config)
  }

  /// A scheduler with requests 1 to `count`, waiting.
  private func scheduler(_ count: UInt64) throws -> Scheduler {
    var scheduler = Scheduler(config: config, plan: plan, epoch: 1, limits: Limits())
    for id in 1...count { try enqueue(&scheduler, id) }
    return scheduler
  }

  private func enqueue(_ scheduler: inout Scheduler, _ id: UInt64) throws {
    let side = config.vision.imageSide
    try scheduler.enqueue(
      PreparedRequest(
        pixels: Tensor(.u8, shape: [1, side, side, 3]), textTokenIDs: [config.beginTokenID],
        sampling: Sampling(maximumTokens: 4)), id: id)
  }

  private func next(_ scheduler: inout Scheduler) -> [UInt64] {
    scheduler.nextMicroBatch()?.segments.map(\.request) ?? []
  }

  private func lost(_ batch: MicroBatch) -> TokenBatch {
    TokenBatch(
      epoch: batch.epoch, sequence: batch.sequence,
      results: batch.segments.map {
        TokenResult(
          request: $0.request, index: 0, tokenID: 0, finish: .failed,
          failure: Failure(code: StageExecutor.cacheLost, message: "m"))
      })
  }

  @Test func aFailureToldTwiceCountsOncePerPlan() throws {
    var scheduler = try scheduler(2)
    let firstBatch = scheduler.nextMicroBatch()
    let first = try #require(firstBatch)
    #expect(first.segments.map(\.request) == [1, 2])
    #expect(scheduler.receive(lost(first)).isEmpty)
    #expect(next(&scheduler) == [1, 2])
    // The copy would start them a second time beside the first.
    #expect(scheduler.receive(lost(first)).isEmpty)
    #expect(next(&scheduler).isEmpty)
    #expect(scheduler.counts == (waiting: 0, active: 2))
    // Numbers begin anew with each plan, and so do failures.
    _ = scheduler.suspend(isDeath: false)
    scheduler.begin(plan, epoch: 2, keepsCaches: false)
    let secondBatch = scheduler.nextMicroBatch()
    let second = try #require(secondBatch)
    #expect(second.sequence == first.sequence)
    #expect(scheduler.receive(lost(second)).isEmpty)
    #expect(next(&scheduler) == [1, 2])
  }

  @Test func whatAnswersWereLikeIsCountedOnceAnAnswer() throws {
    var scheduler = try scheduler(2)
    let firstBatch = scheduler.nextMicroBatch()
    let first = try #require(firstBatch)
    func token(_ index: Int, _ finish: FinishReason? = nil) -> TokenBatch {
      TokenBatch(
        epoch: 1, sequence: first.sequence,
        results: [TokenResult(request: 1, index: index, tokenID: 5, finish: finish)])
    }
    _ = scheduler.receive(token(0))
    _ = scheduler.receive(token(1))
    #expect(scheduler.mix == RequestMix())
    // The last token, and a copy of it.
    for _ in 0..<2 { _ = scheduler.receive(token(2, .stop)) }
    #expect(scheduler.mix.count == 1)
    #expect(scheduler.mix.answerTokens == 3 && scheduler.mix.promptTokens == 1)
    // A probe is nobody's request.
    let probe = scheduler.probe(
      PreparedRequest(
        pixels: Tensor(.u8, shape: [1, 1, 1, 3]), textTokenIDs: [1],
        sampling: Sampling(maximumTokens: 1)), id: 9, route: [0, 1, 2])
    _ = scheduler.receive(
      TokenBatch(
        epoch: 1, sequence: probe.sequence,
        results: [TokenResult(request: 9, index: 0, tokenID: 5, finish: .length)]))
    #expect(scheduler.mix.count == 1)
  }

  @Test func whatAnEarlierPlanSaysIsNotHeard() throws {
    var scheduler = try scheduler(1)
    let firstBatch = scheduler.nextMicroBatch()
    let first = try #require(firstBatch)
    let token = TokenBatch(
      epoch: 1, sequence: first.sequence,
      results: [TokenResult(request: 1, index: 0, tokenID: 5)])
    _ = scheduler.suspend(isDeath: false)
    scheduler.begin(plan, epoch: 2, keepsCaches: false)
    #expect(next(&scheduler) == [1])
    #expect(scheduler.receive(token).isEmpty)
  }

  /// A vision stage and so many that decode.
  private func plan(decoders: Int, _ config: ModelConfig) throws -> PipelinePlan {
    let split = config.tokenEmbeddingIndex
    let cuts = try PipelinePlan.evenCuts(
      of: split..<config.blockCount, into: decoders, config: config)
    return try PipelinePlan(
      stages: ([0..<split] + cuts).enumerated().map { .init(blocks: $1, workers: [$0]) },
      config: config)
  }

  /// Lets in as many as may come, each with its first token.
  private func fill(_ scheduler: inout Scheduler, epoch: UInt64) {
    while let batch = scheduler.nextMicroBatch() {
      _ = scheduler.receive(
        TokenBatch(
          epoch: epoch, sequence: batch.sequence,
          results: batch.segments.map {
            TokenResult(request: $0.request, index: $0.recorded.count, tokenID: 5)
          }))
    }
  }

  private func enqueue(
    _ scheduler: inout Scheduler, _ ids: ClosedRange<UInt64>, _ priority: Handling.Priority,
    _ config: ModelConfig
  ) throws {
    let pixels = Tensor(
      .u8, shape: [1, config.vision.imageSide, config.vision.imageSide, 3])
    for id in ids {
      try scheduler.enqueue(
        PreparedRequest(
          pixels: pixels, textTokenIDs: [config.beginTokenID],
          sampling: Sampling(maximumTokens: 9), handling: Handling(priority: priority, job: "j")),
        id: id)
    }
  }

  /// Each stage that decodes has work of its own: 28 of a batch and 4 places for those who wait.
  @Test(arguments: [(1, 64), (2, 64), (3, 96), (4, 128), (8, 256)])
  func moreDecodingStagesHaveMoreRequests(_ decoders: Int, _ places: Int) throws {
    let config = Made.config(vision: 2, text: 8)
    let limits = Limits()
    #expect(limits.requestsInFlight(decodeStages: decoders) == places)
    #expect(limits.batchRequestsInFlight(decodeStages: decoders) == places * 7 / 8)
    var scheduler = Scheduler(
      config: config, plan: try plan(decoders: decoders, config), epoch: 1, limits: limits)
    try enqueue(&scheduler, 1...400, .batch, config)
    fill(&scheduler, epoch: 1)
    #expect(scheduler.counts.active == places * 7 / 8)
    try enqueue(&scheduler, 401...500, .interactive, config)
    fill(&scheduler, epoch: 1)
    #expect(scheduler.counts.active == places)
  }

  @Test func placesEndWhereTheCoordinatorsMemoryDoes() {
    let limits = Limits()
    #expect(limits.requestsInFlight(decodeStages: 16) == limits.requestsInFlightMaximum)
    #expect(limits.requestsInFlight(decodeStages: 200) == limits.requestsInFlightMaximum)
    // Whatever is under way has room in the queues and is known when it comes twice.
    #expect(limits.messagesInFlight(workerCount: limits.workers) < 1024)
    #expect(limits.clientRequests >= 2 * limits.requestsInFlightMaximum)
    #expect(limits.batchWindow(decodeStages: 4, workerCount: 5) == 112 + 6)
  }

  /// From four decoding workers to one: what was under way waits for its turn again, since the one has
  /// no room for all their caches.
  @Test func aSmallerPlanTakesInWhatItHasRoomFor() throws {
    let config = Made.config(vision: 2, text: 8)
    var scheduler = Scheduler(
      config: config, plan: try plan(decoders: 4, config), epoch: 1, limits: Limits())
    try enqueue(&scheduler, 1...200, .interactive, config)
    fill(&scheduler, epoch: 1)
    #expect(scheduler.counts.active == 128)
    _ = scheduler.suspend(isDeath: false)
    scheduler.begin(try plan(decoders: 1, config), epoch: 2, keepsCaches: false)
    fill(&scheduler, epoch: 2)
    #expect(scheduler.counts.active == 64)
    // Each that ends lets in another, until all have ended.
    var ended: Set<UInt64> = []
    for id: UInt64 in 1...200 {
      let events = scheduler.receive(
        TokenBatch(
          epoch: 2, sequence: 1 << 40,
          results: [TokenResult(request: id, index: id <= 128 ? 2 : 1, tokenID: 5, finish: .stop)]))
      for case .finished(let id, .success) in events { ended.insert(id) }
      fill(&scheduler, epoch: 2)
      #expect(scheduler.counts.active == min(64, 200 - Int(id)), "\(id)")
    }
    #expect(ended.count == 200)
  }

  /// Ends the plan with a death and begins the next.
  private func death(_ scheduler: inout Scheduler, epoch: UInt64) -> [UInt64] {
    let events = scheduler.suspend(isDeath: true)
    scheduler.begin(plan, epoch: epoch, keepsCaches: false)
    return events.map(\.request)
  }

  @Test func aloneTwoDeathsAreEnough() throws {
    var scheduler = try scheduler(1)
    #expect(next(&scheduler) == [1])
    #expect(death(&scheduler, epoch: 2).isEmpty)
    #expect(next(&scheduler) == [1])
    #expect(death(&scheduler, epoch: 3) == [1])
    #expect(scheduler.counts == (waiting: 0, active: 0))
  }

  @Test func inCompanyTheGuiltyIsFoundAlone() throws {
    var scheduler = try scheduler(3)
    #expect(next(&scheduler) == [1, 2, 3])
    #expect(death(&scheduler, epoch: 2).isEmpty)
    #expect(next(&scheduler) == [1, 2, 3])
    #expect(death(&scheduler, epoch: 3).isEmpty)
    // From here on one of them at a time, with others beside it.
    try enqueue(&scheduler, 4)
    #expect(next(&scheduler) == [1])
    #expect(next(&scheduler) == [4])
    #expect(next(&scheduler).isEmpty)
    // A third machine fails by itself: the one that happened to be there is not answered for it,
    #expect(death(&scheduler, epoch: 4).isEmpty)
    // but has to show alone that it is innocent.
    #expect(next(&scheduler) == [1])
    #expect(next(&scheduler).isEmpty)
    _ = scheduler.receive(
      TokenBatch(
        epoch: 4, sequence: 1,
        results: [TokenResult(request: 1, index: 0, tokenID: 5, finish: .stop)]))
    #expect(next(&scheduler) == [2])
    #expect(death(&scheduler, epoch: 5).isEmpty)
    #expect(next(&scheduler) == [2])
    #expect(death(&scheduler, epoch: 6) == [2])
    #expect(next(&scheduler) == [3])
  }
}
