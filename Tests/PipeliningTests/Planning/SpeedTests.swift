import Foundation
import GoldenFixtures
import Messaging
import PaliGemma
import Tensors
import Testing

@testable import Pipelining

@Suite struct SpeedTests {
  @Test(arguments: [Precision.f32, .int8, .int4]) func aMachineMeasuresItself(
    _ precision: Precision
  ) throws {
    let config = try Golden("tiny-a").config
    let speed = try SpeedBench.measure(config, fingerprint: "f", precision: precision)
    let figures = [
      speed.patchSeconds, speed.visionSeconds, speed.projectorSeconds, speed.embeddingSeconds,
      speed.prefillSeconds, speed.readBytesPerSecond,
    ]
    #expect(figures.allSatisfy { $0 > 0 }, "\(speed)")
    #expect(speed.steps.map(\.rows) == SpeedBench.stepRows)
    #expect(
      speed.steps.allSatisfy { $0.layerSeconds > 0 && $0.headSeconds > 0 && $0.hopSeconds > 0 })
    // A row in company is cheaper than alone.
    let (one, many) = (speed.steps[0], speed.steps[3])
    #expect(many.layerSeconds < 64 * one.layerSeconds)
    #expect(throws: Never.self) { try ControlMessage.workerSpeed(speed).encode() }
    #expect(speed.precision == precision.rawValue && speed.cores >= 1 && speed.freeBytes > 0)
  }

  @Test func aHeadIsMeasuredWithPartOfItsTable() throws {
    let whole = try #require(SynthesisPreset.named("paligemma-3b-224")?.config)
    let sample = try BlockSample(.languageHead, of: whole, precision: .int8)
    let rows = BlockSample.headByteCount / whole.text.width
    #expect(sample.config.text.vocabularyCount == rows)
    #expect(sample.factor == Double(whole.text.vocabularyCount) / Double(rows))
    #expect(sample.section.weightByteCount < 2 * BlockSample.headByteCount)
  }

  @Test func whatIsKnownIsNotMeasuredAgain() throws {
    let config = try Golden("tiny-a").config
    let folder = NSTemporaryDirectory() + "speed-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let cache = SpeedCache(folder: folder)
    func ask(_ program: String = "1", isFresh: Bool = false) throws -> WorkerSpeed {
      try SpeedCache.speed(
        of: config, fingerprint: "f", precision: .f32, program: program, cache: cache,
        isFresh: isFresh)
    }
    var first = try ask()
    var second = try ask()
    (first.freeBytes, second.freeBytes) = (0, 0)
    #expect(first == second)
    let files = try FileManager.default.contentsOfDirectory(atPath: folder)
    #expect(files.count == 1)
    // Another program, another file; and nobody else may read either.
    _ = try ask("2")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
    // A file that says nonsense is measured anew.
    let path = folder + "/" + files[0]
    let key = SpeedCache.key(fingerprint: "f", precision: "f32", program: "1")
    for text in ["{", "{\"key\":\"\(key)\",\"speed\":{}}", ""] {
      try Data(text.utf8).write(to: URL(filePath: path))
      #expect(cache.speed(key) == nil)
      _ = try ask()
      #expect(cache.speed(key) != nil)
    }
    var lie = try #require(cache.speed(key))
    lie.prefillSeconds = -1
    cache.remember(lie, key)
    #expect(cache.speed(key) == nil)
    // Without a folder there is no cache, and that is no trouble.
    let nowhere = SpeedCache(folder: "/proc/nowhere")
    nowhere.remember(first, key)
    #expect(nowhere.speed(key) == nil)
  }

  @Test func aLinkIsTimedBySmallAndLargeMessages() throws {
    var probing = LinkProbing()
    var now: UInt64 = 1000
    var sizes: [Int] = []
    while let probe = probing.next(now: now) {
      guard case .linkProbe(let sent, let byteCount) = probe else { break }
      #expect(sent == now && probing.next(now: now) == nil)
      sizes.append(byteCount)
      probing.take(sent &- 1, now: now + 5)  // somebody else's
      // 1 ms there and back, and 100 MB/s.
      now += 1_000_000 + UInt64(byteCount) * 10
      probing.take(sent, now: now)
    }
    #expect(probing.isDone && sizes.contains(0))
    #expect(sizes.contains(MessageLimits.linkProbeByteCount))
    var speed = WorkerSpeed()
    probing.fill(&speed)
    #expect(abs(speed.linkLatencySeconds - 0.0005) < 1e-9)
    #expect(abs(speed.linkBytesPerSecond - 100e6) < 1e3)
    // A coordinator of an older version says nothing: the worker goes on without.
    var silent = LinkProbing()
    _ = silent.next(now: 0)
    #expect(!silent.isDone)
    _ = silent.next(now: 4_000_000_000)
    #expect(silent.isDone)
    var unknown = WorkerSpeed()
    silent.fill(&unknown)
    #expect(unknown.linkBytesPerSecond == 0 && unknown.linkLatencySeconds == 0)
  }
}
