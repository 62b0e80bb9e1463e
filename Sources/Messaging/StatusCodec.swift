import CWire

typealias WireStatus = Palisade__Wire__Status
typealias WireStageStatus = Palisade__Wire__StageStatus
typealias WireServiceStatus = Palisade__Wire__ServiceStatus
typealias WireLatency = Palisade__Wire__Latency

extension StageStatus {
  func validate() throws(MessagingError) {
    try Bounds.name(name, "StageStatus.name")
    try Bounds.name(worker, "StageStatus.worker")
    try Bounds.name(node, "StageStatus.node")
    try Bounds.name(instructionSet, "StageStatus.instructionSet")
    try Bounds.measured(busyShare, "StageStatus.busyShare")
    try Bounds.measured(recentBusyShare, "StageStatus.recentBusyShare")
    try Bounds.measured(bubbleShare, "StageStatus.bubbleShare")
    try Bounds.measured(receivedBytesPerSecond, "StageStatus.receivedBytesPerSecond")
    try Bounds.measured(sentBytesPerSecond, "StageStatus.sentBytesPerSecond")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireStageStatus {
    try validate()
    var wire = WireStageStatus()
    palisade__wire__stage_status__init(&wire)
    wire.name = arena.string(name)
    wire.stage = try Bounds.wire32(stage, "StageStatus.stage")
    wire.first_block = try Bounds.wire32(blocks.lowerBound, "StageStatus.blocks")
    wire.end_block = try Bounds.wire32(blocks.upperBound, "StageStatus.blocks")
    wire.worker = arena.string(worker)
    wire.worker_index = try Bounds.wire32(workerIndex, "StageStatus.workerIndex")
    wire.node = arena.string(node)
    wire.busy_share = busyShare
    wire.recent_busy_share = recentBusyShare
    wire.bubble_share = bubbleShare
    wire.received_bytes_per_second = receivedBytesPerSecond
    wire.sent_bytes_per_second = sentBytesPerSecond
    wire.counters = arena.place(counters.wire)
    wire.gauges = arena.place(try gauges.wire())
    wire.instruction_set = arena.string(instructionSet)
    wire.threads = try Bounds.wire32(threads, "StageStatus.threads")
    wire.memory_bytes = try Bounds.wire64(memoryBytes, "StageStatus.memoryBytes")
    wire.silence_milliseconds = try Bounds.wire64(silenceMilliseconds, "StageStatus.silence")
    wire.round_trip_nanoseconds = roundTripNanoseconds
    return wire
  }

  init(_ wire: WireStageStatus) throws(MessagingError) {
    self.init(
      name: try WireReading.string(wire.name, "StageStatus.name"),
      stage: Int(wire.stage),
      blocks: try WireReading.blocks(wire.first_block, wire.end_block, "StageStatus.blocks"),
      worker: try WireReading.string(wire.worker, "StageStatus.worker"),
      workerIndex: Int(wire.worker_index),
      node: try WireReading.string(wire.node, "StageStatus.node")
    )
    busyShare = wire.busy_share
    recentBusyShare = wire.recent_busy_share
    bubbleShare = wire.bubble_share
    receivedBytesPerSecond = wire.received_bytes_per_second
    sentBytesPerSecond = wire.sent_bytes_per_second
    counters = Counters(try WireReading.message(wire.counters, "StageStatus.counters"))
    gauges = try Gauges(try WireReading.message(wire.gauges, "StageStatus.gauges"))
    instructionSet = try WireReading.string(wire.instruction_set, "StageStatus.instructionSet")
    threads = Int(wire.threads)
    memoryBytes = try Bounds.int(wire.memory_bytes, "StageStatus.memoryBytes")
    silenceMilliseconds = try Bounds.int(wire.silence_milliseconds, "StageStatus.silence")
    roundTripNanoseconds = wire.round_trip_nanoseconds
    try validate()
  }
}

extension Latency {
  func wire() throws(MessagingError) -> WireLatency {
    try validate()
    var wire = WireLatency()
    palisade__wire__latency__init(&wire)
    wire.count = count
    wire.p50_milliseconds = p50Milliseconds
    wire.p95_milliseconds = p95Milliseconds
    wire.p99_milliseconds = p99Milliseconds
    return wire
  }

  init(_ wire: WireLatency) throws(MessagingError) {
    self.init(
      count: wire.count,
      p50Milliseconds: wire.p50_milliseconds,
      p95Milliseconds: wire.p95_milliseconds,
      p99Milliseconds: wire.p99_milliseconds
    )
    try validate()
  }

  private func validate() throws(MessagingError) {
    for value in [p50Milliseconds, p95Milliseconds, p99Milliseconds] {
      try Bounds.measured(value, "Latency")
    }
  }
}

extension ServiceStatus {
  private func validate() throws(MessagingError) {
    for value in [requestsPerSecond, imagesPerSecond, tokensPerSecond] {
      try Bounds.measured(value, "ServiceStatus")
    }
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireServiceStatus {
    try validate()
    var wire = WireServiceStatus()
    palisade__wire__service_status__init(&wire)
    wire.uptime_milliseconds = try Bounds.wire64(uptimeMilliseconds, "ServiceStatus.uptime")
    wire.waiting = try Bounds.wire32(waiting, "ServiceStatus.waiting")
    wire.in_flight = try Bounds.wire32(inFlight, "ServiceStatus.inFlight")
    wire.succeeded = succeeded
    wire.failed = failed
    wire.images = images
    wire.tokens = tokens
    wire.requests_per_second = requestsPerSecond
    wire.images_per_second = imagesPerSecond
    wire.tokens_per_second = tokensPerSecond
    wire.first_token = arena.place(try firstToken.wire())
    wire.answer = arena.place(try answer.wire())
    return wire
  }

  init(_ wire: WireServiceStatus) throws(MessagingError) {
    self.init()
    uptimeMilliseconds = try Bounds.int(wire.uptime_milliseconds, "ServiceStatus.uptime")
    waiting = Int(wire.waiting)
    inFlight = Int(wire.in_flight)
    succeeded = wire.succeeded
    failed = wire.failed
    images = wire.images
    tokens = wire.tokens
    requestsPerSecond = wire.requests_per_second
    imagesPerSecond = wire.images_per_second
    tokensPerSecond = wire.tokens_per_second
    firstToken = try Latency(try WireReading.message(wire.first_token, "ServiceStatus.firstToken"))
    answer = try Latency(try WireReading.message(wire.answer, "ServiceStatus.answer"))
    try validate()
  }
}

extension Status {
  func validate() throws(MessagingError) {
    try Bounds.name(state, "Status.state")
    try Bounds.text(message, "Status.message")
    try Bounds.name(bottleneck, "Status.bottleneck")
    try Bounds.count(stages.count, atMost: MessageLimits.stageRowCount, "Status.stages")
    try Bounds.text(modelNumbers, "Status.modelNumbers")
    try Bounds.measured(predictedImagesPerSecond, "Status.predictedImagesPerSecond")
    try Bounds.name(predictedBottleneck, "Status.predictedBottleneck")
    try Bounds.count(nodes.count, atMost: MessageLimits.nodeCount, "Status.nodes")
    try Bounds.range(batchWindow, 0...MessageLimits.requestCount, "Status.batchWindow")
    if let pictureSide {
      try Bounds.range(pictureSide, 1...MessageLimits.pictureSide, "Status.pictureSide")
    }
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireStatus {
    try validate()
    var wire = WireStatus()
    palisade__wire__status__init(&wire)
    wire.state = arena.string(state)
    wire.message = arena.bytes(message)
    (wire.n_stages, wire.stages) = try arena.messages(stages) {
      stage throws(MessagingError) in try stage.wire(in: arena)
    }
    wire.service = arena.place(try service.wire(in: arena))
    wire.bottleneck = arena.string(bottleneck)
    if let model { wire.model = arena.place(try model.wire(in: arena)) }
    (wire.n_nodes, wire.nodes) = try arena.messages(nodes) {
      node throws(MessagingError) in try node.wire(in: arena)
    }
    wire.model_numbers = arena.bytes(modelNumbers)
    wire.predicted_images_per_second = predictedImagesPerSecond
    wire.predicted_bottleneck = arena.string(predictedBottleneck)
    wire.wanted_workers = try Bounds.wire32(wantedWorkerCount, "Status.wantedWorkers")
    wire.encoding = encoding.wire
    wire.batch_window = try Bounds.wire32(batchWindow, "Status.batchWindow")
    wire.picture_side = try Bounds.wire32(pictureSide ?? 0, "Status.pictureSide")
    return wire
  }

  init(_ wire: WireStatus) throws(MessagingError) {
    self.init(
      state: try WireReading.string(wire.state, "Status.state"),
      message: try WireReading.text(wire.message, "Status.message"),
      stages: try WireReading.messages(
        wire.stages,
        wire.n_stages,
        atMost: MessageLimits.stageRowCount,
        "Status.stages",
        StageStatus.init
      ),
      service: try ServiceStatus(try WireReading.message(wire.service, "Status.service")),
      bottleneck: try WireReading.string(wire.bottleneck, "Status.bottleneck")
    )
    if let model = wire.model { self.model = try ModelIdentity(model.pointee) }
    nodes = try WireReading.messages(
      wire.nodes, wire.n_nodes, atMost: MessageLimits.nodeCount, "Status.nodes", NodeStatus.init)
    wantedWorkerCount = Int(wire.wanted_workers)
    batchWindow = Int(wire.batch_window)
    encoding = try TensorEncoding(wire.encoding, "Status.encoding")
    if wire.picture_side > 0 { pictureSide = Int(wire.picture_side) }
    modelNumbers = try WireReading.text(wire.model_numbers, "Status.modelNumbers")
    predictedImagesPerSecond = wire.predicted_images_per_second
    predictedBottleneck = try WireReading.string(
      wire.predicted_bottleneck, "Status.predictedBottleneck")
    try validate()
  }
}
