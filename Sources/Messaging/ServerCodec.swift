import CWire

typealias WireServerEnvelope = Palisade__Wire__ServerEnvelope
typealias WireStatus = Palisade__Wire__Status
typealias WireStageStatus = Palisade__Wire__StageStatus

extension StageStatus {
  func validate() throws(MessagingError) {
    try Bounds.name(name, "StageStatus.name")
    try Bounds.name(worker, "StageStatus.worker")
    try Bounds.finite(busyShare, "StageStatus.busyShare")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireStageStatus {
    try validate()
    var wire = WireStageStatus()
    palisade__wire__stage_status__init(&wire)
    wire.name = arena.string(name)
    wire.first_block = try Bounds.wire32(blocks.lowerBound, "StageStatus.blocks")
    wire.end_block = try Bounds.wire32(blocks.upperBound, "StageStatus.blocks")
    wire.worker = arena.string(worker)
    wire.busy_share = busyShare
    wire.micro_batches = microBatches
    wire.received_bytes = receivedBytes
    wire.sent_bytes = sentBytes
    return wire
  }

  init(_ wire: WireStageStatus) throws(MessagingError) {
    self.init(
      name: try WireReading.string(wire.name, "StageStatus.name"),
      blocks: try WireReading.blocks(wire.first_block, wire.end_block, "StageStatus.blocks"),
      worker: try WireReading.string(wire.worker, "StageStatus.worker"),
      busyShare: wire.busy_share,
      microBatches: wire.micro_batches,
      receivedBytes: wire.received_bytes,
      sentBytes: wire.sent_bytes
    )
    try validate()
  }
}

extension Status {
  /// Rows: every stage with every replica.
  private static let rowCount = MessageLimits.routeLength * 16

  func validate() throws(MessagingError) {
    try Bounds.name(state, "Status.state")
    try Bounds.text(message, "Status.message")
    try Bounds.count(stages.count, atMost: Status.rowCount, "Status.stages")
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
    return wire
  }

  init(_ wire: WireStatus) throws(MessagingError) {
    self.init(
      state: try WireReading.string(wire.state, "Status.state"),
      message: try WireReading.text(wire.message, "Status.message"),
      stages: try WireReading.messages(
        wire.stages,
        wire.n_stages,
        atMost: Status.rowCount,
        "Status.stages",
        StageStatus.init
      )
    )
    try validate()
  }
}

extension ServerMessage: WireMessage {
  /// Always one frame.
  public func encode() throws(MessagingError) -> [Frame] {
    let arena = WireArena()
    defer { withExtendedLifetime(arena) {} }
    var envelope = WireServerEnvelope()
    palisade__wire__server_envelope__init(&envelope)
    envelope.protocol_version = MessageLimits.protocolVersion
    switch self {
    case .reply(let value):
      envelope.body_case = PALISADE__WIRE__SERVER_ENVELOPE__BODY_REPLY
      envelope.reply = arena.place(try value.wire(in: arena))
    case .status(let value):
      envelope.body_case = PALISADE__WIRE__SERVER_ENVELOPE__BODY_STATUS
      envelope.status = arena.place(try value.wire(in: arena))
    }
    let byteCount = palisade__wire__server_envelope__get_packed_size(&envelope)
    return [
      try Envelope.pack("server", byteCount: byteCount) {
        palisade__wire__server_envelope__pack(&envelope, $0)
      }
    ]
  }

  /// Reads what a coordinator answered.
  public static func decode(
    _ frames: [Frame],
    limits: MessageLimits
  ) throws(MessagingError) -> ServerMessage {
    let header = try Envelope.header(of: frames, "server", limits: limits)
    try Envelope.checkFrameCount(frames, 1, "server")
    return try Envelope.unpack(
      header,
      "server",
      palisade__wire__server_envelope__unpack,
      palisade__wire__server_envelope__free_unpacked
    ) { wire throws(MessagingError) in
      switch wire.body_case {
      case PALISADE__WIRE__SERVER_ENVELOPE__BODY_REPLY:
        return .reply(try Reply(WireReading.message(wire.reply, "Reply")))
      case PALISADE__WIRE__SERVER_ENVELOPE__BODY_STATUS:
        return .status(try Status(WireReading.message(wire.status, "Status")))
      default: throw .malformed("server", "the envelope has no body")
      }
    }
  }
}
