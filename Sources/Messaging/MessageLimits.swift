/// How large one message may be, for one socket or one decoding.
public struct MessageLimits: Sendable, Equatable {
  /// Frames in one message, the sender's identity on a router included.
  public var maximumFrameCount: Int
  /// Bytes of all frames of one message together.
  public var maximumByteCount: Int

  /// Makes limits; both are at least 1.
  public init(maximumFrameCount: Int, maximumByteCount: Int) {
    self.maximumFrameCount = max(1, maximumFrameCount)
    self.maximumByteCount = max(1, maximumByteCount)
  }

  /// Fits every message of the protocol.
  ///
  /// Frames: identity + header + 64 images. Bytes: 32 images of 896 x 896 x 3 f32 are 308 MB, and
  /// 64 encoded images of 8 MiB are 512 MiB.
  public static let standard = MessageLimits(
    maximumFrameCount: 2 + MessageLimits.imageCount,
    maximumByteCount: 512 << 20
  )

  /// Fits every message about a model's tensors: a manifest's header of 2 MiB and 16 MiB of hashes.
  public static let model = MessageLimits(maximumFrameCount: 4, maximumByteCount: 20 << 20)
}

/// The bounds of single fields. The same bounds hold when encoding and when decoding.
extension MessageLimits {
  /// The version spoken by this code; the other end must speak the same.
  public static let protocolVersion: UInt32 = 1
  /// Bytes of the protobuf frame: 4096 segments with about 150 token ids of 3 bytes each.
  public static let headerByteCount = 2 << 20
  /// Memory unpacking may take per header byte: an empty TokenResult is 4 bytes on the wire and
  /// about 216 unpacked (structure, pointer, protobuf-c's scan list).
  static let unpackedBytesPerHeaderByte = 64
  /// Memory unpacking may take beside that, for the envelope itself.
  static let unpackedBytesBase = 64 << 10
  /// A payload up to here travels inside the header: quicker than a frame of its own (measured).
  public static let inlineByteCount = 8 << 10
  /// Dimensions of a tensor: images x channels x height x width.
  public static let rank = 4
  /// Segments in one micro-batch, and results in one token batch.
  public static let segmentCount = 4096
  /// Token ids in one segment or reply, and positions of one request.
  public static let tokenCount = 65_536
  /// Requests released or cancelled by one message.
  public static let requestCount = 65_536
  /// Workers in a route, stages in a plan, and replicas of a stage.
  public static let routeLength = 256
  /// UTF-8 bytes of one text.
  public static let textByteCount = 64 << 10
  /// Images in one submission.
  public static let imageCount = 64
  /// Pixels along one side of a picture: the most that JPEG can say.
  public static let pictureSide = 65_535
  /// Boxes in one reply, and parts of it that are none: no more than could be written with the tokens
  /// of a reply.
  public static let boxCount = 4096
  /// Code words of one mask.
  public static let segmentsOfMask = 16
  /// Bytes of one mask's run lengths: a smooth outline in a picture of 12 megapixels takes some 12 KB,
  /// in the largest allowed some 200.
  public static let maskByteCount = 256 << 10
  /// Alternatives beside one token.
  public static let alternativeCount = 64
  /// Texts that end an answer; OpenAI allows four.
  public static let stopTextCount = 16
  /// The longest deadline: a year, so that no arithmetic overflows.
  public static let deadlineMilliseconds = 366 * 86_400_000
  /// Rows of a status, and tracks of a trace: every stage with every replica.
  public static let stageRowCount = routeLength * 16
  /// Workers in a status, spares included: more than a coordinator takes.
  public static let nodeCount = 1024
  /// Bytes of the name in an order: host names have at most 253.
  public static let nodeNameByteCount = 256
  /// Spans in one heartbeat: two a millisecond between heartbeats, 100 kB at most.
  public static let heartbeatSpanCount = 1024
  /// Spans in one trace: at most 110 bytes each, so 1.8 MB, which a header holds.
  public static let traceSpanCount = 16_384
  /// Nanoseconds of a span's parts: an hour, longer than any micro-batch that isn't lost.
  public static let spanNanoseconds: UInt64 = 3_600_000_000_000
  /// Keys that one list lets in: every worker and every client of a large cluster.
  public static let allowedKeyCount = 8192
  /// Bytes of a key file, and of a list with a line of at most 114 bytes for each key.
  public static let keyFileByteCount = 1 << 20
  /// Addresses remembered of peers that were turned away.
  public static let addressCount = 1024
  /// Cores and threads of one machine.
  public static let coreCount = 4096
  /// Sizes of decode steps that a worker measures itself with.
  public static let stepCount = 16
  /// Bytes of a link probe: 2 ms at 1 Gbit/s, 20 ms at 100 Mbit/s, well above the time of a small message.
  public static let linkProbeByteCount = 256 << 10
  /// Tensors in one manifest: the 3B has 603 in all, and 1024 layers of each tower 25,000.
  public static let sharedTensorCount = 32_768
  /// Dimensions of such a tensor, as in a file.
  public static let sharedRank = 8
  /// Chunks in one manifest: 512 GiB of weights, so 16 MiB of hashes.
  public static let sharedChunkCount = 512 << 10
  /// Bytes of one chunk.
  public static let chunkByteCount = 1 << 20
  /// Bytes of a hash.
  public static let hashByteCount = 32
  /// Bytes of `config.json` or `generation_config.json`: published ones have 2 KB.
  public static let configurationByteCount = 256 << 10
  /// What a file's header says besides.
  public static let modelNoteCount = 16
  /// Token ids that end a generation, and lists of tokens as short.
  public static let stopTokenCount = 256
}
