import CWire

typealias WireServerEnvelope = Palisade__Wire__ServerEnvelope

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
    case .trace(let value):
      envelope.body_case = PALISADE__WIRE__SERVER_ENVELOPE__BODY_TRACE
      envelope.trace = arena.place(try value.wire(in: arena))
    case .orderAnswer(let value):
      envelope.body_case = PALISADE__WIRE__SERVER_ENVELOPE__BODY_ORDER_ANSWER
      envelope.order_answer = arena.place(try value.wire(in: arena))
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
      case PALISADE__WIRE__SERVER_ENVELOPE__BODY_TRACE:
        return .trace(try Trace(WireReading.message(wire.trace, "Trace")))
      case PALISADE__WIRE__SERVER_ENVELOPE__BODY_ORDER_ANSWER:
        return .orderAnswer(
          try OrderAnswer(WireReading.message(wire.order_answer, "OrderAnswer")))
      default: throw .malformed("server", "the envelope has no body")
      }
    }
  }
}
