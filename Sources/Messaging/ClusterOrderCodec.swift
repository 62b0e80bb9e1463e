import CWire

typealias WireNodeStatus = Palisade__Wire__NodeStatus
typealias WireOrderAnswer = Palisade__Wire__OrderAnswer

extension ClusterOrder {
  private func validate() throws(MessagingError) {
    switch self {
    case .drain(let node):
      try Bounds.count(node.utf8.count, atMost: MessageLimits.nodeNameByteCount, "DrainOrder.node")
      guard !node.isEmpty else { throw .malformed("DrainOrder.node", "is empty") }
    case .scale(let count):
      try Bounds.range(count, 1...MessageLimits.nodeCount, "ScaleOrder.workerCount")
    }
  }

  /// Puts the order into a client's envelope.
  func write(
    to envelope: inout Palisade__Wire__ClientEnvelope, in arena: WireArena
  ) throws(MessagingError) {
    try validate()
    switch self {
    case .drain(let node):
      var wire = Palisade__Wire__DrainOrder()
      palisade__wire__drain_order__init(&wire)
      wire.node = arena.bytes(node)
      envelope.body_case = PALISADE__WIRE__CLIENT_ENVELOPE__BODY_DRAIN_ORDER
      envelope.drain_order = arena.place(wire)
    case .scale(let count):
      var wire = Palisade__Wire__ScaleOrder()
      palisade__wire__scale_order__init(&wire)
      wire.worker_count = try Bounds.wire32(count, "ScaleOrder.workerCount")
      envelope.body_case = PALISADE__WIRE__CLIENT_ENVELOPE__BODY_SCALE_ORDER
      envelope.scale_order = arena.place(wire)
    }
  }

  init(_ wire: Palisade__Wire__DrainOrder) throws(MessagingError) {
    self = .drain(
      node: try WireReading.text(
        wire.node, atMost: MessageLimits.nodeNameByteCount, "DrainOrder.node"))
    try validate()
  }

  init(_ wire: Palisade__Wire__ScaleOrder) throws(MessagingError) {
    self = .scale(workerCount: Int(wire.worker_count))
    try validate()
  }
}

extension OrderAnswer {
  func wire(in arena: WireArena) throws(MessagingError) -> WireOrderAnswer {
    try Bounds.text(text, "OrderAnswer.text")
    var wire = WireOrderAnswer()
    palisade__wire__order_answer__init(&wire)
    wire.is_done = isDone ? 1 : 0
    wire.text = arena.bytes(text)
    return wire
  }

  init(_ wire: WireOrderAnswer) throws(MessagingError) {
    self.init(
      isDone: wire.is_done != 0, text: try WireReading.text(wire.text, "OrderAnswer.text"))
  }
}

extension NodeStatus {
  private func validate() throws(MessagingError) {
    try Bounds.name(worker, "NodeStatus.worker")
    try Bounds.name(node, "NodeStatus.node")
    try Bounds.name(stage, "NodeStatus.stage")
    try Bounds.text(note, "NodeStatus.note")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireNodeStatus {
    try validate()
    var wire = WireNodeStatus()
    palisade__wire__node_status__init(&wire)
    wire.worker = arena.string(worker)
    wire.node = arena.string(node)
    wire.state = arena.string(state.rawValue)
    wire.stage = arena.string(stage)
    wire.threads = try Bounds.wire32(threads, "NodeStatus.threads")
    wire.memory_bytes = try Bounds.wire64(memoryBytes, "NodeStatus.memoryBytes")
    wire.worker_index = try Bounds.wire32(workerIndex, "NodeStatus.workerIndex")
    if let speed { wire.speed = arena.place(try speed.wire(in: arena)) }
    wire.note = arena.bytes(note)
    return wire
  }

  init(_ wire: WireNodeStatus) throws(MessagingError) {
    let word = try WireReading.string(wire.state, "NodeStatus.state")
    guard let state = State(rawValue: word) else {
      throw .malformed("NodeStatus.state", "is no state of a worker")
    }
    self.init(
      worker: try WireReading.string(wire.worker, "NodeStatus.worker"),
      node: try WireReading.string(wire.node, "NodeStatus.node"),
      state: state,
      stage: try WireReading.string(wire.stage, "NodeStatus.stage"),
      threads: Int(wire.threads),
      memoryBytes: try Bounds.int(wire.memory_bytes, "NodeStatus.memoryBytes"),
      workerIndex: Int(wire.worker_index),
      note: try WireReading.text(wire.note, "NodeStatus.note")
    )
    if let speed = wire.speed { self.speed = try WorkerSpeed(speed.pointee) }
    try validate()
  }
}
