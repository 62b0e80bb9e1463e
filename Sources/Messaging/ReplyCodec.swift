import CWire

typealias WireReply = Palisade__Wire__Reply
typealias WireBox = Palisade__Wire__Box
typealias WireMalformedText = Palisade__Wire__MalformedText
typealias WireImageSize = Palisade__Wire__ImageSize
typealias WireTokenLogprob = Palisade__Wire__TokenLogprob

extension ImageSize {
  func wire() throws(MessagingError) -> WireImageSize {
    var wire = WireImageSize()
    palisade__wire__image_size__init(&wire)
    wire.width = try Bounds.wire32(width, "ImageSize.width")
    wire.height = try Bounds.wire32(height, "ImageSize.height")
    return wire
  }

  init(_ wire: WireImageSize) {
    self.init(width: Int(wire.width), height: Int(wire.height))
  }
}

extension Box {
  func validate() throws(MessagingError) {
    try Bounds.text(label, "Box.label")
    for corner in [x1, y1, x2, y2] { try Bounds.finite(corner, "Box corner") }
    guard segments.isEmpty || segments.count == MessageLimits.segmentsOfMask,
      segments.allSatisfy({ $0 < CoordinateTokens.segmentCount })
    else { throw .malformed("Box.segments", "are not sixteen code words") }
    try Bounds.count(mask.utf8.count, atMost: MessageLimits.maskByteCount, "Box.mask")
    guard mask.utf8.allSatisfy({ (48..<112).contains($0) }) else {
      throw .malformed("Box.mask", "has characters that no run lengths have")
    }
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireBox {
    try validate()
    var wire = WireBox()
    palisade__wire__box__init(&wire)
    wire.label = arena.bytes(label)
    wire.x1 = x1
    wire.y1 = y1
    wire.x2 = x2
    wire.y2 = y2
    wire.is_repeat = isRepeat ? 1 : 0
    let (count, pointer) = arena.list(segments)
    wire.segments = ProtobufCBinaryData(len: count, data: pointer)
    wire.mask = arena.bytes(mask)
    return wire
  }

  init(_ wire: WireBox) throws(MessagingError) {
    self.init(
      label: try WireReading.text(wire.label, "Box.label"),
      x1: wire.x1,
      y1: wire.y1,
      x2: wire.x2,
      y2: wire.y2,
      isRepeat: wire.is_repeat != 0,
      segments: try WireReading.list(
        wire.segments.data, wire.segments.len, atMost: MessageLimits.segmentsOfMask, "Box.segments"
      ),
      mask: try WireReading.text(wire.mask, atMost: MessageLimits.maskByteCount, "Box.mask")
    )
    try validate()
  }
}

extension MalformedText {
  func wire(in arena: WireArena) throws(MessagingError) -> WireMalformedText {
    try validate()
    var wire = WireMalformedText()
    palisade__wire__malformed_text__init(&wire)
    wire.reason = arena.bytes(reason)
    wire.text = arena.bytes(text)
    return wire
  }

  init(_ wire: WireMalformedText) throws(MessagingError) {
    self.init(
      reason: try WireReading.text(wire.reason, "MalformedText.reason"),
      text: try WireReading.text(wire.text, "MalformedText.text"))
  }

  func validate() throws(MessagingError) {
    try Bounds.text(reason, "MalformedText.reason")
    try Bounds.text(text, "MalformedText.text")
  }
}

extension TokenLogprob {
  func wire(in arena: WireArena) throws(MessagingError) -> WireTokenLogprob {
    try Bounds.logprob(logprob, "TokenLogprob.logprob")
    try Bounds.count(
      alternatives.count,
      atMost: MessageLimits.alternativeCount,
      "TokenLogprob.alternatives"
    )
    var wire = WireTokenLogprob()
    palisade__wire__token_logprob__init(&wire)
    wire.token_id = try Bounds.wireToken(tokenID, "TokenLogprob.tokenID")
    wire.logprob = logprob
    (wire.n_alternatives, wire.alternatives) = try arena.messages(alternatives) {
      alternative throws(MessagingError) in try alternative.wire()
    }
    return wire
  }

  init(_ wire: WireTokenLogprob) throws(MessagingError) {
    try Bounds.logprob(wire.logprob, "TokenLogprob.logprob")
    self.init(
      tokenID: try Bounds.token(wire.token_id, "TokenLogprob.tokenID"),
      logprob: wire.logprob,
      alternatives: try WireReading.messages(
        wire.alternatives,
        wire.n_alternatives,
        atMost: MessageLimits.alternativeCount,
        "TokenLogprob.alternatives",
        Alternative.init
      )
    )
  }
}

extension Reply {
  func validate() throws(MessagingError) {
    try Bounds.text(text, "Reply.text")
    try Bounds.count(tokenIDs.count, atMost: MessageLimits.tokenCount, "Reply.tokenIDs")
    try Bounds.count(images.count, atMost: MessageLimits.imageCount, "Reply.images")
    try Bounds.count(boxes.count, atMost: MessageLimits.boxCount, "Reply.boxes")
    try Bounds.count(malformed.count, atMost: MessageLimits.boxCount, "Reply.malformed")
    try Bounds.count(logprobs.count, atMost: MessageLimits.tokenCount, "Reply.logprobs")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireReply {
    try validate()
    var wire = WireReply()
    palisade__wire__reply__init(&wire)
    wire.tag = tag
    wire.text = arena.bytes(text)
    (wire.n_token_ids, wire.token_ids) = arena.list(
      try Bounds.wireTokens(tokenIDs, "Reply.tokenIDs")
    )
    wire.finish = Palisade__Wire__Finish(finish?.rawValue ?? 0)
    wire.prompt_tokens = try Bounds.wire32(promptTokens, "Reply.promptTokens")
    wire.completion_tokens = try Bounds.wire32(completionTokens, "Reply.completionTokens")
    (wire.n_images, wire.images) = try arena.messages(images) {
      image throws(MessagingError) in try image.wire()
    }
    (wire.n_boxes, wire.boxes) = try arena.messages(boxes) {
      box throws(MessagingError) in try box.wire(in: arena)
    }
    (wire.n_malformed, wire.malformed) = try arena.messages(malformed) {
      part throws(MessagingError) in try part.wire(in: arena)
    }
    (wire.n_logprobs, wire.logprobs) = try arena.messages(logprobs) {
      logprob throws(MessagingError) in try logprob.wire(in: arena)
    }
    if let failure { wire.failure = arena.place(try failure.wire(in: arena)) }
    wire.is_busy = isBusy ? 1 : 0
    return wire
  }

  init(_ wire: WireReply) throws(MessagingError) {
    self.init(
      tag: wire.tag,
      text: try WireReading.text(wire.text, "Reply.text"),
      tokenIDs: try WireReading.tokens(
        wire.token_ids,
        wire.n_token_ids,
        atMost: MessageLimits.tokenCount,
        "Reply.tokenIDs"
      ),
      finish: try WireReading.finish(wire.finish.rawValue, "Reply.finish"),
      promptTokens: Int(wire.prompt_tokens),
      completionTokens: Int(wire.completion_tokens),
      images: try WireReading.messages(
        wire.images,
        wire.n_images,
        atMost: MessageLimits.imageCount,
        "Reply.images"
      ) { image throws(MessagingError) in ImageSize(image) },
      boxes: try WireReading.messages(
        wire.boxes,
        wire.n_boxes,
        atMost: MessageLimits.boxCount,
        "Reply.boxes",
        Box.init
      ),
      malformed: try WireReading.messages(
        wire.malformed,
        wire.n_malformed,
        atMost: MessageLimits.boxCount,
        "Reply.malformed",
        MalformedText.init
      ),
      logprobs: try WireReading.messages(
        wire.logprobs,
        wire.n_logprobs,
        atMost: MessageLimits.tokenCount,
        "Reply.logprobs",
        TokenLogprob.init
      ),
      isBusy: wire.is_busy != 0
    )
    if let wireFailure = wire.failure { failure = try Failure(wireFailure.pointee) }
    try validate()
  }
}
