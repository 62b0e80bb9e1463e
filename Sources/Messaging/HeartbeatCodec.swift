import CWire

typealias WireCounters = Palisade__Wire__Counters
typealias WireGauges = Palisade__Wire__Gauges
typealias WireHeartbeat = Palisade__Wire__Heartbeat
typealias WireHeartbeatReply = Palisade__Wire__HeartbeatReply

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
    wire.vision_cache_hits = visionCacheHits
    wire.vision_cache_misses = visionCacheMisses
    wire.dropped_spans = droppedSpans
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
    visionCacheHits = wire.vision_cache_hits
    visionCacheMisses = wire.vision_cache_misses
    droppedSpans = wire.dropped_spans
  }
}

extension Gauges {
  func wire() throws(MessagingError) -> WireGauges {
    var wire = WireGauges()
    palisade__wire__gauges__init(&wire)
    wire.queue_length = try Bounds.wire32(queueLength, "Gauges.queueLength")
    wire.waiting_tokens = try Bounds.wire32(waitingTokens, "Gauges.waitingTokens")
    wire.resident_bytes = try Bounds.wire64(residentBytes, "Gauges.residentBytes")
    wire.weight_bytes = try Bounds.wire64(weightBytes, "Gauges.weightBytes")
    wire.cache_count = try Bounds.wire32(cacheCount, "Gauges.cacheCount")
    wire.cache_bytes = try Bounds.wire64(cacheBytes, "Gauges.cacheBytes")
    wire.vision_cache_bytes = try Bounds.wire64(visionCacheBytes, "Gauges.visionCacheBytes")
    wire.fetched_bytes = try Bounds.wire64(fetchedBytes, "Gauges.fetchedBytes")
    wire.fetch_bytes = try Bounds.wire64(fetchBytes, "Gauges.fetchBytes")
    return wire
  }

  init(_ wire: WireGauges) throws(MessagingError) {
    self.init()
    queueLength = Int(wire.queue_length)
    waitingTokens = Int(wire.waiting_tokens)
    residentBytes = try Bounds.int(wire.resident_bytes, "Gauges.residentBytes")
    weightBytes = try Bounds.int(wire.weight_bytes, "Gauges.weightBytes")
    cacheCount = Int(wire.cache_count)
    cacheBytes = try Bounds.int(wire.cache_bytes, "Gauges.cacheBytes")
    visionCacheBytes = try Bounds.int(wire.vision_cache_bytes, "Gauges.visionCacheBytes")
    fetchedBytes = try Bounds.int(wire.fetched_bytes, "Gauges.fetchedBytes")
    fetchBytes = try Bounds.int(wire.fetch_bytes, "Gauges.fetchBytes")
  }
}

extension Heartbeat {
  func wire(in arena: WireArena) throws(MessagingError) -> WireHeartbeat {
    try Bounds.count(spans.count, atMost: MessageLimits.heartbeatSpanCount, "Heartbeat.spans")
    var wire = WireHeartbeat()
    palisade__wire__heartbeat__init(&wire)
    wire.epoch = epoch
    wire.counters = arena.place(counters.wire)
    wire.busy_sequence = busySequence
    wire.busy_milliseconds = try Bounds.wire64(busyMilliseconds, "Heartbeat.busyMilliseconds")
    wire.gauges = arena.place(try gauges.wire())
    wire.sent_nanoseconds = sentNanoseconds
    wire.round_trip_nanoseconds = roundTripNanoseconds
    (wire.n_spans, wire.spans) = try arena.messages(spans) {
      span throws(MessagingError) in try span.wire()
    }
    try Bounds.count(
      silentWorkers.count,
      atMost: MessageLimits.routeLength,
      "Heartbeat.silentWorkers"
    )
    var silent: [UInt32] = []
    for worker in silentWorkers {
      silent.append(try Bounds.wire32(worker, "Heartbeat.silentWorkers"))
    }
    (wire.n_silent_workers, wire.silent_workers) = arena.list(silent)
    return wire
  }

  init(_ wire: WireHeartbeat) throws(MessagingError) {
    self.init(
      epoch: wire.epoch,
      counters: Counters(try WireReading.message(wire.counters, "Heartbeat.counters")),
      gauges: try Gauges(try WireReading.message(wire.gauges, "Heartbeat.gauges")),
      busySequence: wire.busy_sequence,
      busyMilliseconds: try Bounds.int(wire.busy_milliseconds, "Heartbeat.busyMilliseconds"),
      sentNanoseconds: wire.sent_nanoseconds,
      roundTripNanoseconds: wire.round_trip_nanoseconds,
      spans: try WireReading.messages(
        wire.spans,
        wire.n_spans,
        atMost: MessageLimits.heartbeatSpanCount,
        "Heartbeat.spans",
        TraceSpan.init
      ),
      silentWorkers: try WireReading.list(
        wire.silent_workers,
        wire.n_silent_workers,
        atMost: MessageLimits.routeLength,
        "Heartbeat.silentWorkers"
      ).map { Int($0) }
    )
  }
}

extension HeartbeatReply {
  func wire() -> WireHeartbeatReply {
    var wire = WireHeartbeatReply()
    palisade__wire__heartbeat_reply__init(&wire)
    wire.epoch = epoch
    wire.echo_nanoseconds = echoNanoseconds
    wire.coordinator_nanoseconds = coordinatorNanoseconds
    return wire
  }

  init(_ wire: WireHeartbeatReply) {
    self.init(
      epoch: wire.epoch,
      echoNanoseconds: wire.echo_nanoseconds,
      coordinatorNanoseconds: wire.coordinator_nanoseconds
    )
  }
}
