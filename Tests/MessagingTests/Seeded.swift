import Messaging
import Tensors

/// SplitMix64: the same messages on every machine for one seed.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
  mutating func u64() -> UInt64 { Bool.random(using: &self) ? next() : next() >> 56 }
  mutating func flag() -> Bool { Bool.random(using: &self) }
  mutating func list<Element>(
    _ count: ClosedRange<Int>,
    _ make: (inout Seeded) -> Element
  ) -> [Element] {
    (0..<int(count)).map { _ in make(&self) }
  }
  mutating func token() -> Int32 { Int32.random(in: 0...257_215, using: &self) }
  mutating func logprob() -> Float { flag() ? Float.random(in: -20...0, using: &self) : -.infinity }

  /// Text of one to four bytes per character, without NUL.
  mutating func name() -> String {
    String(list(0...12) { seeded in "azß€火🚀/:*-".randomElement(using: &seeded) ?? "x" })
  }
  /// The same with a NUL now and then.
  mutating func text() -> String { flag() ? name() + "\0" + name() : name() }
}

extension Seeded {
  mutating func sampling() -> Sampling {
    Sampling(
      temperature: Float.random(in: 0...2, using: &self),
      topK: int(0...100),
      topP: Float.random(in: 0...1, using: &self),
      seed: u64(),
      maximumTokens: int(0...65_536),
      stopTokenIDs: list(0...4) { $0.token() },
      logprobCount: int(0...20),
      wantsLogprobs: flag(),
      grammar: ([nil] + Grammar.allCases).randomElement(using: &self) ?? nil,
      stopsRepetition: flag(),
      coordinates: flag() ? coordinates() : nil
    )
  }

  mutating func coordinates() -> CoordinateTokens {
    CoordinateTokens(
      firstLocation: token(),
      firstSegment: flag() ? token() : nil,
      separators: list(0...3) { $0.token() },
      blanks: list(0...2) { $0.token() },
      forbidden: list(0...9) { $0.token() },
      vocabularyCount: int(0...257_216)
    )
  }

  mutating func segment() -> Segment {
    Segment(
      request: u64(),
      phase: flag() ? .prefill : .decode,
      position: int(0...4096),
      rowCount: int(0...4200),
      tokenIDs: list(0...40) { $0.token() },
      imageCount: int(0...16),
      capacity: int(0...8192),
      sampling: flag() ? sampling() : nil,
      recorded: list(0...9) { $0.token() }
    )
  }

  /// Every rank and type, small enough to travel inline or just too large for it.
  mutating func tensor() -> Tensor {
    let elementType = ElementType.allCases.randomElement(using: &self) ?? .f32
    var shape = list(0...4) { $0.int(1...7) }
    if flag() && !shape.isEmpty { shape[0] = 4096 }
    let tensor = Tensor(elementType, shape: shape)
    tensor.withBytes { bytes in for index in bytes.indices { bytes[index] = UInt8(next() & 0xff) } }
    return tensor
  }

  mutating func microBatch() -> MicroBatch {
    let route = list(0...8) { $0.int(0...1000) }
    return MicroBatch(
      epoch: u64(),
      sequence: u64(),
      stage: route.isEmpty ? 3 : int(0...(route.count - 1)),
      route: route,
      segments: list(0...9) { $0.segment() },
      released: list(0...5) { $0.u64() },
      tensor: flag() ? tensor() : nil
    )
  }

  mutating func alternatives() -> [Alternative] {
    list(0...5) { Alternative(tokenID: $0.token(), logprob: $0.logprob()) }
  }

  mutating func tokenBatch() -> TokenBatch {
    TokenBatch(
      epoch: u64(),
      sequence: u64(),
      results: list(0...9) { seeded in
        let finish = ([nil] + FinishReason.allCases).randomElement(using: &seeded) ?? nil
        return TokenResult(
          request: seeded.u64(),
          index: seeded.int(0...300),
          tokenID: seeded.token(),
          finish: finish,
          logprob: seeded.logprob(),
          alternatives: seeded.alternatives(),
          failure: finish == .failed ? seeded.failure() : nil
        )
      }
    )
  }

  mutating func failure() -> Failure { Failure(code: "c" + name(), message: text()) }

  mutating func stageMessage() -> StageMessage {
    switch int(0...4) {
    case 0: .pulse(Pulse(epoch: u64(), worker: int(0...99)))
    case 1, 2: .microBatch(microBatch())
    default: .tokenBatch(tokenBatch())
    }
  }

  mutating func assign() -> Assign {
    let stages = list(1...6) { seeded in
      let first = seeded.int(0...40)
      return StageAssignment(
        blocks: first..<(first + seeded.int(0...20)),
        workers: seeded.list(0...3) {
          WorkerAddress(worker: $0.int(0...99), endpoint: $0.name())
        }
      )
    }
    var assign = Assign(
      epoch: u64(),
      modelDirectory: name(),
      precision: name(),
      stage: int(0...(stages.count - 1)),
      stages: stages,
      resultsEndpoint: name(),
      maximumMicroBatches: int(1...64),
      fingerprint: name(),
      keptEpoch: u64(),
      keptRequests: list(0...9) { $0.u64() },
      encoding: TensorEncoding.allCases.randomElement(using: &self) ?? .exact,
      modelEndpoint: name()
    )
    assign.weightSources = list(0...3) {
      WorkerAddress(worker: $0.int(0...99), endpoint: $0.name())
    }
    return assign
  }

  mutating func modelMessage() -> ModelMessage {
    let request = ChunkRequest(
      tensor: (0..<32).map { _ in UInt8(next() & 0xff) }, chunk: int(0...9999))
    let blocks = { (seeded: inout Seeded) in
      let first = seeded.int(0...40)
      return first..<(first + seeded.int(0...20))
    }
    switch int(0...4) {
    case 0: return .manifestRequest(ManifestRequest(fingerprint: name(), blocks: blocks(&self)))
    case 1: return .chunkRequest(request)
    case 2: return .chunk(request, Frame(bytes: list(1...300) { UInt8($0.next() & 0xff) }))
    case 3: return .refusal(failure())
    default:
      return .manifest(
        Manifest(
          blocks: blocks(&self), configuration: list(0...99) { UInt8($0.next() & 0xff) },
          generation: list(0...9) { UInt8($0.next() & 0xff) },
          notes: Dictionary(list(0...3) { ($0.name(), $0.name()) }, uniquingKeysWith: { $1 }),
          tensors: list(0...6) { $0.sharedTensor() }))
    }
  }

  /// Of one chunk, or a few.
  mutating func sharedTensor() -> Manifest.Entry {
    let elementType = ElementType.allCases.randomElement(using: &self) ?? .f32
    var shape = list(0...4) { $0.int(1...7) }
    if flag() { shape.insert(1 << int(8...18), at: 0) }
    let byteCount = shape.reduce(elementType.byteCount, *)
    let chunkCount = (byteCount + (1 << 20) - 1) >> 20
    return Manifest.Entry(
      name: name(), elementType: elementType, shape: shape,
      hashes: (0..<32 * chunkCount).map { _ in UInt8(next() & 0xff) })
  }

  mutating func counters() -> Counters {
    var counters = Counters()
    counters.busyNanoseconds = u64()
    counters.waitingNanoseconds = u64()
    counters.receivedBytes = u64()
    counters.sentBytes = u64()
    counters.microBatches = u64()
    counters.prefillRows = u64()
    counters.decodeRows = u64()
    counters.visionCacheHits = u64()
    counters.visionCacheMisses = u64()
    counters.droppedSpans = u64()
    return counters
  }

  mutating func controlMessage() -> ControlMessage {
    switch int(0...14) {
    case 12: .workerSpeed(workerSpeed())
    case 13: .linkProbe(sentNanoseconds: u64(), byteCount: int(0...9000))
    case 14: .linkEcho(sentNanoseconds: u64())
    case 0:
      .register(
        Register(
          name: name(),
          host: name(),
          dataEndpoint: name(),
          instructionSet: name(),
          threads: int(0...128),
          memoryBytes: int(0...(1 << 40)),
          softwareVersion: name(),
          loaded: flag()
            ? LoadedStage(blocks: 2..<(2 + int(0...9)), precision: name(), fingerprint: name())
            : nil
        )
      )
    case 1:
      .ready(
        Ready(
          epoch: u64(),
          stage: int(0...99),
          loadMilliseconds: int(0...100_000),
          weightBytes: int(0...(1 << 40))
        )
      )
    case 2:
      .heartbeat(
        Heartbeat(
          epoch: u64(),
          counters: counters(),
          gauges: gauges(),
          busySequence: u64(),
          busyMilliseconds: int(0...100_000),
          sentNanoseconds: u64(),
          roundTripNanoseconds: u64(),
          spans: list(0...8) { $0.span() },
          silentWorkers: list(0...3) { $0.int(0...99) }
        )
      )
    case 3: .workerFailure(WorkerFailure(epoch: u64(), failure: failure()))
    case 4: .goodbye
    case 5:
      .welcome(
        Welcome(
          worker: int(0...99),
          heartbeatMilliseconds: int(0...5000),
          silenceMilliseconds: int(0...50_000),
          model: flag()
            ? ModelNumbers(text: "x" + text(), fingerprint: name(), precision: name()) : nil
        )
      )
    case 6: .assign(assign())
    case 7:
      .heartbeatReply(
        HeartbeatReply(
          epoch: u64(),
          echoNanoseconds: u64(),
          coordinatorNanoseconds: u64()
        )
      )
    case 8: .cancel(epoch: u64(), requests: list(0...9) { $0.u64() })
    case 9: .reset(epoch: u64())
    case 10: .registerAgain
    default: .shutdown(reason: text())
    }
  }

  mutating func clientMessage() -> ClientMessage {
    switch int(0...6) {
    case 0: .cancel(tag: u64())
    case 1: .status
    case 2: .trace(spanCount: int(0...100_000))
    case 3: .order(.drain(node: "n" + name()))
    case 4: .order(.scale(workerCount: int(1...MessageLimits.nodeCount)))
    default:
      .submit(submit())
    }
  }

  mutating func submit() -> Submit {
    let images = list(0...4) { seeded in
      Frame(bytes: seeded.list(1...300) { UInt8($0.next() & 0xff) })
    }
    let sizes = images.map { _ in
      flag()
        ? ImageSize(width: int(1...9999), height: int(1...65_535)) : ImageSize(width: 0, height: 0)
    }
    return Submit(
      tag: u64(),
      prompt: text(),
      images: images,
      sampling: sampling(),
      handling: Handling(
        priority: Handling.Priority.allCases.randomElement(using: &self) ?? .batch,
        job: text(),
        deadline: flag() ? .milliseconds(int(1...1_000_000)) : nil,
        model: flag() ? model() : nil
      ),
      stopTexts: list(0...4) { $0.text() },
      originalSizes: flag() ? sizes : []
    )
  }

  mutating func reply() -> Reply {
    Reply(
      tag: u64(),
      text: text(),
      tokenIDs: list(0...30) { $0.token() },
      finish: ([nil] + FinishReason.allCases).randomElement(using: &self) ?? nil,
      promptTokens: int(0...5000),
      completionTokens: int(0...500),
      images: list(0...3) { ImageSize(width: $0.int(1...9999), height: $0.int(1...9999)) },
      boxes: list(0...5) { seeded in
        let corner = { (seeded: inout Seeded) in Double.random(in: -1...5000, using: &seeded) }
        return Box(
          label: seeded.text(),
          x1: corner(&seeded),
          y1: corner(&seeded),
          x2: corner(&seeded),
          y2: corner(&seeded),
          isRepeat: seeded.flag(),
          segments: seeded.flag() ? (0..<16).map { _ in UInt8(seeded.int(0...127)) } : [],
          mask: String(
            decoding: seeded.list(0...20) { UInt8($0.int(48...111)) }, as: UTF8.self)
        )
      },
      malformed: list(0...3) { MalformedText(reason: $0.name(), text: $0.text()) },
      logprobs: list(0...5) {
        TokenLogprob(
          tokenID: $0.token(),
          logprob: $0.logprob(),
          alternatives: $0.alternatives()
        )
      },
      failure: flag() ? failure() : nil,
      isBusy: flag()
    )
  }

  mutating func serverMessage() -> ServerMessage {
    switch int(0...4) {
    case 0: .status(status())
    case 1: .trace(trace())
    case 2: .orderAnswer(OrderAnswer(isDone: flag(), text: text()))
    default: .reply(reply())
    }
  }
}
