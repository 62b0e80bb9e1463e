import Checkpoints
import Foundation
import Messaging
import PaliGemma
import Tensors

/// Finds out how fast this process is with a model: a block of each kind with made-up weights in the
/// model's true widths, through the code that stages run. It takes some tenths of a second for small
/// models and about two seconds for the 3B in int8.
struct SpeedBench {
  let config: ModelConfig
  let precision: Precision
  /// Rows of the prefix that costs are measured at.
  private var prefixRows: Int { config.imageTokenCount + 16 }
  /// Sizes of decode steps: alone, a few, and all requests in flight.
  static let stepRows = [1, 4, 16, 64]
  /// Each figure is taken for so long, and at least three times.
  private let nanoseconds: UInt64 = 12_000_000
  private static let runsMaximum = 200

  /// Measures everything but the link.
  ///
  /// - Throws: when there is too little free memory for a block, with the figures.
  static func measure(
    _ config: ModelConfig, fingerprint: String, precision: Precision
  ) throws -> WorkerSpeed {
    let bench = SpeedBench(config: config, precision: precision)
    var speed = WorkerSpeed()
    (speed.fingerprint, speed.precision) = (fingerprint, precision.rawValue)
    speed.threads = Kernels.threadCount
    speed.cores = min(
      MessageLimits.coreCount, max(1, ProcessInfo.processInfo.activeProcessorCount))
    speed.freeBytes = MachineFacts.freeBytes
    try bench.requireMemory(speed.freeBytes)
    try bench.vision(&speed)
    try bench.decoder(&speed)
    let measurement = KernelMeasurement(repetitions: 1)
    speed.readBytesPerSecond =
      measurement.readGigabytesPerSecond * Double(speed.threads) * 1e9
    return speed
  }

  /// The largest sample is a decoder layer, which in f32 is held twice while it is stacked.
  private func requireMemory(_ free: Int) throws(Failure) {
    let layer = MemoryNeed(config: config, precision: precision.rawValue, limits: Limits())
      .weightByteCount(of: config.firstDecoderIndex)
    let need = 3 * layer + 3 * BlockSample.headByteCount
    guard free == 0 || need < free else {
      throw Failure(
        code: "no_memory",
        message: "a layer to measure needs \(need >> 20) MiB, and \(free >> 20) MiB are free")
    }
  }

  private func vision(_ speed: inout WorkerSpeed) throws(CheckpointError) {
    let side = config.vision.imageSide
    let pixels = Tensor(.u8, shape: [1, side, side, 3])
    pixels.withBytes { bytes in
      for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 37) }
    }
    let picture = [SequenceRows(.prefix(imageCount: 1), tokenIDs: [], rowCount: 0, cache: nil)]
    let rows = BlockSample.rows(config.vision.patchCount, width: config.vision.width)
    let parts: [(Block, Tensor, WritableKeyPath<WorkerSpeed, Double>)] = [
      (.patchEmbedding, pixels, \.patchSeconds), (.visionLayer(0), rows, \.visionSeconds),
      (.projector, rows, \.projectorSeconds),
    ]
    for (kind, input, path) in parts {
      let sample = try BlockSample(kind, of: config, precision: precision)
      speed[keyPath: path] = seconds { _ = sample.section.forward(input, sequences: picture) }
    }
  }

  private func decoder(_ speed: inout WorkerSpeed) throws {
    let embedding = try BlockSample(.tokenEmbedding, of: config, precision: precision)
    let ids = [Int32](repeating: 1, count: 64)
    speed.embeddingSeconds =
      seconds {
        _ = embedding.section.forward(
          nil,
          sequences: [SequenceRows(.suffix, tokenIDs: ids, rowCount: ids.count, cache: nil)])
      } / Double(ids.count)
    let layer = try BlockSample(.decoderLayer(0), of: config, precision: precision)
    let prefix = BlockSample.rows(prefixRows, width: config.text.width)
    speed.prefillSeconds =
      seconds {
        let cache = layer.section.makeCache(capacity: prefixRows)
        _ = layer.section.forward(
          prefix,
          sequences: [
            SequenceRows(
              .prefix(imageCount: 0), tokenIDs: [], rowCount: prefixRows, cache: cache)
          ])
      } / Double(prefixRows)
    let head = try BlockSample(.languageHead, of: config, precision: precision)
    let wire = try WireBench()
    for rows in Self.stepRows {
      let input = BlockSample.rows(rows, width: config.text.width)
      let batch = Self.step(rows: rows, tensor: input)
      speed.steps.append(
        WorkerSpeed.Step(
          rows: rows, layerSeconds: layerStep(layer, rows: rows, input),
          headSeconds: headStep(head, batch) * head.factor,
          hopSeconds: try executorSeconds(batch) + wire.seconds(batch)))
    }
    let big = Self.step(rows: 1, tensor: prefix)
    let small = Self.step(rows: 1, tensor: BlockSample.rows(1, width: config.text.width))
    let more = prefix.byteCount - config.text.width * 4
    let difference = try wire.seconds(big) - wire.seconds(small)
    speed.byteSeconds = more > 0 ? max(0, difference) / Double(more) : 0
  }

  private func layerStep(_ layer: BlockSample, rows: Int, _ input: Tensor) -> Double {
    let caches = (0..<rows).map { _ in
      layer.cache(tokenCount: prefixRows, more: Self.runsMaximum + 2)
    }
    let sequences = caches.map {
      SequenceRows(.suffix, tokenIDs: [], rowCount: 1, cache: $0)
    }
    return seconds { _ = layer.section.forward(input, sequences: sequences) }
  }

  /// The head, with the choice of the likeliest token and its probability.
  private func headStep(_ head: BlockSample, _ batch: MicroBatch) -> Double {
    let sequences = batch.segments.map { _ in
      SequenceRows(.suffix, tokenIDs: [], rowCount: 1, cache: nil)
    }
    return seconds {
      var state = HeadState()
      let logits = head.section.forward(batch.tensor, sequences: sequences)
      _ = state.sample(logits, batch: batch)
    }
  }

  /// What a stage does about a micro-batch beside its arithmetic: a step through a stage that has none.
  private func executorSeconds(_ batch: MicroBatch) throws -> Double {
    let sample = try BlockSample(.tokenEmbedding, of: config, precision: precision)
    let plan = try PipelinePlan(
      stages: [0..<3, 3..<4, 4..<6].enumerated().map {
        PipelinePlan.Stage(blocks: $1, workers: [$0])
      }, config: sample.config)
    let executor = StageExecutor(
      section: sample.section, plan: plan, stage: 1, epoch: 1, limits: Limits())
    var tokens = batch
    tokens.tensor = nil
    for index in tokens.segments.indices { tokens.segments[index].tokenIDs = [1] }
    return seconds {
      // Each is another micro-batch to the executor: it drops what it has seen.
      tokens.sequence += 1
      executor.receive(.microBatch(tokens))
      _ = executor.step()
      _ = executor.takeSpan()
      _ = executor.gauges
    }
  }

  private static func step(rows: Int, tensor: Tensor) -> MicroBatch {
    MicroBatch(
      epoch: 1, sequence: 1, stage: 1, route: [0, 1, 2],
      segments: (0..<rows).map { row in
        Segment(
          request: UInt64(row), phase: .decode, position: 4, rowCount: 1, capacity: 8,
          sampling: Sampling(maximumTokens: 8))
      }, tensor: tensor)
  }

  /// The least of several runs: on a shared machine anything else measures the neighbours.
  private func seconds(_ body: () -> Void) -> Double {
    let first = Clock.nanoseconds
    body()
    // The first run warms caches up, and counts where a run takes so long that it hardly matters.
    var spent = Clock.nanoseconds - first
    if spent > 20 * nanoseconds { return Double(spent) / 1e9 }
    var times: [UInt64] = []
    spent = 0
    while times.count < 3 || (spent < nanoseconds && times.count < Self.runsMaximum) {
      let start = Clock.nanoseconds
      body()
      let time = Clock.nanoseconds - start
      times.append(time)
      spent += time
      // A block that takes so long is known well enough.
      if spent > 10 * nanoseconds { break }
    }
    return Double(times.min() ?? spent) / 1e9
  }
}

/// What sending and taking a micro-batch costs the threads that do it; the transfer itself goes on
/// beside them.
struct WireBench: ~Copyable {
  private let context: Context
  private let push: Socket
  private let pull: Socket

  init() throws(MessagingError) {
    let context = try Context()
    let pull = try Socket(.pull, in: context)
    try pull.bind("tcp://127.0.0.1:*")
    let push = try Socket(.push, in: context)
    try push.connect(pull.lastEndpoint())
    self.context = context
    self.push = push
    self.pull = pull
  }

  /// The least of several messages.
  func seconds(_ batch: MicroBatch) throws(MessagingError) -> Double {
    var poller = Poller()
    _ = poller.add(pull)
    var times: [UInt64] = []
    for _ in 0..<24 {
      let start = Clock.nanoseconds
      try push.send(StageMessage.microBatch(batch).encode(), wait: .milliseconds(1000))
      let sent = Clock.nanoseconds
      guard try poller.wait(.milliseconds(1000)) else { continue }
      let came = Clock.nanoseconds
      if let frames = try pull.receive() { _ = try StageMessage.decode(frames) }
      times.append(sent - start + Clock.nanoseconds - came)
    }
    return Double(times.min() ?? 0) / 1e9
  }
}
