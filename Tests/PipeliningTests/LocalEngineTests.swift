import Checkpoints
import GoldenFixtures
import Messaging
import PaliGemma
import Pipelining
import Tensors
import Testing

/// Law 1 and law 2 in one process: `Generation` = `LocalEngine`, to the last bit of every
/// log-probability, for every cut and several sizes of micro-batches.
@Suite struct LocalEngineTests {
  private func engine(
    _ golden: Golden, cuts: [Int], precision: Precision = .f32, limits: Limits = Limits()
  ) async throws -> LocalEngine {
    let ends = cuts + [golden.config.blockCount]
    let starts = [0] + cuts
    let plan = try PipelinePlan(
      stages: zip(starts, ends).enumerated().map { index, ends in
        PipelinePlan.Stage(blocks: ends.0..<ends.1, workers: [index])
      }, config: golden.config)
    return try await LocalEngine.start(
      config: golden.config, checkpoint: golden.checkpoint, plan: plan,
      precision: precision, limits: limits)
  }

  @Test(arguments: Golden.names) func everyCutInTwo(_ name: String) async throws {
    let golden = try Golden(name)
    let expected = try golden.expected()
    for cut in 1..<golden.config.blockCount {
      let engine = try await engine(golden, cuts: [cut])
      #expect(areSame(try await golden.completions(from: engine), expected), "cut at \(cut)")
    }
  }

  /// In int8 sums are exact integers: bits are equal on every CPU.
  @Test(arguments: Golden.names) func everyCutInInt8(_ name: String) async throws {
    let golden = try Golden(name)
    let expected = try golden.expected(.int8)
    for cut in 1..<golden.config.blockCount {
      let engine = try await engine(golden, cuts: [cut], precision: .int8)
      #expect(try await golden.completions(from: engine) == expected, "cut at \(cut)")
    }
  }

  @Test(arguments: Golden.names) func aStagePerBlock(_ name: String) async throws {
    let golden = try Golden(name)
    let engine = try await engine(golden, cuts: Array(1..<golden.config.blockCount))
    let all = try await golden.completions(from: engine, times: 2)
    #expect(areSame(Array(all.suffix(golden.cases.count)), try golden.expected()))
  }

  @Test(arguments: [1, 20, 40, 100_000], [1, 3, 64])
  func microBatchesOfAnySize(_ rows: Int, _ requests: Int) async throws {
    let golden = try Golden("tiny-a")
    var limits = Limits()
    limits.prefillRows = rows
    limits.requestsInFlight = requests
    let engine = try await engine(golden, cuts: [3, 7], limits: limits)
    let expected = try golden.expected()
    let actual = try await golden.completions(from: engine, times: 4)
    for (index, completion) in actual.enumerated() {
      #expect(isSame(completion, expected[index % expected.count]), "request \(index)")
    }
  }

  /// One-token answers leave releases with nobody to tell, which must not look like idleness.
  @Test(.timeLimit(.minutes(1)), arguments: [[], [3], [6]], [1, 2, 5, 32])
  func shortAnswersNeverStall(_ cuts: [Int], _ inFlight: Int) async throws {
    let golden = try Golden("tiny-a")
    var limits = Limits()
    limits.requestsInFlight = inFlight
    let engine = try await engine(golden, cuts: cuts, limits: limits)
    try await withThrowingTaskGroup(of: Int.self) { group in
      for index in 0..<200 {
        var request = try golden.request(golden.cases[index % golden.cases.count])
        request.sampling.maximumTokens = 1 + index % 2
        let sent = request
        // Callers that wait for an answer before they ask again, a few at a time.
        if index >= inFlight { _ = try await group.next() }
        group.addTask { try await engine.complete(sent).tokens.count }
      }
      for try await count in group { #expect(count == 1 || count == 2) }
    }
  }

  @Test func samplingDoesNotDependOnCompany() async throws {
    let golden = try Golden("tiny-a")
    var request = try golden.request(golden.cases[1])
    request.sampling.temperature = 1.5
    request.sampling.seed = 42
    request.sampling.topK = 50
    let alone = try await engine(golden, cuts: []).complete(request)
    let crowded = try await engine(golden, cuts: [4])
    async let others = golden.completions(from: crowded, times: 3)
    let together = try await crowded.complete(request)
    _ = try await others
    #expect(isSame(together, alone))
    request.sampling.seed = 43
    let other = try await crowded.complete(request)
    #expect(other.tokens.map(\.tokenID) != alone.tokens.map(\.tokenID))
  }

  @Test func badRequestsAreRefusedAndOthersGoOn() async throws {
    let golden = try Golden("tiny-b")
    let engine = try await engine(golden, cuts: [5])
    var token = try golden.request(golden.cases[0])
    token.textTokenIDs = [2, 100_000]
    var pixels = try golden.request(golden.cases[0])
    pixels.pixels = Tensor(.u8, shape: [1, 3, 3, 3])
    var long = try golden.request(golden.cases[0])
    long.sampling.maximumTokens = .max
    var temperature = try golden.request(golden.cases[0])
    temperature.sampling.temperature = .nan
    for bad in [token, pixels, long, temperature] {
      await #expect { try await engine.complete(bad) } throws: { error in
        (error as? Failure)?.code == "invalid_request"
      }
    }
    #expect(areSame(try await golden.completions(from: engine), try golden.expected()))
  }

  @Test func aFullQueueRefuses() async throws {
    let golden = try Golden("tiny-a")
    var limits = Limits()
    limits.requestsWaiting = 2
    limits.requestsInFlight = 1
    let engine = try await engine(golden, cuts: [], limits: limits)
    let request = try golden.request(golden.cases[0])
    let codes = await withTaskGroup(of: String?.self) { group in
      for _ in 0..<200 {
        group.addTask {
          do throws(Failure) {
            _ = try await engine.complete(request)
            return nil
          } catch { return error.code }
        }
      }
      return await group.reduce(into: [:] as [String?: Int]) { $0[$1, default: 0] += 1 }
    }
    #expect((codes[nil] ?? 0) > 0)
    #expect(codes[nil, default: 0] + codes["overloaded", default: 0] == 200)
  }

  @Test func cancelledAndStoppedRequestsEnd() async throws {
    let golden = try Golden("tiny-a")
    let engine = try await engine(golden, cuts: [2])
    var request = try golden.request(golden.cases[0])
    request.sampling.maximumTokens = 7000
    request.sampling.stopTokenIDs = []
    let long = request
    let task = Task { () -> String? in
      do throws(Failure) {
        _ = try await engine.complete(long)
        return nil
      } catch { return error.code }
    }
    try await Task.sleep(for: .milliseconds(50))
    task.cancel()
    #expect(await task.value == "cancelled")
    #expect(areSame(try await golden.completions(from: engine), try golden.expected()))
    engine.stop()
    await #expect { try await engine.complete(long) } throws: {
      ($0 as? Failure)?.code == "stopped"
    }
  }
}
