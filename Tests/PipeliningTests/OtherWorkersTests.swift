import Checkpoints
import Foundation
import Messaging
import PaliGemma
import Synchronization
import Tensors
import Testing

@testable import Pipelining

/// A stage's weights from other workers, beside the coordinator's door.
extension ModelFetchTests {
  /// A worker's door for what it has.
  private func workerDoor(_ source: ModelSource?, uploads: Int = 4) throws -> ModelDoor {
    try ModelDoor(
      SharedSource(source), endpoint: temporaryEndpoint("w"), .local, Limits(), uploads: uploads,
      report: { _ in })
  }

  private func order(_ served: Served, _ sources: [ModelDoor], _ others: [String] = []) -> Assign {
    var order = assign(served.config, served.blocks, endpoint: served.door.endpoint)
    order.weightSources = (sources.map(\.endpoint) + others).enumerated().map {
      WorkerAddress(worker: $0, endpoint: $1)
    }
    return order
  }

  private func expectTheModels(_ result: ModelFetch.Result, _ served: Served) throws {
    for name in result.checkpoint.names {
      let (mine, theirs) = (
        try result.checkpoint.tensor(name), try served.checkpoint.tensor(name)
      )
      #expect(Frame(tensor: mine) == Frame(tensor: theirs), "\(name)")
    }
  }

  /// The second that comes has all from the first, be it from a cache or from a folder, and the
  /// coordinator gives a manifest and hardly a chunk.
  @Test func theSecondHasItFromTheFirst() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let one = try fetch(order(served, []), configuration(served.cache))
    let size = served.door.sentByteCount
    #expect(size > 3 << 20)
    let folder = ModelSource(directory: served.folder + "/model", config: served.config)
    for (name, source) in [("cache", one.source), ("folder", folder)] {
      let door = try workerDoor(source)
      let log = Log()
      let two = try fetch(
        order(served, [door]), configuration(served.folder + "/" + name + "-2"), log)
      try expectTheModels(two, served)
      #expect(log.received == size && log.fromWorkers == size, "\(name): \(log.fromWorkers)")
      #expect(door.sentByteCount == size && served.door.sentByteCount == size, "\(name)")
    }
    // A third from both of them.
    let doors = [try workerDoor(one.source), try workerDoor(folder)]
    let log = Log()
    try expectTheModels(
      try fetch(order(served, doors), configuration(served.folder + "/third"), log), served)
    #expect(log.fromWorkers == size && doors.allSatisfy { $0.sentByteCount > 0 })
    #expect(served.door.sentByteCount == size)
  }

  /// Others that have part of it, nothing, no place, no answer, or other bytes: the rest comes from the
  /// coordinator, and the bytes are the model's.
  @Test func whoeverIsNoGoodIsNotAskedAgain() throws {
    let served = try serve()
    defer { try? FileManager.default.removeItem(atPath: served.folder) }
    let one = try fetch(order(served, []), configuration(served.cache))
    let size = served.door.sentByteCount
    var limits = limits()
    limits.sourceSilenceMilliseconds = 300
    limits.sourceGreetingMilliseconds = 300
    func fetched(_ name: String, _ order: Assign) throws -> Int {
      let log = Log()
      let result = try fetch(
        order, configuration(served.folder + "/" + name, limits: limits), log)
      try expectTheModels(result, served)
      #expect(log.received == size, "\(name)")
      return log.fromWorkers
    }
    // Blocks of another stage: nothing of what is wanted but, perhaps, the table that both have.
    let vision = assign(
      served.config, 0..<served.config.tokenEmbeddingIndex, endpoint: served.door.endpoint)
    let other = try fetch(vision, configuration(served.folder + "/vision"))
    #expect(try fetched("other", order(served, [try workerDoor(other.source)])) == 0)
    #expect(try fetched("none", order(served, [try workerDoor(nil)])) == 0)
    #expect(try fetched("full", order(served, [try workerDoor(one.source, uploads: 0)])) == 0)
    #expect(try fetched("nobody", order(served, [], [temporaryEndpoint("nobody")])) == 0)
    let source = Mutex(one.source)
    let count = Mutex(0)
    // Says what it has; gives a chunk, then changed bytes; then nothing.
    for isSilent in [true, false] {
      let liar = try hostileDoor { message in
        guard case .chunkRequest(let request) = message else {
          return source.withLock { source in
            if case .manifestRequest(let request) = message {
              [source.answer(to: request)].compactMap { $0 }
            } else {
              []
            }
          }
        }
        let number = count.withLock { count in
          count += 1
          return count
        }
        guard case .chunk(_, let bytes) = source.withLock({ $0.answer(to: request) }) else {
          return []
        }
        if number % 3 != 0 { return [.chunk(request, bytes)] }
        var changed = bytes.bytes
        changed[0] ^= 1
        return isSilent ? [] : [.chunk(request, Frame(bytes: changed))]
      }
      let given = try fetched("liar-\(isSilent)", order(served, [], [liar]))
      #expect(given > 0 && given < size, "\(given) of \(size)")
    }
  }
}
