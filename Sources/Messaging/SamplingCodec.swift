import CWire

typealias WireSampling = Palisade__Wire__Sampling

extension Sampling {
  /// Refuses values that no sampler could use.
  func validate() throws(MessagingError) {
    guard temperature.isFinite, temperature >= 0 else {
      throw .malformed("Sampling.temperature", "\(temperature) is not 0 or more")
    }
    guard (0...1).contains(topP) else {
      throw .malformed("Sampling.topP", "\(topP) is not within 0...1")
    }
    try Bounds.range(topK, 0...Int(Int32.max), "Sampling.topK")
    try Bounds.range(maximumTokens, 0...MessageLimits.tokenCount, "Sampling.maximumTokens")
    try Bounds.range(logprobCount, 0...MessageLimits.alternativeCount, "Sampling.logprobCount")
    try Bounds.count(
      stopTokenIDs.count,
      atMost: MessageLimits.stopTokenCount,
      "Sampling.stopTokenIDs"
    )
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireSampling {
    try validate()
    var wire = WireSampling()
    palisade__wire__sampling__init(&wire)
    wire.temperature = temperature
    wire.top_k = try Bounds.wire32(topK, "Sampling.topK")
    wire.top_p = topP
    wire.seed = seed
    wire.maximum_tokens = try Bounds.wire32(maximumTokens, "Sampling.maximumTokens")
    (wire.n_stop_token_ids, wire.stop_token_ids) = arena.list(
      try Bounds.wireTokens(stopTokenIDs, "Sampling.stopTokenIDs")
    )
    wire.logprob_count = try Bounds.wire32(logprobCount, "Sampling.logprobCount")
    wire.wants_logprobs = wantsLogprobs ? 1 : 0
    wire.grammar = Palisade__Wire__Grammar(grammar?.rawValue ?? 0)
    wire.stops_repetition = stopsRepetition ? 1 : 0
    if let coordinates { wire.coordinates = arena.place(try coordinates.wire(in: arena)) }
    return wire
  }

  init(_ wire: WireSampling) throws(MessagingError) {
    self.init(
      temperature: wire.temperature,
      topK: Int(wire.top_k),
      topP: wire.top_p,
      seed: wire.seed,
      maximumTokens: Int(wire.maximum_tokens),
      stopTokenIDs: try WireReading.tokens(
        wire.stop_token_ids,
        wire.n_stop_token_ids,
        atMost: MessageLimits.stopTokenCount,
        "Sampling.stopTokenIDs"
      ),
      logprobCount: Int(wire.logprob_count),
      wantsLogprobs: wire.wants_logprobs != 0,
      stopsRepetition: wire.stops_repetition != 0
    )
    if wire.grammar.rawValue != 0 {
      guard let known = Grammar(rawValue: wire.grammar.rawValue) else {
        throw .malformed("Sampling.grammar", "unknown grammar \(wire.grammar.rawValue)")
      }
      grammar = known
    }
    if let tokens = wire.coordinates { coordinates = try CoordinateTokens(tokens.pointee) }
    try validate()
  }
}
