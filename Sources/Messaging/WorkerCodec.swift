import CWire

typealias WireRegister = Palisade__Wire__Register
typealias WireLoadedStage = Palisade__Wire__LoadedStage
typealias WireReady = Palisade__Wire__Ready
typealias WireWorkerFailure = Palisade__Wire__WorkerFailure

extension Register {
  func validate() throws(MessagingError) {
    try Bounds.name(name, "Register.name")
    try Bounds.name(host, "Register.host")
    try Bounds.name(dataEndpoint, "Register.dataEndpoint")
    try Bounds.name(instructionSet, "Register.instructionSet")
    try Bounds.name(softwareVersion, "Register.softwareVersion")
    try Bounds.name(weightsEndpoint, "Register.weightsEndpoint")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireRegister {
    try validate()
    var wire = WireRegister()
    palisade__wire__register__init(&wire)
    wire.name = arena.string(name)
    wire.host = arena.string(host)
    wire.data_endpoint = arena.string(dataEndpoint)
    wire.instruction_set = arena.string(instructionSet)
    wire.threads = try Bounds.wire32(threads, "Register.threads")
    wire.memory_bytes = try Bounds.wire64(memoryBytes, "Register.memoryBytes")
    wire.software_version = arena.string(softwareVersion)
    wire.weights_endpoint = arena.string(weightsEndpoint)
    if let loaded { wire.loaded = arena.place(try loaded.wire(in: arena)) }
    return wire
  }

  init(_ wire: WireRegister) throws(MessagingError) {
    self.init(
      name: try WireReading.string(wire.name, "Register.name"),
      host: try WireReading.string(wire.host, "Register.host"),
      dataEndpoint: try WireReading.string(wire.data_endpoint, "Register.dataEndpoint"),
      instructionSet: try WireReading.string(wire.instruction_set, "Register.instructionSet"),
      threads: Int(wire.threads),
      memoryBytes: try Bounds.int(wire.memory_bytes, "Register.memoryBytes"),
      softwareVersion: try WireReading.string(wire.software_version, "Register.softwareVersion")
    )
    weightsEndpoint = try WireReading.string(wire.weights_endpoint, "Register.weightsEndpoint")
    if let wireLoaded = wire.loaded { loaded = try LoadedStage(wireLoaded.pointee) }
    try validate()
  }
}

extension LoadedStage {
  func wire(in arena: WireArena) throws(MessagingError) -> WireLoadedStage {
    try Bounds.name(precision, "LoadedStage.precision")
    try Bounds.name(fingerprint, "LoadedStage.fingerprint")
    var wire = WireLoadedStage()
    palisade__wire__loaded_stage__init(&wire)
    wire.first_block = try Bounds.wire32(blocks.lowerBound, "LoadedStage.blocks")
    wire.end_block = try Bounds.wire32(blocks.upperBound, "LoadedStage.blocks")
    wire.precision = arena.string(precision)
    wire.fingerprint = arena.string(fingerprint)
    return wire
  }

  init(_ wire: WireLoadedStage) throws(MessagingError) {
    self.init(
      blocks: try WireReading.blocks(wire.first_block, wire.end_block, "LoadedStage.blocks"),
      precision: try WireReading.string(wire.precision, "LoadedStage.precision"),
      fingerprint: try WireReading.string(wire.fingerprint, "LoadedStage.fingerprint")
    )
    try Bounds.name(precision, "LoadedStage.precision")
    try Bounds.name(fingerprint, "LoadedStage.fingerprint")
  }
}

extension Ready {
  func wire() throws(MessagingError) -> WireReady {
    var wire = WireReady()
    palisade__wire__ready__init(&wire)
    wire.epoch = epoch
    wire.stage = try Bounds.wire32(stage, "Ready.stage")
    wire.load_milliseconds = try Bounds.wire64(loadMilliseconds, "Ready.loadMilliseconds")
    wire.weight_bytes = try Bounds.wire64(weightBytes, "Ready.weightBytes")
    wire.has_all_weights = hasAllWeights ? 1 : 0
    return wire
  }

  init(_ wire: WireReady) throws(MessagingError) {
    self.init(
      epoch: wire.epoch,
      stage: Int(wire.stage),
      loadMilliseconds: try Bounds.int(wire.load_milliseconds, "Ready.loadMilliseconds"),
      weightBytes: try Bounds.int(wire.weight_bytes, "Ready.weightBytes")
    )
    hasAllWeights = wire.has_all_weights != 0
  }
}

extension WorkerFailure {
  func wire(in arena: WireArena) throws(MessagingError) -> WireWorkerFailure {
    var wire = WireWorkerFailure()
    palisade__wire__worker_failure__init(&wire)
    wire.epoch = epoch
    wire.failure = arena.place(try failure.wire(in: arena))
    return wire
  }

  init(_ wire: WireWorkerFailure) throws(MessagingError) {
    self.init(
      epoch: wire.epoch,
      failure: try Failure(try WireReading.message(wire.failure, "WorkerFailure.failure"))
    )
  }
}
