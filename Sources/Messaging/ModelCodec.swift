import CWire
import Tensors

typealias WireModelEnvelope = Palisade__Wire__ModelEnvelope

extension ModelMessage: WireMessage {
  /// One frame, or two: hashes and chunks have one of their own.
  public func encode() throws(MessagingError) -> [Frame] {
    let arena = WireArena()
    defer { withExtendedLifetime(arena) {} }
    var envelope = WireModelEnvelope()
    palisade__wire__model_envelope__init(&envelope)
    envelope.protocol_version = MessageLimits.protocolVersion
    var frames: [Frame] = []
    switch self {
    case .manifestRequest(let request):
      envelope.body_case = PALISADE__WIRE__MODEL_ENVELOPE__BODY_MANIFEST_REQUEST
      envelope.manifest_request = arena.place(try request.wire(in: arena))
    case .chunkRequest(let request):
      envelope.body_case = PALISADE__WIRE__MODEL_ENVELOPE__BODY_CHUNK_REQUEST
      envelope.chunk_request = arena.place(try request.wire(in: arena))
    case .manifest(let manifest):
      envelope.body_case = PALISADE__WIRE__MODEL_ENVELOPE__BODY_MANIFEST
      envelope.manifest = arena.place(try manifest.wire(in: arena))
      frames.append(Frame(bytes: manifest.tensors.flatMap(\.hashes)))
    case .chunk(let request, let bytes):
      try Self.checkChunk(bytes)
      var wire = Palisade__Wire__Chunk()
      palisade__wire__chunk__init(&wire)
      let asked = try request.wire(in: arena)
      (wire.tensor, wire.chunk) = (asked.tensor, asked.chunk)
      envelope.body_case = PALISADE__WIRE__MODEL_ENVELOPE__BODY_CHUNK
      envelope.chunk = arena.place(wire)
      frames.append(bytes)
    case .refusal(let failure):
      var wire = Palisade__Wire__ModelRefusal()
      palisade__wire__model_refusal__init(&wire)
      wire.failure = arena.place(try failure.wire(in: arena))
      envelope.body_case = PALISADE__WIRE__MODEL_ENVELOPE__BODY_REFUSAL
      envelope.refusal = arena.place(wire)
    }
    let byteCount = palisade__wire__model_envelope__get_packed_size(&envelope)
    let header = try Envelope.pack("model", byteCount: byteCount) {
      palisade__wire__model_envelope__pack(&envelope, $0)
    }
    return [header] + frames
  }

  /// Reads a message of either direction; the receiver refuses those that are not for it.
  public static func decode(
    _ frames: [Frame], limits: MessageLimits
  ) throws(MessagingError) -> ModelMessage {
    let header = try Envelope.header(of: frames, "model", limits: limits)
    return try Envelope.unpack(
      header, "model", palisade__wire__model_envelope__unpack,
      palisade__wire__model_envelope__free_unpacked
    ) { wire throws(MessagingError) in try ModelMessage(wire, frames) }
  }

  private init(_ wire: WireModelEnvelope, _ frames: [Frame]) throws(MessagingError) {
    switch wire.body_case {
    case PALISADE__WIRE__MODEL_ENVELOPE__BODY_MANIFEST_REQUEST:
      try Envelope.checkFrameCount(frames, 1, "ManifestRequest")
      self = .manifestRequest(
        try ManifestRequest(WireReading.message(wire.manifest_request, "ManifestRequest")))
    case PALISADE__WIRE__MODEL_ENVELOPE__BODY_CHUNK_REQUEST:
      try Envelope.checkFrameCount(frames, 1, "ChunkRequest")
      let body = try WireReading.message(wire.chunk_request, "ChunkRequest")
      self = .chunkRequest(try ChunkRequest(body.tensor, body.chunk))
    case PALISADE__WIRE__MODEL_ENVELOPE__BODY_MANIFEST:
      try Envelope.checkFrameCount(frames, 2, "Manifest")
      self = .manifest(
        try Manifest(WireReading.message(wire.manifest, "Manifest"), hashes: frames[1]))
    case PALISADE__WIRE__MODEL_ENVELOPE__BODY_CHUNK:
      try Envelope.checkFrameCount(frames, 2, "Chunk")
      let body = try WireReading.message(wire.chunk, "Chunk")
      try Self.checkChunk(frames[1])
      self = .chunk(try ChunkRequest(body.tensor, body.chunk), frames[1])
    case PALISADE__WIRE__MODEL_ENVELOPE__BODY_REFUSAL:
      try Envelope.checkFrameCount(frames, 1, "ModelRefusal")
      let body = try WireReading.message(wire.refusal, "ModelRefusal")
      self = .refusal(try Failure(WireReading.message(body.failure, "ModelRefusal.failure")))
    default: throw .malformed("model", "the envelope has no body")
    }
  }

  private static func checkChunk(_ bytes: Frame) throws(MessagingError) {
    try Bounds.range(bytes.byteCount, 1...MessageLimits.chunkByteCount, "Chunk bytes")
  }
}

extension ManifestRequest {
  func wire(in arena: WireArena) throws(MessagingError) -> Palisade__Wire__ManifestRequest {
    try Bounds.name(fingerprint, "ManifestRequest.fingerprint")
    var wire = Palisade__Wire__ManifestRequest()
    palisade__wire__manifest_request__init(&wire)
    wire.fingerprint = arena.string(fingerprint)
    wire.first_block = try Bounds.wire32(blocks.lowerBound, "ManifestRequest.blocks")
    wire.end_block = try Bounds.wire32(blocks.upperBound, "ManifestRequest.blocks")
    return wire
  }

  init(_ wire: Palisade__Wire__ManifestRequest) throws(MessagingError) {
    self.init(
      fingerprint: try WireReading.string(wire.fingerprint, "ManifestRequest.fingerprint"),
      blocks: try WireReading.blocks(wire.first_block, wire.end_block, "ManifestRequest.blocks"))
    try Bounds.name(fingerprint, "ManifestRequest.fingerprint")
  }
}

extension ChunkRequest {
  private func validate() throws(MessagingError) {
    guard tensor.count == MessageLimits.hashByteCount else {
      throw .malformed("ChunkRequest.tensor", "a hash of \(tensor.count) bytes")
    }
    try Bounds.range(chunk, 0...MessageLimits.sharedChunkCount - 1, "ChunkRequest.chunk")
  }

  func wire(in arena: WireArena) throws(MessagingError) -> Palisade__Wire__ChunkRequest {
    try validate()
    var wire = Palisade__Wire__ChunkRequest()
    palisade__wire__chunk_request__init(&wire)
    wire.tensor = arena.bytes(tensor)
    wire.chunk = try Bounds.wire32(chunk, "ChunkRequest.chunk")
    return wire
  }

  init(_ tensor: ProtobufCBinaryData, _ chunk: UInt32) throws(MessagingError) {
    self.init(
      tensor: try WireReading.bytes(
        tensor, atMost: MessageLimits.hashByteCount, "ChunkRequest.tensor"), chunk: Int(chunk))
    try validate()
  }
}
