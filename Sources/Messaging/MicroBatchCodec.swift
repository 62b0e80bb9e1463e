import CWire
import Tensors

typealias WireSegment = Palisade__Wire__Segment
typealias WireMicroBatch = Palisade__Wire__MicroBatch

extension Segment {
  func validate() throws(MessagingError) {
    let positions = 0...MessageLimits.tokenCount
    try Bounds.range(position, positions, "Segment.position")
    try Bounds.range(rowCount, positions, "Segment.rowCount")
    try Bounds.range(position + rowCount, positions, "Segment.position + rowCount")
    try Bounds.range(capacity, positions, "Segment.capacity")
    try Bounds.range(imageCount, 0...MessageLimits.imageCount, "Segment.imageCount")
    try Bounds.count(tokenIDs.count, atMost: MessageLimits.tokenCount, "Segment.tokenIDs")
    try Bounds.count(recorded.count, atMost: MessageLimits.tokenCount, "Segment.recorded")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireSegment {
    try validate()
    var wire = WireSegment()
    palisade__wire__segment__init(&wire)
    wire.request = request
    wire.phase = Palisade__Wire__Phase(phase.rawValue)
    wire.position = try Bounds.wire32(position, "Segment.position")
    wire.row_count = try Bounds.wire32(rowCount, "Segment.rowCount")
    (wire.n_token_ids, wire.token_ids) = arena.list(
      try Bounds.wireTokens(tokenIDs, "Segment.tokenIDs")
    )
    wire.image_count = try Bounds.wire32(imageCount, "Segment.imageCount")
    wire.capacity = try Bounds.wire32(capacity, "Segment.capacity")
    if let sampling { wire.sampling = arena.place(try sampling.wire(in: arena)) }
    (wire.n_recorded, wire.recorded) = arena.list(
      try Bounds.wireTokens(recorded, "Segment.recorded")
    )
    return wire
  }

  init(_ wire: WireSegment) throws(MessagingError) {
    guard let phase = Phase(rawValue: wire.phase.rawValue) else {
      throw .malformed("Segment.phase", "unknown phase \(wire.phase.rawValue)")
    }
    self.init(
      request: wire.request,
      phase: phase,
      position: Int(wire.position),
      rowCount: Int(wire.row_count),
      tokenIDs: try WireReading.tokens(
        wire.token_ids,
        wire.n_token_ids,
        atMost: MessageLimits.tokenCount,
        "Segment.tokenIDs"
      ),
      imageCount: Int(wire.image_count),
      capacity: Int(wire.capacity)
    )
    recorded = try WireReading.tokens(
      wire.recorded,
      wire.n_recorded,
      atMost: MessageLimits.tokenCount,
      "Segment.recorded"
    )
    if let wireSampling = wire.sampling { sampling = try Sampling(wireSampling.pointee) }
    try validate()
  }
}

extension MicroBatch {
  func validate() throws(MessagingError) {
    try Bounds.count(route.count, atMost: MessageLimits.routeLength, "MicroBatch.route")
    try Bounds.range(stage, 0...(MessageLimits.routeLength - 1), "MicroBatch.stage")
    guard route.isEmpty || route.indices.contains(stage) else {
      throw .malformed("MicroBatch.stage", "\(stage) of a route of \(route.count) stages")
    }
    try Bounds.count(segments.count, atMost: MessageLimits.segmentCount, "MicroBatch.segments")
    try Bounds.count(released.count, atMost: MessageLimits.requestCount, "MicroBatch.released")
  }

  func wire(
    in arena: WireArena
  ) throws(MessagingError) -> (wire: WireMicroBatch, payload: Frame?) {
    try validate()
    var wire = WireMicroBatch()
    palisade__wire__micro_batch__init(&wire)
    wire.plan_epoch = epoch
    wire.sequence = sequence
    wire.stage = try Bounds.wire32(stage, "MicroBatch.stage")
    var workers: [UInt32] = []
    for worker in route { workers.append(try Bounds.wire32(worker, "MicroBatch.route")) }
    (wire.n_route, wire.route) = arena.list(workers)
    (wire.n_segments, wire.segments) = try arena.messages(segments) {
      segment throws(MessagingError) in try segment.wire(in: arena)
    }
    (wire.n_released, wire.released) = arena.list(released)
    guard let tensor else { return (wire, nil) }
    let (header, payload) = try TensorCodec.encode(tensor, as: encoding, in: arena)
    wire.tensor = arena.place(header)
    return (wire, payload)
  }

  init(_ wire: WireMicroBatch, payload: Frame?) throws(MessagingError) {
    self.init(
      epoch: wire.plan_epoch,
      sequence: wire.sequence,
      stage: Int(wire.stage),
      route: try WireReading.list(
        wire.route,
        wire.n_route,
        atMost: MessageLimits.routeLength,
        "MicroBatch.route"
      ).map { Int($0) },
      segments: try WireReading.messages(
        wire.segments,
        wire.n_segments,
        atMost: MessageLimits.segmentCount,
        "MicroBatch.segments",
        Segment.init
      ),
      released: try WireReading.list(
        wire.released,
        wire.n_released,
        atMost: MessageLimits.requestCount,
        "MicroBatch.released"
      )
    )
    try validate()
    if let header = wire.tensor {
      let (rows, came) = try TensorCodec.decode(header.pointee, payload: payload)
      (tensor, encoding) = (rows, came)
    } else if payload != nil {
      throw .malformed("MicroBatch", "a payload frame without a tensor")
    }
  }
}
