import CWire

typealias WireTokenResult = Palisade__Wire__TokenResult
typealias WireTokenBatch = Palisade__Wire__TokenBatch
typealias WireAlternative = Palisade__Wire__Alternative
typealias WireFailure = Palisade__Wire__Failure

extension Failure {
  func validate() throws(MessagingError) {
    guard !code.isEmpty else { throw .malformed("Failure.code", "is empty") }
    try Bounds.name(code, "Failure.code")
    try Bounds.text(message, "Failure.message")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireFailure {
    try validate()
    var wire = WireFailure()
    palisade__wire__failure__init(&wire)
    wire.code = arena.string(code)
    wire.message = arena.bytes(message)
    return wire
  }

  init(_ wire: WireFailure) throws(MessagingError) {
    self.init(
      code: try WireReading.string(wire.code, "Failure.code"),
      message: try WireReading.text(wire.message, "Failure.message")
    )
    try validate()
  }
}

extension Alternative {
  func wire() throws(MessagingError) -> WireAlternative {
    try Bounds.logprob(logprob, "Alternative.logprob")
    var wire = WireAlternative()
    palisade__wire__alternative__init(&wire)
    wire.token_id = try Bounds.wireToken(tokenID, "Alternative.tokenID")
    wire.logprob = logprob
    return wire
  }

  init(_ wire: WireAlternative) throws(MessagingError) {
    try Bounds.logprob(wire.logprob, "Alternative.logprob")
    self.init(
      tokenID: try Bounds.token(wire.token_id, "Alternative.tokenID"),
      logprob: wire.logprob
    )
  }
}

extension TokenResult {
  func validate() throws(MessagingError) {
    try Bounds.range(index, 0...MessageLimits.tokenCount, "TokenResult.index")
    try Bounds.logprob(logprob, "TokenResult.logprob")
    try Bounds.count(
      alternatives.count,
      atMost: MessageLimits.alternativeCount,
      "TokenResult.alternatives"
    )
    guard (finish == .failed) == (failure != nil) else {
      throw .malformed("TokenResult.failure", "must be set exactly when finish is failed")
    }
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireTokenResult {
    try validate()
    var wire = WireTokenResult()
    palisade__wire__token_result__init(&wire)
    wire.request = request
    wire.index = try Bounds.wire32(index, "TokenResult.index")
    wire.token_id = try Bounds.wireToken(tokenID, "TokenResult.tokenID")
    wire.finish = Palisade__Wire__Finish(finish?.rawValue ?? 0)
    wire.logprob = logprob
    (wire.n_alternatives, wire.alternatives) = try arena.messages(alternatives) {
      alternative throws(MessagingError) in try alternative.wire()
    }
    if let failure { wire.failure = arena.place(try failure.wire(in: arena)) }
    return wire
  }

  init(_ wire: WireTokenResult) throws(MessagingError) {
    self.init(
      request: wire.request,
      index: Int(wire.index),
      tokenID: try Bounds.token(wire.token_id, "TokenResult.tokenID"),
      finish: try WireReading.finish(wire.finish.rawValue, "TokenResult.finish"),
      logprob: wire.logprob,
      alternatives: try WireReading.messages(
        wire.alternatives,
        wire.n_alternatives,
        atMost: MessageLimits.alternativeCount,
        "TokenResult.alternatives",
        Alternative.init
      )
    )
    if let wireFailure = wire.failure { failure = try Failure(wireFailure.pointee) }
    try validate()
  }
}

extension TokenBatch {
  func wire(in arena: WireArena) throws(MessagingError) -> WireTokenBatch {
    try Bounds.count(results.count, atMost: MessageLimits.segmentCount, "TokenBatch.results")
    var wire = WireTokenBatch()
    palisade__wire__token_batch__init(&wire)
    wire.plan_epoch = epoch
    wire.sequence = sequence
    (wire.n_results, wire.results) = try arena.messages(results) {
      result throws(MessagingError) in try result.wire(in: arena)
    }
    return wire
  }

  init(_ wire: WireTokenBatch) throws(MessagingError) {
    self.init(
      epoch: wire.plan_epoch,
      sequence: wire.sequence,
      results: try WireReading.messages(
        wire.results,
        wire.n_results,
        atMost: MessageLimits.segmentCount,
        "TokenBatch.results",
        TokenResult.init
      )
    )
  }
}
