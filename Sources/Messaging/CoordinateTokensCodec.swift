import CWire

typealias WireCoordinateTokens = Palisade__Wire__CoordinateTokens

extension CoordinateTokens {
  func validate() throws(MessagingError) {
    let field = "CoordinateTokens"
    try Bounds.range(vocabularyCount, 0...Int(Int32.max), "\(field).vocabularyCount")
    let last = Int32.max - Self.locationCount
    guard (0...last).contains(firstLocation), (0...last).contains(firstSegment ?? 0) else {
      throw .malformed(field, "coordinates begin at a token that is none")
    }
    for (name, list) in [
      ("separators", separators), ("blanks", blanks), ("forbidden", forbidden),
    ] {
      try Bounds.count(list.count, atMost: MessageLimits.stopTokenCount, "\(field).\(name)")
    }
  }

  func wire(in arena: WireArena) throws(MessagingError) -> WireCoordinateTokens {
    try validate()
    var wire = WireCoordinateTokens()
    palisade__wire__coordinate_tokens__init(&wire)
    wire.first_location = UInt32(firstLocation)
    wire.first_segment = UInt32(firstSegment ?? 0)
    wire.has_segments = firstSegment == nil ? 0 : 1
    let field = "CoordinateTokens"
    (wire.n_separators, wire.separators) = arena.list(try Bounds.wireTokens(separators, field))
    (wire.n_blanks, wire.blanks) = arena.list(try Bounds.wireTokens(blanks, field))
    (wire.n_forbidden, wire.forbidden) = arena.list(try Bounds.wireTokens(forbidden, field))
    wire.vocabulary_count = try Bounds.wire32(vocabularyCount, field)
    return wire
  }

  init(_ wire: WireCoordinateTokens) throws(MessagingError) {
    let field = "CoordinateTokens"
    let maximum = MessageLimits.stopTokenCount
    self.init(
      firstLocation: try Bounds.token(wire.first_location, field),
      firstSegment: wire.has_segments == 0 ? nil : try Bounds.token(wire.first_segment, field),
      separators: try WireReading.tokens(
        wire.separators, wire.n_separators, atMost: maximum, field),
      blanks: try WireReading.tokens(wire.blanks, wire.n_blanks, atMost: maximum, field),
      forbidden: try WireReading.tokens(wire.forbidden, wire.n_forbidden, atMost: maximum, field),
      vocabularyCount: Int(wire.vocabulary_count))
    try validate()
  }
}
