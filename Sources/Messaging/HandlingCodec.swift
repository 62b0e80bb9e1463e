import CWire

extension Handling {
  func validate() throws(MessagingError) {
    try Bounds.text(job, "Handling.job")
    guard let deadline else { return }
    guard deadline > .zero, deadline <= .milliseconds(MessageLimits.deadlineMilliseconds) else {
      throw .malformed("Handling.deadline", "\(deadline) is not within 0 and a year")
    }
  }

  func wire(in arena: WireArena) throws(MessagingError) -> Palisade__Wire__Handling {
    try validate()
    var wire = Palisade__Wire__Handling()
    palisade__wire__handling__init(&wire)
    wire.priority = Palisade__Wire__Priority(priority.rawValue)
    wire.job = arena.bytes(job)
    if let model { wire.model = arena.place(try model.wire(in: arena)) }
    if let deadline {
      let (seconds, attoseconds) = deadline.components
      // Rounded up, so that a deadline never becomes none.
      let perMillisecond: Int64 = 1_000_000_000_000_000
      let milliseconds = seconds * 1000 + (attoseconds + perMillisecond - 1) / perMillisecond
      wire.deadline_milliseconds = try Bounds.wire64(Int(milliseconds), "Handling.deadline")
    }
    return wire
  }

  init(_ wire: Palisade__Wire__Handling) throws(MessagingError) {
    guard let priority = Priority(rawValue: wire.priority.rawValue) else {
      throw .malformed("Handling.priority", "unknown priority \(wire.priority.rawValue)")
    }
    let milliseconds = try Bounds.int(wire.deadline_milliseconds, "Handling.deadline")
    try Bounds.range(
      milliseconds, 0...MessageLimits.deadlineMilliseconds, "Handling.deadline")
    self.init(
      priority: priority, job: try WireReading.text(wire.job, "Handling.job"),
      deadline: milliseconds == 0 ? nil : .milliseconds(milliseconds))
    if let model = wire.model { self.model = try ModelIdentity(model.pointee) }
    try validate()
  }
}
