import Foundation
import Messaging

/// A status as JSON: what `palisade status --json` prints and the dashboard reads.
public struct StatusDocument: Codable, Sendable, Equatable {
  /// One worker in its stage. Shares are 0 to 1.
  struct Stage: Codable, Sendable, Equatable {
    var name: String
    var stage: Int
    var firstBlock: Int
    var endBlock: Int
    var worker: String
    var workerIndex: Int
    var node: String
    var instructionSet: String
    var threads: Int
    var memoryBytes: Int
    var busy: Double
    var recentBusy: Double
    var bubble: Double
    var queue: Int
    var waitingTokens: Int
    var residentBytes: Int
    var weightBytes: Int
    var cacheCount: Int
    var cacheBytes: Int
    var visionCacheHits: UInt64
    var visionCacheMisses: UInt64
    var visionCacheBytes: Int
    var microBatches: UInt64
    var prefillRows: UInt64
    var decodeRows: UInt64
    var receivedBytes: UInt64
    var sentBytes: UInt64
    var receivedBytesPerSecond: Double
    var sentBytesPerSecond: Double
    var silenceMilliseconds: Int
    var roundTripMicroseconds: Double
  }
  /// Percentiles over the last minute, in milliseconds.
  struct Percentiles: Codable, Sendable, Equatable {
    var count: UInt64
    var p50: Double
    var p95: Double
    var p99: Double
  }
  /// Requests now, totals since the start, and rates of the last seconds.
  struct Service: Codable, Sendable, Equatable {
    var uptimeMilliseconds: Int
    var waiting: Int
    var inFlight: Int
    var succeeded: UInt64
    var failed: UInt64
    var images: UInt64
    var tokens: UInt64
    var requestsPerSecond: Double
    var imagesPerSecond: Double
    var tokensPerSecond: Double
    var firstToken: Percentiles
    var answer: Percentiles
  }

  /// Which model answers.
  struct Model: Codable, Sendable, Equatable {
    var fingerprint: String
    var precision: String
    var maskDecoder: String
  }

  /// A worker without a stage, and why.
  struct Spare: Codable, Sendable, Equatable {
    var worker: String
    var node: String
    var note: String
  }
  /// One worker, with a stage or without.
  struct Worker: Codable, Sendable, Equatable {
    var name: String
    var node: String
    var state: String
    var stage: String
    var threads: Int
    var memoryBytes: Int
  }

  var state: String
  var message: String
  var serving: Model?
  var bottleneck: String
  /// What the plan should do at full load, by what its workers measured; 0 when that isn't known.
  var predictedImagesPerSecond: Double
  var predictedBottleneck: String
  var spares: [Spare]
  var service: Service
  var stages: [Stage]
  var workers: [Worker]
  var wantedWorkers: Int
  /// Requests that a batch keeps under way by itself.
  var batchWindow: Int

  /// A status as it is written.
  public init(_ status: Status) {
    (state, message) = (status.state, status.message)
    bottleneck = status.bottleneck
    predictedImagesPerSecond = status.predictedImagesPerSecond
    predictedBottleneck = status.predictedBottleneck
    spares = status.nodes.filter { !$0.note.isEmpty }.map {
      Spare(worker: $0.worker, node: $0.node, note: $0.note)
    }
    serving = status.model.map {
      Model(
        fingerprint: $0.fingerprint, precision: $0.precision, maskDecoder: $0.maskDecoder)
    }
    service = Service(status.service)
    stages = status.stages.map(Stage.init)
    workers = status.nodes.map {
      Worker(
        name: $0.worker, node: $0.node, state: $0.state.rawValue, stage: $0.stage,
        threads: $0.threads, memoryBytes: $0.memoryBytes)
    }
    wantedWorkers = status.wantedWorkerCount
    batchWindow = status.batchWindow
  }

  /// The JSON, with sorted keys.
  public var text: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
  }
}

extension StatusDocument.Stage {
  init(_ row: StageStatus) {
    let (counters, gauges) = (row.counters, row.gauges)
    self.init(
      name: row.name, stage: row.stage, firstBlock: row.blocks.lowerBound,
      endBlock: row.blocks.upperBound, worker: row.worker, workerIndex: row.workerIndex,
      node: row.node, instructionSet: row.instructionSet, threads: row.threads,
      memoryBytes: row.memoryBytes, busy: row.busyShare, recentBusy: row.recentBusyShare,
      bubble: row.bubbleShare, queue: gauges.queueLength, waitingTokens: gauges.waitingTokens,
      residentBytes: gauges.residentBytes, weightBytes: gauges.weightBytes,
      cacheCount: gauges.cacheCount, cacheBytes: gauges.cacheBytes,
      visionCacheHits: counters.visionCacheHits, visionCacheMisses: counters.visionCacheMisses,
      visionCacheBytes: gauges.visionCacheBytes, microBatches: counters.microBatches,
      prefillRows: counters.prefillRows, decodeRows: counters.decodeRows,
      receivedBytes: counters.receivedBytes, sentBytes: counters.sentBytes,
      receivedBytesPerSecond: row.receivedBytesPerSecond,
      sentBytesPerSecond: row.sentBytesPerSecond, silenceMilliseconds: row.silenceMilliseconds,
      roundTripMicroseconds: Double(row.roundTripNanoseconds) / 1000)
  }
}

extension StatusDocument.Service {
  init(_ service: ServiceStatus) {
    self.init(
      uptimeMilliseconds: service.uptimeMilliseconds, waiting: service.waiting,
      inFlight: service.inFlight, succeeded: service.succeeded, failed: service.failed,
      images: service.images, tokens: service.tokens,
      requestsPerSecond: service.requestsPerSecond, imagesPerSecond: service.imagesPerSecond,
      tokensPerSecond: service.tokensPerSecond,
      firstToken: StatusDocument.Percentiles(service.firstToken),
      answer: StatusDocument.Percentiles(service.answer))
  }
}

extension StatusDocument.Percentiles {
  init(_ latency: Latency) {
    self.init(
      count: latency.count, p50: latency.p50Milliseconds, p95: latency.p95Milliseconds,
      p99: latency.p99Milliseconds)
  }
}
