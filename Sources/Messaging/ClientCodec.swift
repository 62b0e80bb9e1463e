import CWire

typealias WireClientEnvelope = Palisade__Wire__ClientEnvelope
typealias WireSubmit = Palisade__Wire__Submit

extension Submit {
  func validate() throws(MessagingError) {
    try Bounds.text(prompt, "Submit.prompt")
    try Bounds.count(images.count, atMost: MessageLimits.imageCount, "Submit.images")
    for image in images where image.byteCount == 0 {
      throw .malformed("Submit.images", "an image has no bytes")
    }
    try Bounds.count(stopTexts.count, atMost: MessageLimits.stopTextCount, "Submit.stopTexts")
    for text in stopTexts { try Bounds.text(text, "Submit.stopTexts") }
    guard originalSizes.isEmpty || originalSizes.count == images.count else {
      throw .malformed(
        "Submit.originalSizes", "\(originalSizes.count) sizes for \(images.count) images")
    }
    for size in originalSizes {
      try Bounds.range(size.width, 0...MessageLimits.pictureSide, "Submit.originalSizes")
      try Bounds.range(size.height, 0...MessageLimits.pictureSide, "Submit.originalSizes")
      guard (size.width == 0) == (size.height == 0) else {
        throw .malformed("Submit.originalSizes", "one side of a picture is 0")
      }
    }
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireSubmit {
    try validate()
    var wire = WireSubmit()
    palisade__wire__submit__init(&wire)
    wire.tag = tag
    wire.prompt = arena.bytes(prompt)
    wire.image_count = try Bounds.wire32(images.count, "Submit.images")
    wire.sampling = arena.place(try sampling.wire(in: arena))
    wire.handling = arena.place(try handling.wire(in: arena))
    (wire.n_stop_texts, wire.stop_texts) = arena.list(stopTexts.map(arena.bytes))
    (wire.n_original_sizes, wire.original_sizes) = try arena.messages(originalSizes) {
      size throws(MessagingError) in try size.wire()
    }
    return wire
  }

  init(_ wire: WireSubmit, images: [Frame]) throws(MessagingError) {
    guard Int(wire.image_count) == images.count else {
      throw .malformed("Submit.images", "\(images.count) frames for \(wire.image_count) images")
    }
    self.init(
      tag: wire.tag,
      prompt: try WireReading.text(wire.prompt, "Submit.prompt"),
      images: images,
      sampling: try Sampling(try WireReading.message(wire.sampling, "Submit.sampling")),
      handling: try Handling(try WireReading.message(wire.handling, "Submit.handling"))
    )
    let stops = try WireReading.list(
      wire.stop_texts, wire.n_stop_texts, atMost: MessageLimits.stopTextCount, "Submit.stopTexts")
    for stop in stops { stopTexts.append(try WireReading.text(stop, "Submit.stopTexts")) }
    originalSizes = try WireReading.messages(
      wire.original_sizes, wire.n_original_sizes, atMost: MessageLimits.imageCount,
      "Submit.originalSizes"
    ) { size throws(MessagingError) in ImageSize(size) }
    try validate()
  }
}

extension ClientMessage: WireMessage {
  /// One frame, and one more for each image.
  public func encode() throws(MessagingError) -> [Frame] {
    let arena = WireArena()
    defer { withExtendedLifetime(arena) {} }
    var envelope = WireClientEnvelope()
    palisade__wire__client_envelope__init(&envelope)
    envelope.protocol_version = MessageLimits.protocolVersion
    var images: [Frame] = []
    switch self {
    case .submit(let value):
      envelope.body_case = PALISADE__WIRE__CLIENT_ENVELOPE__BODY_SUBMIT
      envelope.submit = arena.place(try value.wire(in: arena))
      images = value.images
    case .cancel(let tag):
      var wire = Palisade__Wire__CancelSubmit()
      palisade__wire__cancel_submit__init(&wire)
      wire.tag = tag
      envelope.body_case = PALISADE__WIRE__CLIENT_ENVELOPE__BODY_CANCEL
      envelope.cancel = arena.place(wire)
    case .status:
      var wire = Palisade__Wire__StatusRequest()
      palisade__wire__status_request__init(&wire)
      envelope.body_case = PALISADE__WIRE__CLIENT_ENVELOPE__BODY_STATUS_REQUEST
      envelope.status_request = arena.place(wire)
    case .trace(let spanCount):
      var wire = Palisade__Wire__TraceRequest()
      palisade__wire__trace_request__init(&wire)
      wire.span_count = try Bounds.wire32(spanCount, "TraceRequest.spanCount")
      envelope.body_case = PALISADE__WIRE__CLIENT_ENVELOPE__BODY_TRACE_REQUEST
      envelope.trace_request = arena.place(wire)
    case .order(let order): try order.write(to: &envelope, in: arena)
    }
    let byteCount = palisade__wire__client_envelope__get_packed_size(&envelope)
    let header = try Envelope.pack("client", byteCount: byteCount) {
      palisade__wire__client_envelope__pack(&envelope, $0)
    }
    return [header] + images
  }

  /// Reads what a client sent.
  public static func decode(
    _ frames: [Frame],
    limits: MessageLimits
  ) throws(MessagingError) -> ClientMessage {
    let header = try Envelope.header(of: frames, "client", limits: limits)
    return try Envelope.unpack(
      header,
      "client",
      palisade__wire__client_envelope__unpack,
      palisade__wire__client_envelope__free_unpacked
    ) { wire throws(MessagingError) in
      switch wire.body_case {
      case PALISADE__WIRE__CLIENT_ENVELOPE__BODY_SUBMIT:
        let body = try WireReading.message(wire.submit, "Submit")
        return .submit(try Submit(body, images: Array(frames.dropFirst())))
      case PALISADE__WIRE__CLIENT_ENVELOPE__BODY_CANCEL:
        try Envelope.checkFrameCount(frames, 1, "CancelSubmit")
        return .cancel(tag: try WireReading.message(wire.cancel, "CancelSubmit").tag)
      case PALISADE__WIRE__CLIENT_ENVELOPE__BODY_STATUS_REQUEST:
        try Envelope.checkFrameCount(frames, 1, "StatusRequest")
        return .status
      case PALISADE__WIRE__CLIENT_ENVELOPE__BODY_TRACE_REQUEST:
        try Envelope.checkFrameCount(frames, 1, "TraceRequest")
        let body = try WireReading.message(wire.trace_request, "TraceRequest")
        return .trace(spanCount: Int(body.span_count))
      case PALISADE__WIRE__CLIENT_ENVELOPE__BODY_DRAIN_ORDER:
        try Envelope.checkFrameCount(frames, 1, "DrainOrder")
        return .order(try ClusterOrder(WireReading.message(wire.drain_order, "DrainOrder")))
      case PALISADE__WIRE__CLIENT_ENVELOPE__BODY_SCALE_ORDER:
        try Envelope.checkFrameCount(frames, 1, "ScaleOrder")
        return .order(try ClusterOrder(WireReading.message(wire.scale_order, "ScaleOrder")))
      default: throw .malformed("client", "the envelope has no body")
      }
    }
  }
}
