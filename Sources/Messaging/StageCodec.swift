import CWire

typealias WireStageEnvelope = Palisade__Wire__StageEnvelope

extension StageMessage: WireMessage {
  /// One frame, or two when a micro-batch bears a tensor of more than 8 KiB.
  public func encode() throws(MessagingError) -> [Frame] {
    let arena = WireArena()
    defer { withExtendedLifetime(arena) {} }
    var envelope = WireStageEnvelope()
    palisade__wire__stage_envelope__init(&envelope)
    envelope.protocol_version = MessageLimits.protocolVersion
    var frames: [Frame] = []
    switch self {
    case .microBatch(let batch):
      let (wire, payload) = try batch.wire(in: arena)
      envelope.body_case = PALISADE__WIRE__STAGE_ENVELOPE__BODY_MICRO_BATCH
      envelope.micro_batch = arena.place(wire)
      if let payload { frames.append(payload) }
    case .tokenBatch(let batch):
      envelope.body_case = PALISADE__WIRE__STAGE_ENVELOPE__BODY_TOKEN_BATCH
      envelope.token_batch = arena.place(try batch.wire(in: arena))
    case .pulse(let pulse):
      envelope.body_case = PALISADE__WIRE__STAGE_ENVELOPE__BODY_PULSE
      envelope.pulse = arena.place(try pulse.wire())
    }
    let byteCount = palisade__wire__stage_envelope__get_packed_size(&envelope)
    let header = try Envelope.pack("stage", byteCount: byteCount) {
      palisade__wire__stage_envelope__pack(&envelope, $0)
    }
    return [header] + frames
  }

  /// Reads any kind of message between stages.
  public static func decode(
    _ frames: [Frame],
    limits: MessageLimits
  ) throws(MessagingError) -> StageMessage {
    let header = try Envelope.header(of: frames, "stage", limits: limits)
    return try Envelope.unpack(
      header,
      "stage",
      palisade__wire__stage_envelope__unpack,
      palisade__wire__stage_envelope__free_unpacked
    ) { wire throws(MessagingError) in
      switch wire.body_case {
      case PALISADE__WIRE__STAGE_ENVELOPE__BODY_MICRO_BATCH:
        guard frames.count <= 2 else {
          throw .malformed("MicroBatch", "\(frames.count) frames instead of 1 or 2")
        }
        let body = try WireReading.message(wire.micro_batch, "MicroBatch")
        return .microBatch(try MicroBatch(body, payload: frames.dropFirst().first))
      case PALISADE__WIRE__STAGE_ENVELOPE__BODY_TOKEN_BATCH:
        try Envelope.checkFrameCount(frames, 1, "TokenBatch")
        return .tokenBatch(try TokenBatch(WireReading.message(wire.token_batch, "TokenBatch")))
      case PALISADE__WIRE__STAGE_ENVELOPE__BODY_PULSE:
        try Envelope.checkFrameCount(frames, 1, "Pulse")
        return .pulse(Pulse(try WireReading.message(wire.pulse, "Pulse")))
      default: throw .malformed("stage", "the envelope has no body")
      }
    }
  }
}

extension MicroBatch: WireMessage {
  /// As `StageMessage.microBatch`.
  public func encode() throws(MessagingError) -> [Frame] {
    try StageMessage.microBatch(self).encode()
  }

  /// As `StageMessage`, refusing anything else.
  public static func decode(
    _ frames: [Frame],
    limits: MessageLimits
  ) throws(MessagingError) -> MicroBatch {
    guard case .microBatch(let batch) = try StageMessage.decode(frames, limits: limits) else {
      throw .malformed("MicroBatch", "is something else")
    }
    return batch
  }
}

extension TokenBatch: WireMessage {
  /// As `StageMessage.tokenBatch`.
  public func encode() throws(MessagingError) -> [Frame] {
    try StageMessage.tokenBatch(self).encode()
  }

  /// As `StageMessage`, refusing anything else.
  public static func decode(
    _ frames: [Frame],
    limits: MessageLimits
  ) throws(MessagingError) -> TokenBatch {
    guard case .tokenBatch(let batch) = try StageMessage.decode(frames, limits: limits) else {
      throw .malformed("TokenBatch", "is something else")
    }
    return batch
  }
}

extension Pulse {
  func wire() throws(MessagingError) -> Palisade__Wire__Pulse {
    var wire = Palisade__Wire__Pulse()
    palisade__wire__pulse__init(&wire)
    wire.plan_epoch = epoch
    wire.worker = try Bounds.wire32(worker, "Pulse.worker")
    return wire
  }

  init(_ wire: Palisade__Wire__Pulse) {
    self.init(epoch: wire.plan_epoch, worker: Int(wire.worker))
  }
}
