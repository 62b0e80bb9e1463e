import CWire
import Messaging
import Tensors
import Testing

/// What the other end would refuse is not even encoded; and headers that lie about a tensor are refused.
@Suite struct BoundsTests {
  private let segment = Segment(request: 1, phase: .decode, position: 0, rowCount: 1)

  private func batch(_ change: (inout MicroBatch) -> Void) -> MicroBatch {
    var batch = MicroBatch(epoch: 1, sequence: 1, stage: 0, route: [0], segments: [segment])
    change(&batch)
    return batch
  }

  @Test func microBatch() throws {
    #expect(code { try batch { _ in }.encode() } == nil)
    #expect(code { try batch { $0.stage = 1 }.encode() } == .malformed)
    #expect(code { try batch { $0.route = [-1] }.encode() } == .malformed)
    #expect(
      code { try batch { $0.route = Array(repeating: 0, count: 257) }.encode() } == .tooLarge
    )
    #expect(
      code { try batch { $0.segments = Array(repeating: segment, count: 4097) }.encode() }
        == .tooLarge
    )
    #expect(code { try batch { $0.segments[0].position = -1 }.encode() } == .malformed)
    #expect(code { try batch { $0.segments[0].position = 65_536 }.encode() } == .malformed)
    #expect(code { try batch { $0.segments[0].tokenIDs = [-1] }.encode() } == .malformed)
    #expect(
      code {
        try batch { $0.segments[0].tokenIDs = Array(repeating: 1, count: 65_537) }.encode()
      } == .tooLarge
    )
  }

  @Test(arguments: [
    Sampling(temperature: .nan), Sampling(temperature: .infinity), Sampling(temperature: -1),
    Sampling(topP: .nan), Sampling(topP: 1.5), Sampling(topK: -1), Sampling(maximumTokens: -1),
    Sampling(logprobCount: 65),
  ]) func sampling(_ sampling: Sampling) {
    #expect(code { try batch { $0.segments[0].sampling = sampling }.encode() } == .malformed)
  }

  @Test func failureGoesWithFailed() {
    let result = { (finish: FinishReason?, failure: Failure?) in
      TokenBatch(
        epoch: 1,
        sequence: 1,
        results: [TokenResult(request: 1, index: 0, tokenID: 0, finish: finish, failure: failure)]
      )
    }
    let failure = Failure(code: "gone", message: "")
    #expect(code { try result(.failed, failure).encode() } == nil)
    #expect(code { try result(.failed, nil).encode() } == .malformed)
    #expect(code { try result(.stop, failure).encode() } == .malformed)
  }

  @Test func textAndImages() {
    let long = String(repeating: "x", count: MessageLimits.textByteCount + 1)
    #expect(code { try ServerMessage.reply(Reply(tag: 1, text: long)).encode() } == .tooLarge)
    let image = Frame(bytes: [1])
    let submit = { (count: Int) in
      ClientMessage.submit(
        Submit(tag: 1, prompt: "", images: Array(repeating: image, count: count))
      )
    }
    #expect(code { try submit(64).encode() } == nil)
    #expect(code { try submit(65).encode() } == .tooLarge)
    #expect(code { try ClientMessage.decode(try submit(2).encode().dropLast()) } == .malformed)
    #expect(code { try ClientMessage.decode(try submit(2).encode() + [image]) } == .malformed)
    let limits = MessageLimits(maximumFrameCount: 66, maximumByteCount: 8)
    #expect(code { try ClientMessage.decode(try submit(2).encode(), limits: limits) } == .tooLarge)
    for (sides, isRight) in [
      ([], true), ([(1920, 1080), (0, 0)], true), ([(65_535, 1)], false),
      ([(0, 5), (1, 1)], false),
      ([(65_536, 1), (1, 1)], false), ([(-1, 1), (1, 1)], false),
    ] {
      let sizes = sides.map { ImageSize(width: $0.0, height: $0.1) }
      let message = ClientMessage.submit(
        Submit(tag: 1, prompt: "", images: [image, image], originalSizes: sizes))
      #expect((code { try message.encode() } == nil) == isRight, "\(sides)")
    }
  }

  /// A header written by hand around a true payload, with one lie.
  private func forged(_ lie: (inout Palisade__Wire__TensorHeader) -> Void) -> [Frame] {
    var shape: [UInt64] = [2, 1024, 2, 1]
    let payload = [UInt8](repeating: 5, count: 4 * 4096)
    return shape.withUnsafeMutableBufferPointer { shape in
      var header = Palisade__Wire__TensorHeader()
      palisade__wire__tensor_header__init(&header)
      header.element_type = PALISADE__WIRE__ELEMENT_TYPE__ELEMENT_TYPE_F32
      header.n_shape = shape.count
      header.shape = shape.baseAddress
      header.byte_count = UInt64(payload.count)
      header.checksum = wire_checksum(payload, payload.count)
      lie(&header)
      return withUnsafeMutablePointer(to: &header) { header in
        var batch = Palisade__Wire__MicroBatch()
        palisade__wire__micro_batch__init(&batch)
        batch.tensor = header
        return withUnsafeMutablePointer(to: &batch) { batch in
          var envelope = Palisade__Wire__StageEnvelope()
          palisade__wire__stage_envelope__init(&envelope)
          envelope.protocol_version = 1
          envelope.body_case = PALISADE__WIRE__STAGE_ENVELOPE__BODY_MICRO_BATCH
          envelope.micro_batch = batch
          var bytes = [UInt8](
            repeating: 0,
            count: palisade__wire__stage_envelope__get_packed_size(&envelope)
          )
          palisade__wire__stage_envelope__pack(&envelope, &bytes)
          return [Frame(bytes: bytes), Frame(bytes: payload)]
        }
      }
    }
  }

  @Test func liesAboutATensor() {
    // 2 x 1024 x 2 f32 = 16384 bytes: the honest header passes.
    #expect(code { try MicroBatch.decode(forged { _ in }) } == nil)
    let lies: [(inout Palisade__Wire__TensorHeader) -> Void] = [
      { $0.element_type = Palisade__Wire__ElementType(99) },
      { $0.element_type = Palisade__Wire__ElementType(257) },
      { $0.element_type = PALISADE__WIRE__ELEMENT_TYPE__ELEMENT_TYPE_F16 },
      { $0.encoding = PALISADE__WIRE__ENCODING__ENCODING_BF16 },
      { $0.byte_count -= 4 },
      { $0.byte_count = .max },
      { $0.n_shape = 1 },
      { $0.shape[0] = 3 },
      { $0.shape[0] = 1 << 62 },
      { $0.shape[0] = .max },
      // 2^62 * 2^2 overflows to 0 without the check; and a 0 hides any overflow.
      { ($0.shape[0], $0.shape[1], $0.shape[2], $0.byte_count) = (1 << 61, 2, 1, 0) },
      { ($0.shape[0], $0.shape[1], $0.shape[2], $0.byte_count) = (0, 1 << 62, 1 << 62, 0) },
      { $0.is_inline = 1 },
    ]
    for (index, lie) in lies.enumerated() {
      #expect(code { try MicroBatch.decode(forged(lie)) } == .malformed, "lie \(index)")
    }
    #expect(code { try MicroBatch.decode(Array(forged { _ in }.prefix(1))) } == .malformed)
    let extra = forged { _ in } + [Frame(bytes: [1])]
    #expect(code { try MicroBatch.decode(extra) } == .malformed)
  }

  @Test func elementTypesHaveTheNumbersOfTheProtocol() {
    let wire: [ElementType: Palisade__Wire__ElementType] = [
      .f32: PALISADE__WIRE__ELEMENT_TYPE__ELEMENT_TYPE_F32,
      .f16: PALISADE__WIRE__ELEMENT_TYPE__ELEMENT_TYPE_F16,
      .bf16: PALISADE__WIRE__ELEMENT_TYPE__ELEMENT_TYPE_BF16,
      .u8: PALISADE__WIRE__ELEMENT_TYPE__ELEMENT_TYPE_U8,
      .i8: PALISADE__WIRE__ELEMENT_TYPE__ELEMENT_TYPE_I8,
      .i32: PALISADE__WIRE__ELEMENT_TYPE__ELEMENT_TYPE_I32,
      .i64: PALISADE__WIRE__ELEMENT_TYPE__ELEMENT_TYPE_I64,
    ]
    for elementType in ElementType.allCases {
      #expect(wire[elementType]?.rawValue == UInt32(elementType.rawValue))
    }
  }

  @Test func unpackingStaysWithinItsBudget() {
    // 300 000 empty segments in 600 kB would take 40 MB unpacked; the budget or the count stops it.
    let count = 300_000
    var body: [UInt8] = []
    for _ in 0..<count { body += [0x2a, 0x00] }
    var length = body.count
    var bytes: [UInt8] = [0x08, 0x01, 0x12]
    while length >= 0x80 {
      bytes.append(UInt8(length & 0x7f) | 0x80)
      length >>= 7
    }
    bytes.append(UInt8(length))
    #expect(code { try MicroBatch.decode([Frame(bytes: bytes + body)]) } != nil)
    let large = Frame(bytes: [0x08, 0x01] + [UInt8](repeating: 0, count: 3 << 20))
    #expect(code { try MicroBatch.decode([large]) } == .tooLarge)
  }
}
