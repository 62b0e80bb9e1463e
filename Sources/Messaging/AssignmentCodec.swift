import CWire

typealias WireWelcome = Palisade__Wire__Welcome
typealias WireWorkerAddress = Palisade__Wire__WorkerAddress
typealias WireStageAssignment = Palisade__Wire__StageAssignment
typealias WireAssign = Palisade__Wire__Assign

extension Welcome {
  func wire(in arena: WireArena) throws(MessagingError) -> WireWelcome {
    var wire = WireWelcome()
    palisade__wire__welcome__init(&wire)
    wire.worker = try Bounds.wire32(worker, "Welcome.worker")
    wire.heartbeat_milliseconds = try Bounds.wire32(
      heartbeatMilliseconds,
      "Welcome.heartbeatMilliseconds"
    )
    wire.silence_milliseconds = try Bounds.wire32(
      silenceMilliseconds,
      "Welcome.silenceMilliseconds"
    )
    if let model {
      try model.validate()
      wire.model_numbers = arena.bytes(model.text)
      wire.fingerprint = arena.string(model.fingerprint)
      wire.precision = arena.string(model.precision)
    }
    return wire
  }

  init(_ wire: WireWelcome) throws(MessagingError) {
    self.init(
      worker: Int(wire.worker),
      heartbeatMilliseconds: Int(wire.heartbeat_milliseconds),
      silenceMilliseconds: Int(wire.silence_milliseconds)
    )
    guard wire.model_numbers.len > 0 else { return }
    let model = ModelNumbers(
      text: try WireReading.text(wire.model_numbers, "Welcome.model"),
      fingerprint: try WireReading.string(wire.fingerprint, "Welcome.fingerprint"),
      precision: try WireReading.string(wire.precision, "Welcome.precision"))
    try model.validate()
    self.model = model
  }
}

extension WorkerAddress {
  private func validate() throws(MessagingError) {
    try Bounds.name(endpoint, "WorkerAddress.endpoint")
    if !publicKey.isEmpty { try CurveKeyPair.check(publicKey, named: "worker's key") }
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireWorkerAddress {
    try validate()
    var wire = WireWorkerAddress()
    palisade__wire__worker_address__init(&wire)
    wire.worker = try Bounds.wire32(worker, "WorkerAddress.worker")
    wire.endpoint = arena.string(endpoint)
    wire.public_key = arena.string(publicKey)
    return wire
  }

  init(_ wire: WireWorkerAddress) throws(MessagingError) {
    self.init(
      worker: Int(wire.worker),
      endpoint: try WireReading.string(wire.endpoint, "WorkerAddress.endpoint"),
      publicKey: try WireReading.string(wire.public_key, "WorkerAddress.publicKey")
    )
    try validate()
  }
}

extension StageAssignment {
  func wire(in arena: WireArena) throws(MessagingError) -> WireStageAssignment {
    try Bounds.count(
      workers.count,
      atMost: MessageLimits.routeLength,
      "StageAssignment.workers"
    )
    var wire = WireStageAssignment()
    palisade__wire__stage_assignment__init(&wire)
    wire.first_block = try Bounds.wire32(blocks.lowerBound, "StageAssignment.blocks")
    wire.end_block = try Bounds.wire32(blocks.upperBound, "StageAssignment.blocks")
    (wire.n_workers, wire.workers) = try arena.messages(workers) {
      address throws(MessagingError) in try address.wire(in: arena)
    }
    return wire
  }

  init(_ wire: WireStageAssignment) throws(MessagingError) {
    self.init(
      blocks: try WireReading.blocks(
        wire.first_block,
        wire.end_block,
        "StageAssignment.blocks"
      ),
      workers: try WireReading.messages(
        wire.workers,
        wire.n_workers,
        atMost: MessageLimits.routeLength,
        "StageAssignment.workers",
        WorkerAddress.init
      )
    )
  }
}

extension Assign {
  func validate() throws(MessagingError) {
    try Bounds.name(modelDirectory, "Assign.modelDirectory")
    try Bounds.name(precision, "Assign.precision")
    try Bounds.name(resultsEndpoint, "Assign.resultsEndpoint")
    try Bounds.name(fingerprint, "Assign.fingerprint")
    try Bounds.name(modelEndpoint, "Assign.modelEndpoint")
    try Bounds.count(stages.count, atMost: MessageLimits.routeLength, "Assign.stages")
    guard stages.indices.contains(stage) else {
      throw .malformed("Assign.stage", "\(stage) of a plan of \(stages.count) stages")
    }
    try Bounds.range(
      maximumMicroBatches,
      1...MessageLimits.segmentCount,
      "Assign.maximumMicroBatches"
    )
    try Bounds.count(
      weightSources.count, atMost: MessageLimits.routeLength, "Assign.weightSources")
    try Bounds.count(
      keptRequests.count, atMost: MessageLimits.requestCount, "Assign.keptRequests")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireAssign {
    try validate()
    var wire = WireAssign()
    palisade__wire__assign__init(&wire)
    wire.epoch = epoch
    wire.model_directory = arena.string(modelDirectory)
    wire.precision = arena.string(precision)
    wire.stage = try Bounds.wire32(stage, "Assign.stage")
    (wire.n_stages, wire.stages) = try arena.messages(stages) {
      stage throws(MessagingError) in try stage.wire(in: arena)
    }
    wire.results_endpoint = arena.string(resultsEndpoint)
    wire.maximum_micro_batches = try Bounds.wire32(
      maximumMicroBatches,
      "Assign.maximumMicroBatches"
    )
    wire.fingerprint = arena.string(fingerprint)
    wire.kept_epoch = keptEpoch
    (wire.n_kept_requests, wire.kept_requests) = arena.list(keptRequests)
    wire.wire_encoding = encoding.wire
    wire.model_endpoint = arena.string(modelEndpoint)
    (wire.n_weight_sources, wire.weight_sources) = try arena.messages(weightSources) {
      address throws(MessagingError) in try address.wire(in: arena)
    }
    return wire
  }

  init(_ wire: WireAssign) throws(MessagingError) {
    self.init(
      epoch: wire.epoch,
      modelDirectory: try WireReading.string(wire.model_directory, "Assign.modelDirectory"),
      precision: try WireReading.string(wire.precision, "Assign.precision"),
      stage: Int(wire.stage),
      stages: try WireReading.messages(
        wire.stages,
        wire.n_stages,
        atMost: MessageLimits.routeLength,
        "Assign.stages",
        StageAssignment.init
      ),
      resultsEndpoint: try WireReading.string(wire.results_endpoint, "Assign.resultsEndpoint"),
      maximumMicroBatches: Int(wire.maximum_micro_batches),
      fingerprint: try WireReading.string(wire.fingerprint, "Assign.fingerprint"),
      keptEpoch: wire.kept_epoch,
      keptRequests: try WireReading.list(
        wire.kept_requests,
        wire.n_kept_requests,
        atMost: MessageLimits.requestCount,
        "Assign.keptRequests"
      ),
      encoding: try TensorEncoding(wire.wire_encoding, "Assign.encoding"),
      modelEndpoint: try WireReading.string(wire.model_endpoint, "Assign.modelEndpoint")
    )
    weightSources = try WireReading.messages(
      wire.weight_sources, wire.n_weight_sources, atMost: MessageLimits.routeLength,
      "Assign.weightSources", WorkerAddress.init)
    try validate()
  }
}
