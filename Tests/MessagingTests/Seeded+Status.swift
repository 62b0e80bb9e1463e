import Messaging

extension Seeded {
  mutating func measured() -> Double { flag() ? Double.random(in: 0...1e9, using: &self) : 0 }

  mutating func gauges() -> Gauges {
    var gauges = Gauges()
    gauges.queueLength = int(0...5000)
    gauges.waitingTokens = int(0...5000)
    gauges.residentBytes = int(0...(1 << 50))
    gauges.weightBytes = int(0...(1 << 50))
    gauges.cacheCount = int(0...5000)
    gauges.cacheBytes = int(0...(1 << 50))
    gauges.visionCacheBytes = int(0...(1 << 50))
    gauges.fetchedBytes = int(0...(1 << 50))
    gauges.fetchBytes = int(0...(1 << 50))
    return gauges
  }

  mutating func span() -> TraceSpan {
    TraceSpan(
      sequence: u64(),
      stage: int(0...300),
      worker: int(0...300),
      phase: flag() ? .prefill : .decode,
      requestCount: int(0...64),
      firstRequest: u64(),
      rowCount: int(0...70_000),
      queueLength: int(0...100),
      startNanoseconds: UInt64(int((1 << 40)...(1 << 55))),
      waitingNanoseconds: UInt64(int(0...(1 << 40))),
      busyNanoseconds: UInt64(int(0...(1 << 40))),
      sendingNanoseconds: UInt64(int(0...(1 << 40)))
    )
  }

  mutating func stageStatus() -> StageStatus {
    let first = int(0...30)
    var row = StageStatus(
      name: name(),
      stage: int(0...99),
      blocks: first..<(first + int(0...30)),
      worker: name(),
      workerIndex: int(0...99),
      node: name()
    )
    row.busyShare = measured()
    row.recentBusyShare = measured()
    row.bubbleShare = measured()
    row.receivedBytesPerSecond = measured()
    row.sentBytesPerSecond = measured()
    row.counters = counters()
    row.gauges = gauges()
    row.instructionSet = name()
    row.threads = int(0...512)
    row.memoryBytes = int(0...(1 << 50))
    row.silenceMilliseconds = int(0...100_000)
    row.roundTripNanoseconds = u64()
    return row
  }

  mutating func latency() -> Latency {
    Latency(
      count: u64(),
      p50Milliseconds: measured(),
      p95Milliseconds: measured(),
      p99Milliseconds: measured()
    )
  }

  mutating func status() -> Status {
    var service = ServiceStatus()
    service.uptimeMilliseconds = int(0...(1 << 40))
    service.waiting = int(0...5000)
    service.inFlight = int(0...5000)
    service.succeeded = u64()
    service.failed = u64()
    service.images = u64()
    service.tokens = u64()
    service.requestsPerSecond = measured()
    service.imagesPerSecond = measured()
    service.tokensPerSecond = measured()
    service.firstToken = latency()
    service.answer = latency()
    var status = Status(
      state: name(),
      message: text(),
      stages: list(0...4) { $0.stageStatus() },
      service: service,
      bottleneck: name(),
      model: flag() ? model() : nil,
      pictureSide: flag() ? int(1...9999) : nil
    )
    status.nodes = list(0...4) { seeded in
      NodeStatus(
        worker: seeded.name(), node: seeded.name(),
        state: NodeStatus.State.allCases.randomElement(using: &seeded) ?? .spare,
        stage: seeded.name(), threads: seeded.int(0...64), memoryBytes: seeded.int(0...(1 << 40)),
        workerIndex: seeded.int(0...99),
        speed: seeded.flag() ? seeded.workerSpeed() : nil, note: seeded.text())
    }
    status.wantedWorkerCount = int(0...256)
    status.batchWindow = int(0...9999)
    status.encoding = TensorEncoding.allCases.randomElement(using: &self) ?? .exact
    status.modelNumbers = text()
    status.predictedImagesPerSecond = measured()
    status.predictedBottleneck = name()
    return status
  }

  mutating func workerSpeed() -> WorkerSpeed {
    var speed = WorkerSpeed()
    speed.fingerprint = name()
    speed.precision = name()
    speed.threads = int(1...64)
    speed.cores = int(1...512)
    speed.patchSeconds = measured()
    speed.visionSeconds = measured()
    speed.projectorSeconds = measured()
    speed.embeddingSeconds = measured()
    speed.prefillSeconds = measured()
    speed.byteSeconds = measured()
    speed.steps = (0...int(0...4)).map { index in
      WorkerSpeed.Step(
        rows: 1 << index,
        layerSeconds: measured(),
        headSeconds: measured(),
        hopSeconds: measured()
      )
    }
    speed.readBytesPerSecond = measured()
    speed.freeBytes = int(0...(1 << 50))
    speed.linkBytesPerSecond = measured()
    speed.linkLatencySeconds = measured()
    return speed
  }

  mutating func model() -> ModelIdentity {
    ModelIdentity(fingerprint: name(), precision: name(), maskDecoder: name())
  }

  mutating func trace() -> Trace {
    Trace(
      tracks: list(0...4) { seeded in
        TraceTrack(
          stage: seeded.int(0...99),
          stageName: seeded.name(),
          worker: seeded.int(0...99),
          workerName: seeded.name(),
          node: seeded.name()
        )
      },
      spans: list(0...20) { $0.span() },
      nowNanoseconds: u64()
    )
  }
}
