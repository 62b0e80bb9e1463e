import CWire
import Tensors

extension Manifest {
  /// Equal for what is written and what is read.
  private func validate() throws(MessagingError) {
    try Bounds.count(
      tensors.count, atMost: MessageLimits.sharedTensorCount, "Manifest.tensors")
    try Bounds.count(notes.count, atMost: MessageLimits.modelNoteCount, "Manifest.notes")
    for (key, value) in notes {
      try Bounds.name(key, "Manifest.notes")
      try Bounds.name(value, "Manifest.notes")
    }
    for (content, field) in [(configuration, "configuration"), (generation, "generation")] {
      try Bounds.count(
        content.count, atMost: MessageLimits.configurationByteCount, "Manifest.\(field)")
    }
    var chunkCount = 0
    for tensor in tensors { chunkCount += try tensor.validate() }
    try Bounds.count(chunkCount, atMost: MessageLimits.sharedChunkCount, "Manifest chunks")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> Palisade__Wire__Manifest {
    try validate()
    var wire = Palisade__Wire__Manifest()
    palisade__wire__manifest__init(&wire)
    wire.first_block = try Bounds.wire32(blocks.lowerBound, "Manifest.blocks")
    wire.end_block = try Bounds.wire32(blocks.upperBound, "Manifest.blocks")
    wire.configuration = arena.bytes(configuration)
    wire.generation = arena.bytes(generation)
    (wire.n_tensors, wire.tensors) = try arena.messages(tensors) {
      tensor throws(MessagingError) in try tensor.wire(in: arena)
    }
    let sorted = notes.sorted { $0.key < $1.key }
    (wire.n_notes, wire.notes) = try arena.messages(sorted) { key, value in
      var note = Palisade__Wire__ModelNote()
      palisade__wire__model_note__init(&note)
      (note.key, note.value) = (arena.string(key), arena.string(value))
      return note
    }
    return wire
  }

  init(_ wire: Palisade__Wire__Manifest, hashes: Frame) throws(MessagingError) {
    let notes = try WireReading.messages(
      wire.notes, wire.n_notes, atMost: MessageLimits.modelNoteCount, "Manifest.notes"
    ) { note throws(MessagingError) in
      (
        try WireReading.string(note.key, "Manifest.notes"),
        try WireReading.string(note.value, "Manifest.notes")
      )
    }
    self.init(
      blocks: try WireReading.blocks(wire.first_block, wire.end_block, "Manifest.blocks"),
      configuration: try WireReading.bytes(
        wire.configuration, atMost: MessageLimits.configurationByteCount, "Manifest.configuration"),
      generation: try WireReading.bytes(
        wire.generation, atMost: MessageLimits.configurationByteCount, "Manifest.generation"),
      notes: Dictionary(notes, uniquingKeysWith: { first, _ in first }),
      tensors: [])
    try Bounds.count(
      hashes.byteCount, atMost: MessageLimits.sharedChunkCount * MessageLimits.hashByteCount,
      "Manifest hashes")
    let all = hashes.bytes
    var taken = 0
    tensors = try WireReading.messages(
      wire.tensors, wire.n_tensors, atMost: MessageLimits.sharedTensorCount, "Manifest.tensors"
    ) { tensor throws(MessagingError) in
      // 32 bits times 32 can't overflow 64.
      let end = taken + Int(tensor.chunk_count) * MessageLimits.hashByteCount
      guard end <= all.count else {
        throw .malformed("Manifest hashes", "\(all.count) bytes of them are too few")
      }
      let entry = try Entry(tensor, hashes: Array(all[taken..<end]))
      taken = end
      return entry
    }
    guard taken == all.count else {
      throw .malformed("Manifest hashes", "\(all.count) bytes instead of \(taken)")
    }
    try validate()
  }
}

extension Manifest.Entry {
  /// - Returns: how many chunks it has.
  fileprivate func validate() throws(MessagingError) -> Int {
    try Bounds.name(name, "SharedTensor.name")
    try Bounds.count(shape.count, atMost: MessageLimits.sharedRank, "SharedTensor dimensions")
    guard let byteCount = Tensor.byteCount(elementType, shape: shape), byteCount > 0 else {
      throw .malformed("SharedTensor", "shape \(shape) is empty, negative or too large")
    }
    let size = MessageLimits.chunkByteCount
    let chunkCount = byteCount / size + (byteCount % size > 0 ? 1 : 0)
    guard hashes.count % MessageLimits.hashByteCount == 0,
      hashes.count / MessageLimits.hashByteCount == chunkCount
    else {
      throw .malformed("SharedTensor", "\(hashes.count) bytes of hashes for \(chunkCount) chunks")
    }
    return chunkCount
  }

  fileprivate func wire(
    in arena: WireArena
  ) throws(MessagingError) -> Palisade__Wire__SharedTensor {
    var wire = Palisade__Wire__SharedTensor()
    palisade__wire__shared_tensor__init(&wire)
    wire.name = arena.string(name)
    wire.element_type = Palisade__Wire__ElementType(UInt32(elementType.rawValue))
    (wire.n_shape, wire.shape) = arena.list(shape.map { UInt64($0) })
    wire.chunk_count = try Bounds.wire32(
      hashes.count / MessageLimits.hashByteCount, "SharedTensor chunks")
    return wire
  }

  fileprivate init(
    _ wire: Palisade__Wire__SharedTensor, hashes: [UInt8]
  ) throws(MessagingError) {
    guard let raw = UInt8(exactly: wire.element_type.rawValue),
      let elementType = ElementType(rawValue: raw)
    else {
      throw .malformed("SharedTensor", "unknown element type \(wire.element_type.rawValue)")
    }
    let extents = try WireReading.list(
      wire.shape, wire.n_shape, atMost: MessageLimits.sharedRank, "SharedTensor dimensions")
    var shape: [Int] = []
    for extent in extents { shape.append(try Bounds.int(extent, "SharedTensor extent")) }
    self.init(
      name: try WireReading.string(wire.name, "SharedTensor.name"), elementType: elementType,
      shape: shape, hashes: hashes)
  }
}
