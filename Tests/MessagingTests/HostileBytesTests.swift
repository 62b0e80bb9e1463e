import Messaging
import Tensors
import Testing

/// Bytes from outside are input: whatever they are, decoding ends in a value or a stated error.
@Suite struct HostileBytesTests {
  /// Flips, overwrites, cuts, doubles or inserts bytes of one frame, or loses or repeats a frame.
  private func damage(_ frames: [[UInt8]], _ seeded: inout Seeded) -> [[UInt8]] {
    var frames = frames
    let which = seeded.int(0...(frames.count - 1))
    // Mostly the header: that is where the structure is.
    let index = seeded.int(0...3) == 0 ? which : 0
    for _ in 0..<seeded.int(1...3) {
      guard !frames[index].isEmpty else { break }
      let place = seeded.int(0...(frames[index].count - 1))
      switch seeded.int(0...7) {
      case 0: frames[index].removeSubrange(place...)
      case 1: frames[index].remove(at: place)
      case 2: frames[index].insert(UInt8(seeded.next() & 0xff), at: place)
      case 3: frames[index].append(contentsOf: frames[index][place...].prefix(4096))
      case 4: frames[index][place] = 0xff
      case 5: frames[index][place] = UInt8(seeded.next() & 0xff)
      default: frames[index][place] ^= 1 << UInt8(seeded.int(0...7))
      }
    }
    if seeded.int(0...19) == 0 { frames.append([1]) }
    if seeded.int(0...19) == 0 { frames.removeLast() }
    return frames
  }

  private func attack<Message: WireMessage>(
    seed: UInt64,
    _ make: (inout Seeded) -> Message
  ) throws {
    var seeded = Seeded(seed: seed)
    var refused = 0
    for _ in 0..<60 {
      let frames = try make(&seeded).encode().map { $0.bytes }
      for _ in 0..<100 {
        let damaged = damage(frames, &seeded).map { Frame(bytes: $0) }
        do throws(MessagingError) {
          // What is accepted must hold what the other end would accept: it encodes again.
          _ = try Message.decode(damaged).encode()
        } catch {
          #expect(!error.cause.isEmpty && !error.remedy.isEmpty)
          refused += 1
        }
      }
    }
    #expect(refused > 1000)
  }

  @Test(arguments: [11, 12] as [UInt64]) func stage(seed: UInt64) throws {
    try attack(seed: seed) { $0.stageMessage() }
  }
  @Test(arguments: [13, 14] as [UInt64]) func control(seed: UInt64) throws {
    try attack(seed: seed) { $0.controlMessage() }
  }
  @Test(arguments: [15, 16] as [UInt64]) func client(seed: UInt64) throws {
    try attack(seed: seed) { $0.clientMessage() }
  }
  @Test(arguments: [17, 18] as [UInt64]) func server(seed: UInt64) throws {
    try attack(seed: seed) { $0.serverMessage() }
  }
  @Test(arguments: [22, 23] as [UInt64]) func model(seed: UInt64) throws {
    try attack(seed: seed) { $0.modelMessage() }
  }

  @Test func randomBytesBehindTheVersion() {
    var seeded = Seeded(seed: 19)
    for _ in 0..<5000 {
      let bytes = [0x08, 0x01] + seeded.list(0...200) { UInt8($0.next() & 0xff) }
      let frames = [Frame(bytes: bytes)]
      _ = try? StageMessage.decode(frames)
      _ = try? ControlMessage.decode(frames)
      _ = try? ClientMessage.decode(frames)
      _ = try? ServerMessage.decode(frames)
      _ = try? ModelMessage.decode(frames)
    }
  }

  @Test func everyTruncationOfAMicroBatchIsRefusedOrValid() throws {
    var seeded = Seeded(seed: 20)
    let frames = try seeded.microBatch().encode()
    let header = frames[0].bytes
    for length in 0..<header.count {
      let cut = [Frame(bytes: Array(header.prefix(length)))] + frames.dropFirst()
      if let value = try? MicroBatch.decode(cut) { _ = try value.encode() }
    }
  }

  @Test func aFlippedPayloadBitIsAChecksumError() throws {
    let tensor = Tensor([Float](repeating: 1, count: 4096), shape: [4096])
    let batch = MicroBatch(
      epoch: 1,
      sequence: 1,
      stage: 0,
      route: [0],
      segments: [],
      tensor: tensor
    )
    let frames = try batch.encode()
    var payload = frames[1].bytes
    payload[777] ^= 4
    #expect(
      code { try MicroBatch.decode([frames[0], Frame(bytes: payload)]) } == .checksumMismatch
    )
  }

  @Test func anotherVersionIsNamed() throws {
    var header = try ControlMessage.goodbye.encode()[0].bytes
    header[1] = 7
    do {
      _ = try ControlMessage.decode([Frame(bytes: header)])
      Issue.record("version 7 was accepted")
    } catch {
      #expect(error.code == .versionMismatch)
      #expect(error.cause.contains("version 7") && error.cause.contains("version 1"))
    }
    // Even when nothing else of it can be read.
    let strange = [Frame(bytes: [0x08, 0x02, 0xff, 0xff, 0xff])]
    #expect(code { try StageMessage.decode(strange) } == .versionMismatch)
    #expect(code { try StageMessage.decode([Frame(bytes: [])]) } == .malformed)
    #expect(code { try StageMessage.decode([]) } == .malformed)
  }

  @Test func boxesThatNoAnswerHasAreRefused() throws {
    func code(_ change: (inout Box) -> Void) -> MessagingError.Code? {
      var box = Box(label: "cat", x1: 0, y1: 0, x2: 1, y2: 1)
      change(&box)
      return MessagingTests.code { try ServerMessage.reply(Reply(tag: 1, boxes: [box])).encode() }
    }
    let words = [UInt8](repeating: 127, count: 16)
    #expect(code { ($0.segments, $0.mask) = (words, "0oP") } == nil)
    #expect(code { $0.segments = Array(words.dropLast()) } == .malformed)
    #expect(code { $0.segments = words.dropLast() + [128] } == .malformed)
    #expect(code { $0.mask = "/" } == .malformed)
    #expect(code { $0.mask = "0p" } == .malformed)
    #expect(code { $0.mask = "é" } == .malformed)
    let longest = MessageLimits.maskByteCount
    #expect(code { $0.mask = String(repeating: "1", count: longest) } == nil)
    #expect(code { $0.mask = String(repeating: "1", count: longest + 1) } == .tooLarge)
    #expect(code { $0.x1 = .nan } == .malformed)
    let parts = [MalformedText](
      repeating: MalformedText(reason: "r", text: ""), count: MessageLimits.boxCount + 1)
    #expect(
      MessagingTests.code { try ServerMessage.reply(Reply(tag: 1, malformed: parts)).encode() }
        == .tooLarge)
  }

  /// The same on the way in: the bytes of a good reply, its mask and code words changed in place.
  @Test func boxesThatNoAnswerHasAreRefusedWhenRead() throws {
    let words = [UInt8](repeating: 99, count: 16)
    let box = Box(
      label: "cat", x1: 0, y1: 0, x2: 1, y2: 1, segments: words, mask: "0oP0oP0oP")
    let frames = try ServerMessage.reply(Reply(tag: 1, boxes: [box])).encode()
    let bytes = try #require(frames.first).bytes
    let word = try #require(bytes.lastIndex(of: 99))
    let mask = try #require(bytes.lastIndex(of: UInt8(ascii: "P")))
    for (place, byte) in [(word, 128), (word, 255), (mask, 47), (mask, 112), (mask, 0)]
      as [(Int, UInt8)]
    {
      var damaged = bytes
      damaged[place] = byte
      #expect(code { try ServerMessage.decode([Frame(bytes: damaged)]) } == .malformed)
    }
  }

  @Test func oneKindOfEnvelopeIsNotTakenForAnother() throws {
    var seeded = Seeded(seed: 21)
    let control = try seeded.controlMessage().encode()
    #expect(code { try StageMessage.decode(control) } == .malformed)
    #expect(code { try ServerMessage.decode(control) } == .malformed)
    #expect(code { try MicroBatch.decode(try seeded.tokenBatch().encode()) } == .malformed)
  }
}

/// The code of the error that `body` throws; nil when it does not throw.
func code<Value>(_ body: () throws -> Value) -> MessagingError.Code? {
  do {
    _ = try body()
    return nil
  } catch {
    return (error as? MessagingError)?.code
  }
}
