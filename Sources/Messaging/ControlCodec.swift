import CWire

typealias WireControlEnvelope = Palisade__Wire__ControlEnvelope

extension ControlMessage: WireMessage {
  /// Always one frame.
  public func encode() throws(MessagingError) -> [Frame] {
    let arena = WireArena()
    defer { withExtendedLifetime(arena) {} }
    var envelope = WireControlEnvelope()
    palisade__wire__control_envelope__init(&envelope)
    envelope.protocol_version = MessageLimits.protocolVersion
    switch self {
    case .register, .ready, .heartbeat, .workerFailure, .goodbye, .workerSpeed, .linkProbe:
      try fillFromWorker(&envelope, arena)
    case .welcome, .assign, .heartbeatReply, .cancel, .reset, .shutdown, .registerAgain,
      .linkEcho:
      try fillFromCoordinator(&envelope, arena)
    }
    let byteCount = palisade__wire__control_envelope__get_packed_size(&envelope)
    return [
      try Envelope.pack("control", byteCount: byteCount) {
        palisade__wire__control_envelope__pack(&envelope, $0)
      }
    ]
  }

  private func fillFromWorker(
    _ envelope: inout WireControlEnvelope,
    _ arena: WireArena
  ) throws(MessagingError) {
    switch self {
    case .register(let value):
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_REGISTER_WORKER
      envelope.register_worker = arena.place(try value.wire(in: arena))
    case .ready(let value):
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_READY
      envelope.ready = arena.place(try value.wire())
    case .heartbeat(let value):
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_HEARTBEAT
      envelope.heartbeat = arena.place(try value.wire(in: arena))
    case .workerFailure(let value):
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_WORKER_FAILURE
      envelope.worker_failure = arena.place(try value.wire(in: arena))
    case .workerSpeed(let value):
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_WORKER_SPEED
      envelope.worker_speed = arena.place(try value.wire(in: arena))
    case .linkProbe(let sent, let byteCount):
      var wire = Palisade__Wire__LinkProbe()
      palisade__wire__link_probe__init(&wire)
      wire.sent_nanoseconds = sent
      wire.payload = try LinkProbePayload.wire(byteCount, arena)
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_LINK_PROBE
      envelope.link_probe = arena.place(wire)
    default:
      var wire = Palisade__Wire__Goodbye()
      palisade__wire__goodbye__init(&wire)
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_GOODBYE
      envelope.goodbye = arena.place(wire)
    }
  }

  private func fillFromCoordinator(
    _ envelope: inout WireControlEnvelope,
    _ arena: WireArena
  ) throws(MessagingError) {
    switch self {
    case .welcome(let value):
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_WELCOME
      envelope.welcome = arena.place(try value.wire(in: arena))
    case .assign(let value):
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_ASSIGN
      envelope.assign = arena.place(try value.wire(in: arena))
    case .heartbeatReply(let value):
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_HEARTBEAT_REPLY
      envelope.heartbeat_reply = arena.place(value.wire())
    case .cancel(let epoch, let requests):
      try Bounds.count(requests.count, atMost: MessageLimits.requestCount, "Cancel.requests")
      var wire = Palisade__Wire__Cancel()
      palisade__wire__cancel__init(&wire)
      wire.epoch = epoch
      (wire.n_requests, wire.requests) = arena.list(requests)
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_CANCEL
      envelope.cancel = arena.place(wire)
    case .reset(let epoch):
      var wire = Palisade__Wire__Reset()
      palisade__wire__reset__init(&wire)
      wire.epoch = epoch
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_RESET
      envelope.reset = arena.place(wire)
    case .shutdown(let reason):
      try Bounds.text(reason, "Shutdown.reason")
      var wire = Palisade__Wire__Shutdown()
      palisade__wire__shutdown__init(&wire)
      wire.reason = arena.bytes(reason)
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_SHUTDOWN
      envelope.shutdown = arena.place(wire)
    case .registerAgain:
      var wire = Palisade__Wire__RegisterAgain()
      palisade__wire__register_again__init(&wire)
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_REGISTER_AGAIN
      envelope.register_again = arena.place(wire)
    case .linkEcho(let sent):
      var wire = Palisade__Wire__LinkEcho()
      palisade__wire__link_echo__init(&wire)
      wire.sent_nanoseconds = sent
      envelope.body_case = PALISADE__WIRE__CONTROL_ENVELOPE__BODY_LINK_ECHO
      envelope.link_echo = arena.place(wire)
    default: throw .malformed("control", "not a message of the coordinator")
    }
  }

  /// Reads a message of either direction; the receiver refuses those that are not for it.
  public static func decode(
    _ frames: [Frame],
    limits: MessageLimits
  ) throws(MessagingError) -> ControlMessage {
    let header = try Envelope.header(of: frames, "control", limits: limits)
    try Envelope.checkFrameCount(frames, 1, "control")
    return try Envelope.unpack(
      header,
      "control",
      palisade__wire__control_envelope__unpack,
      palisade__wire__control_envelope__free_unpacked
    ) { wire throws(MessagingError) in try ControlMessage(wire) }
  }

  private init(_ wire: WireControlEnvelope) throws(MessagingError) {
    switch wire.body_case {
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_REGISTER_WORKER:
      self = .register(try Register(WireReading.message(wire.register_worker, "Register")))
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_READY:
      self = .ready(try Ready(WireReading.message(wire.ready, "Ready")))
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_HEARTBEAT:
      self = .heartbeat(try Heartbeat(WireReading.message(wire.heartbeat, "Heartbeat")))
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_WORKER_FAILURE:
      self = .workerFailure(
        try WorkerFailure(WireReading.message(wire.worker_failure, "WorkerFailure"))
      )
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_GOODBYE:
      self = .goodbye
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_WELCOME:
      self = .welcome(try Welcome(try WireReading.message(wire.welcome, "Welcome")))
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_ASSIGN:
      self = .assign(try Assign(WireReading.message(wire.assign, "Assign")))
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_HEARTBEAT_REPLY:
      self = .heartbeatReply(
        HeartbeatReply(try WireReading.message(wire.heartbeat_reply, "HeartbeatReply"))
      )
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_CANCEL:
      let body = try WireReading.message(wire.cancel, "Cancel")
      let requests = try WireReading.list(
        body.requests,
        body.n_requests,
        atMost: MessageLimits.requestCount,
        "Cancel.requests"
      )
      self = .cancel(epoch: body.epoch, requests: requests)
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_RESET:
      self = .reset(epoch: try WireReading.message(wire.reset, "Reset").epoch)
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_SHUTDOWN:
      let body = try WireReading.message(wire.shutdown, "Shutdown")
      self = .shutdown(reason: try WireReading.text(body.reason, "Shutdown.reason"))
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_REGISTER_AGAIN: self = .registerAgain
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_WORKER_SPEED:
      self = .workerSpeed(try WorkerSpeed(WireReading.message(wire.worker_speed, "WorkerSpeed")))
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_LINK_PROBE:
      let body = try WireReading.message(wire.link_probe, "LinkProbe")
      self = .linkProbe(
        sentNanoseconds: body.sent_nanoseconds,
        byteCount: try LinkProbePayload.byteCount(body.payload))
    case PALISADE__WIRE__CONTROL_ENVELOPE__BODY_LINK_ECHO:
      self = .linkEcho(
        sentNanoseconds: try WireReading.message(wire.link_echo, "LinkEcho").sent_nanoseconds)
    default: throw .malformed("control", "the envelope has no body")
    }
  }
}
