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
