import GoldenFixtures
import Messaging
import PaliGemma
import Pipelining
import Synchronization
import Tensors
import Testing

/// What a service asks of an engine: tokens as they come, deadlines, priorities, pictures encoded once.
@Suite struct ServiceTests {
  private func engine(_ golden: Golden, limits: Limits = Limits()) async throws -> LocalEngine {
    let cut = golden.config.firstDecoderIndex + 1
    let plan = try PipelinePlan(
      stages: [
        PipelinePlan.Stage(blocks: 0..<cut, workers: [0]),
        PipelinePlan.Stage(blocks: cut..<golden.config.blockCount, workers: [1]),
      ], config: golden.config)
    return try await LocalEngine.start(
      config: golden.config, checkpoint: golden.checkpoint, plan: plan, limits: limits)
  }

  /// A request that goes on until it is ended.
  private func endless(_ golden: Golden, handling: Handling = Handling()) throws -> PreparedRequest
  {
    var request = try golden.request(golden.cases[0], logprobs: false)
    request.sampling.maximumTokens = 7000
    request.sampling.stopTokenIDs = []
    request.handling = handling
    return request
  }

  @Test(arguments: Golden.names) func tokensComeAsTheCompletionHasThem(_ name: String) async throws
  {
    let golden = try Golden(name)
    let engine = try await engine(golden)
    for item in golden.cases {
      let streamed = Mutex<[TokenLogprob]>([])
      let completion = try await engine.complete(try golden.request(item)) { token in
        streamed.withLock { $0.append(token) }
      }
      #expect(streamed.withLock { $0 } == completion.tokens)
    }
  }

  @Test func aDeadlineEndsARequestAndFreesItsPlace() async throws {
    let golden = try Golden("tiny-a")
    var limits = Limits()
    limits.requestsInFlight = 1
    let engine = try await engine(golden, limits: limits)
    let late = try endless(golden, handling: Handling(deadline: .milliseconds(60)))
    await #expect { try await engine.complete(late) } throws: {
      ($0 as? Failure)?.code == "deadline_exceeded"
    }
    // The only place is free again.
    let after = try await engine.complete(try golden.request(golden.cases[0]))
    #expect(!after.tokens.isEmpty)
    var inTime = try golden.request(golden.cases[0])
    inTime.handling.deadline = .seconds(600)
    #expect(isSame(try await engine.complete(inTime), after))
  }

  /// Batch work that fills the pipeline with long answers leaves places for somebody who waits.
  @Test(.timeLimit(.minutes(2))) func interactiveRequestsFindAPlace() async throws {
    let golden = try Golden("tiny-a")
    var limits = Limits()
    limits.requestsInFlight = 8
    let engine = try await engine(golden, limits: limits)
    let long = try endless(golden, handling: Handling(priority: .batch, job: "long"))
    let started = AsyncStream<Int>.makeStream()
    let batch = (0..<20).map { index in
      Task { try? await engine.complete(long) { _ in started.continuation.yield(index) } }
    }
    // All places for batch work are taken when so many answers have begun.
    var begun: Set<Int> = []
    for await index in started.stream {
      begun.insert(index)
      if begun.count == limits.batchRequestsInFlight(decodeStages: 1) { break }
    }
    let answer = try await engine.complete(try golden.request(golden.cases[0]))
    #expect(!answer.tokens.isEmpty)
    for task in batch { task.cancel() }
    for task in batch { #expect(await task.value == nil) }
  }

  /// The rows of a picture seen before are the rows of the picture: same answers, fewer encodings.
  @Test(arguments: Golden.names) func picturesAreEncodedOnce(_ name: String) throws {
    let golden = try Golden(name)
    let section = try ModelSection(
      config: golden.config, checkpoint: golden.checkpoint,
      blocks: 0..<golden.config.tokenEmbeddingIndex)
    let cache = VisionCache(byteCountMaximum: 64 << 20)
    let pixels = try golden.pixels(golden.cases[0])
    let count = pixels.rowCount
    let sequences = [
      SequenceRows(.prefix(imageCount: count), tokenIDs: [], rowCount: 0, cache: nil)
    ]
    let alone = section.forward(pixels, sequences: sequences)
    let first = section.forward(pixels, sequences: sequences, visionCache: cache)
    let second = section.forward(pixels, sequences: sequences, visionCache: cache)
    #expect(first.floats == alone.floats)
    #expect(second.floats == alone.floats)
    #expect(cache.misses + cache.hits == UInt64(2 * count))
    #expect(cache.misses <= UInt64(count))
    #expect(cache.byteCount > 0 && cache.byteCount <= cache.byteCountMaximum)
  }

  @Test func oneByteOfDifferenceIsAnotherPicture() throws {
    let golden = try Golden("tiny-a")
    let section = try ModelSection(
      config: golden.config, checkpoint: golden.checkpoint,
      blocks: 0..<golden.config.tokenEmbeddingIndex)
    let side = golden.config.vision.imageSide
    let pictures = (0..<3).map { value in
      let picture = Tensor(.u8, shape: [1, side, side, 3])
      picture.withBytes { bytes in
        _ = bytes.initializeMemory(as: UInt8.self, repeating: 100)
        bytes[bytes.count - 1] = UInt8(100 + value)
      }
      return picture
    }
    let sequences = [SequenceRows(.prefix(imageCount: 1), tokenIDs: [], rowCount: 0, cache: nil)]
    // Room for two pictures: the third pushes the least recently used one out.
    let size = section.forward(pictures[0], sequences: sequences).byteCount + pictures[0].byteCount
    let cache = VisionCache(byteCountMaximum: 2 * size)
    for index in [0, 1, 0, 2, 0, 1] {
      let rows = section.forward(pictures[index], sequences: sequences, visionCache: cache)
      let alone = section.forward(pictures[index], sequences: sequences)
      #expect(rows.floats == alone.floats, "picture \(index)")
    }
    #expect(cache.hits == 2)
    #expect(cache.misses == 4)
    #expect(cache.byteCount == 2 * size)
  }
}
