import CWire

typealias WireWorkerSpeed = Palisade__Wire__WorkerSpeed
typealias WireStepCost = Palisade__Wire__StepCost

extension WorkerSpeed {
  private func validate() throws(MessagingError) {
    try Bounds.name(fingerprint, "WorkerSpeed.fingerprint")
    try Bounds.name(precision, "WorkerSpeed.precision")
    try Bounds.range(threads, 1...MessageLimits.coreCount, "WorkerSpeed.threads")
    try Bounds.range(cores, 1...MessageLimits.coreCount, "WorkerSpeed.cores")
    let seconds = [
      patchSeconds, visionSeconds, projectorSeconds, embeddingSeconds, prefillSeconds, byteSeconds,
      readBytesPerSecond, linkBytesPerSecond, linkLatencySeconds,
    ]
    for value in seconds { try Bounds.measured(value, "WorkerSpeed") }
    try Bounds.count(steps.count, atMost: MessageLimits.stepCount, "WorkerSpeed.steps")
    guard !steps.isEmpty, zip(steps, steps.dropFirst()).allSatisfy({ $0.rows < $1.rows }) else {
      throw .malformed("WorkerSpeed.steps", "are none, or not in order")
    }
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireWorkerSpeed {
    try validate()
    var wire = WireWorkerSpeed()
    palisade__wire__worker_speed__init(&wire)
    wire.fingerprint = arena.string(fingerprint)
    wire.precision = arena.string(precision)
    wire.threads = try Bounds.wire32(threads, "WorkerSpeed.threads")
    wire.cores = try Bounds.wire32(cores, "WorkerSpeed.cores")
    wire.patch_seconds = patchSeconds
    wire.vision_seconds = visionSeconds
    wire.projector_seconds = projectorSeconds
    wire.embedding_seconds = embeddingSeconds
    wire.prefill_seconds = prefillSeconds
    wire.byte_seconds = byteSeconds
    (wire.n_steps, wire.steps) = try arena.messages(steps) {
      step throws(MessagingError) in try step.wire()
    }
    wire.read_bytes_per_second = readBytesPerSecond
    wire.free_bytes = try Bounds.wire64(freeBytes, "WorkerSpeed.freeBytes")
    wire.link_bytes_per_second = linkBytesPerSecond
    wire.link_latency_seconds = linkLatencySeconds
    return wire
  }

  init(_ wire: WireWorkerSpeed) throws(MessagingError) {
    self.init()
    fingerprint = try WireReading.string(wire.fingerprint, "WorkerSpeed.fingerprint")
    precision = try WireReading.string(wire.precision, "WorkerSpeed.precision")
    threads = Int(wire.threads)
    cores = Int(wire.cores)
    patchSeconds = wire.patch_seconds
    visionSeconds = wire.vision_seconds
    projectorSeconds = wire.projector_seconds
    embeddingSeconds = wire.embedding_seconds
    prefillSeconds = wire.prefill_seconds
    byteSeconds = wire.byte_seconds
    steps = try WireReading.messages(
      wire.steps, wire.n_steps, atMost: MessageLimits.stepCount, "WorkerSpeed.steps", Step.init)
    readBytesPerSecond = wire.read_bytes_per_second
    freeBytes = try Bounds.int(wire.free_bytes, "WorkerSpeed.freeBytes")
    linkBytesPerSecond = wire.link_bytes_per_second
    linkLatencySeconds = wire.link_latency_seconds
    try validate()
  }
}

extension WorkerSpeed.Step {
  private func validate() throws(MessagingError) {
    try Bounds.range(rows, 1...MessageLimits.segmentCount, "StepCost.rows")
    for value in [layerSeconds, headSeconds, hopSeconds] {
      try Bounds.measured(value, "StepCost")
    }
  }

  func wire() throws(MessagingError) -> WireStepCost {
    try validate()
    var wire = WireStepCost()
    palisade__wire__step_cost__init(&wire)
    wire.rows = try Bounds.wire32(rows, "StepCost.rows")
    wire.layer_seconds = layerSeconds
    wire.head_seconds = headSeconds
    wire.hop_seconds = hopSeconds
    return wire
  }

  init(_ wire: WireStepCost) throws(MessagingError) {
    self.init(
      rows: Int(wire.rows), layerSeconds: wire.layer_seconds, headSeconds: wire.head_seconds,
      hopSeconds: wire.hop_seconds)
    try validate()
  }
}

extension ModelNumbers {
  func validate() throws(MessagingError) {
    try Bounds.text(text, "ModelNumbers.text")
    try Bounds.name(fingerprint, "ModelNumbers.fingerprint")
    try Bounds.name(precision, "ModelNumbers.precision")
  }
}

/// The bytes of a link probe: only their number counts.
enum LinkProbePayload {
  static func wire(
    _ byteCount: Int, _ arena: WireArena
  ) throws(MessagingError) -> ProtobufCBinaryData {
    try Bounds.range(byteCount, 0...MessageLimits.linkProbeByteCount, "LinkProbe.payload")
    let (count, pointer) = arena.list([UInt8](repeating: 0x55, count: byteCount))
    return ProtobufCBinaryData(len: count, data: pointer)
  }

  static func byteCount(_ wire: ProtobufCBinaryData) throws(MessagingError) -> Int {
    try Bounds.count(wire.len, atMost: MessageLimits.linkProbeByteCount, "LinkProbe.payload")
    return wire.len
  }
}
