import CWire

typealias WireCounters = Palisade__Wire__Counters
typealias WireRegister = Palisade__Wire__Register
typealias WireReady = Palisade__Wire__Ready
typealias WireHeartbeat = Palisade__Wire__Heartbeat
typealias WireWorkerFailure = Palisade__Wire__WorkerFailure

extension Counters {
  var wire: WireCounters {
    var wire = WireCounters()
    palisade__wire__counters__init(&wire)
    wire.busy_nanoseconds = busyNanoseconds
    wire.waiting_nanoseconds = waitingNanoseconds
    wire.received_bytes = receivedBytes
    wire.sent_bytes = sentBytes
    wire.micro_batches = microBatches
    wire.prefill_rows = prefillRows
    wire.decode_rows = decodeRows
    return wire
  }

  init(_ wire: WireCounters) {
    self.init()
    busyNanoseconds = wire.busy_nanoseconds
    waitingNanoseconds = wire.waiting_nanoseconds
    receivedBytes = wire.received_bytes
    sentBytes = wire.sent_bytes
    microBatches = wire.micro_batches
    prefillRows = wire.prefill_rows
    decodeRows = wire.decode_rows
  }
}

extension Register {
  func validate() throws(MessagingError) {
    try Bounds.name(name, "Register.name")
    try Bounds.name(host, "Register.host")
    try Bounds.name(dataEndpoint, "Register.dataEndpoint")
    try Bounds.name(instructionSet, "Register.instructionSet")
    try Bounds.name(softwareVersion, "Register.softwareVersion")
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
    try validate()
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
    return wire
  }

  init(_ wire: WireReady) throws(MessagingError) {
    self.init(
      epoch: wire.epoch,
      stage: Int(wire.stage),
      loadMilliseconds: try Bounds.int(wire.load_milliseconds, "Ready.loadMilliseconds"),
      weightBytes: try Bounds.int(wire.weight_bytes, "Ready.weightBytes")
    )
  }
}

extension Heartbeat {
  func wire(in arena: WireArena) throws(MessagingError) -> WireHeartbeat {
    var wire = WireHeartbeat()
    palisade__wire__heartbeat__init(&wire)
    wire.epoch = epoch
    wire.counters = arena.place(counters.wire)
    wire.busy_sequence = busySequence
    wire.busy_milliseconds = try Bounds.wire64(busyMilliseconds, "Heartbeat.busyMilliseconds")
    return wire
  }

  init(_ wire: WireHeartbeat) throws(MessagingError) {
    self.init(
      epoch: wire.epoch,
      counters: Counters(try WireReading.message(wire.counters, "Heartbeat.counters")),
      busySequence: wire.busy_sequence,
      busyMilliseconds: try Bounds.int(wire.busy_milliseconds, "Heartbeat.busyMilliseconds")
    )
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
