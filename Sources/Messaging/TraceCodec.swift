import CWire

typealias WireTraceSpan = Palisade__Wire__TraceSpan
typealias WireTraceTrack = Palisade__Wire__TraceTrack
typealias WireTrace = Palisade__Wire__Trace

extension TraceSpan {
  func validate() throws(MessagingError) {
    // So that the end of a span can be computed, and shifted between clocks, without overflow.
    guard startNanoseconds <= UInt64(Int64.max) / 2, waitingNanoseconds <= startNanoseconds else {
      throw .malformed("TraceSpan.start", "\(startNanoseconds) ns is no time of a steady clock")
    }
    for part in [waitingNanoseconds, busyNanoseconds, sendingNanoseconds]
    where part > MessageLimits.spanNanoseconds {
      throw .malformed("TraceSpan", "\(part) ns are longer than a micro-batch may take")
    }
  }

  func wire() throws(MessagingError) -> WireTraceSpan {
    try validate()
    var wire = WireTraceSpan()
    palisade__wire__trace_span__init(&wire)
    wire.sequence = sequence
    wire.stage = try Bounds.wire32(stage, "TraceSpan.stage")
    wire.worker = try Bounds.wire32(worker, "TraceSpan.worker")
    wire.phase = Palisade__Wire__Phase(phase.rawValue)
    wire.request_count = try Bounds.wire32(requestCount, "TraceSpan.requestCount")
    wire.first_request = firstRequest
    wire.row_count = try Bounds.wire32(rowCount, "TraceSpan.rowCount")
    wire.queue_length = try Bounds.wire32(queueLength, "TraceSpan.queueLength")
    wire.start_nanoseconds = startNanoseconds
    wire.waiting_nanoseconds = waitingNanoseconds
    wire.busy_nanoseconds = busyNanoseconds
    wire.sending_nanoseconds = sendingNanoseconds
    return wire
  }

  init(_ wire: WireTraceSpan) throws(MessagingError) {
    guard let phase = Phase(rawValue: wire.phase.rawValue) else {
      throw .malformed("TraceSpan.phase", "unknown phase \(wire.phase.rawValue)")
    }
    self.init(
      sequence: wire.sequence,
      stage: Int(wire.stage),
      worker: Int(wire.worker),
      phase: phase,
      requestCount: Int(wire.request_count),
      firstRequest: wire.first_request,
      rowCount: Int(wire.row_count),
      queueLength: Int(wire.queue_length),
      startNanoseconds: wire.start_nanoseconds,
      waitingNanoseconds: wire.waiting_nanoseconds,
      busyNanoseconds: wire.busy_nanoseconds,
      sendingNanoseconds: wire.sending_nanoseconds
    )
    try validate()
  }
}

extension TraceTrack {
  func wire(in arena: WireArena) throws(MessagingError) -> WireTraceTrack {
    try validate()
    var wire = WireTraceTrack()
    palisade__wire__trace_track__init(&wire)
    wire.stage = try Bounds.wire32(stage, "TraceTrack.stage")
    wire.stage_name = arena.string(stageName)
    wire.worker = try Bounds.wire32(worker, "TraceTrack.worker")
    wire.worker_name = arena.string(workerName)
    wire.node = arena.string(node)
    return wire
  }

  init(_ wire: WireTraceTrack) throws(MessagingError) {
    self.init(
      stage: Int(wire.stage),
      stageName: try WireReading.string(wire.stage_name, "TraceTrack.stageName"),
      worker: Int(wire.worker),
      workerName: try WireReading.string(wire.worker_name, "TraceTrack.workerName"),
      node: try WireReading.string(wire.node, "TraceTrack.node")
    )
    try validate()
  }

  private func validate() throws(MessagingError) {
    try Bounds.name(stageName, "TraceTrack.stageName")
    try Bounds.name(workerName, "TraceTrack.workerName")
    try Bounds.name(node, "TraceTrack.node")
  }
}

extension Trace {
  func wire(in arena: WireArena) throws(MessagingError) -> WireTrace {
    try Bounds.count(tracks.count, atMost: MessageLimits.stageRowCount, "Trace.tracks")
    try Bounds.count(spans.count, atMost: MessageLimits.traceSpanCount, "Trace.spans")
    var wire = WireTrace()
    palisade__wire__trace__init(&wire)
    (wire.n_tracks, wire.tracks) = try arena.messages(tracks) {
      track throws(MessagingError) in try track.wire(in: arena)
    }
    (wire.n_spans, wire.spans) = try arena.messages(spans) {
      span throws(MessagingError) in try span.wire()
    }
    wire.now_nanoseconds = nowNanoseconds
    return wire
  }

  init(_ wire: WireTrace) throws(MessagingError) {
    self.init(
      tracks: try WireReading.messages(
        wire.tracks,
        wire.n_tracks,
        atMost: MessageLimits.stageRowCount,
        "Trace.tracks",
        TraceTrack.init
      ),
      spans: try WireReading.messages(
        wire.spans,
        wire.n_spans,
        atMost: MessageLimits.traceSpanCount,
        "Trace.spans",
        TraceSpan.init
      ),
      nowNanoseconds: wire.now_nanoseconds
    )
  }
}
