import Jobs

/// Every maximum of the HTTP service, with its reason.
public struct HTTPLimits: Sendable, Equatable {
  /// Connections open at once. Each takes a file descriptor and some KiB; beyond that new ones wait
  /// in the listener's queue. 1024 leaves room below the usual 4096 or more descriptors of a process.
  public var connections = 1024
  /// Answers under way at once, over all connections, choices counted singly: as many as the largest
  /// plan answers at once (`Limits.requestsInFlightMaximum`), and as smaller ones let wait for their
  /// places. Beyond that a request is refused with 429, before its body is read.
  public var requests = 512
  /// Bytes of one JSON body: as a line of a batch file, 48 MiB of pictures in base64.
  public var bodyByteCount = JobLimits.lineByteCount
  /// Bytes of all JSON bodies held at once: eight of the largest. Beyond that 429.
  public var bodyByteCountTotal = 8 * JobLimits.lineByteCount
  /// Seconds that a body may take to arrive, or a slow client would hold its place for ever: the
  /// largest at 1 MB/s.
  public var bodySeconds = 64
  /// Seconds that a connection may be idle between requests: above the 60 s of usual proxies, so
  /// that they close first and never send into a connection that is closing.
  public var idleSeconds = 75
  /// Bytes of all headers of a request. Keys and ids are short; cookies of other services on the same
  /// host may come along.
  public var headerByteCount = 32 << 10
  /// Pixels of one picture: a tenth of what the command line takes, because strangers may ask. 12
  /// megapixels of a phone and the 45 of a camera fit; 600 MB of decoding memory don't.
  public var imagePixelCount = 50_000_000
  /// Tokens of one answer: more than any answer of PaliGemma has, and few enough that a client cannot
  /// hold a place for hours.
  public var answerTokenCount = 4096
  /// Tokens of an answer where the request doesn't say.
  public var defaultAnswerTokenCount = 256
  /// Choices of one request (`n` times the prompts): OpenAI allows 128; here each takes a place.
  public var choices = 16
  /// Seconds that a request may take where it says nothing, and at most: a 3B on slow CPUs answers
  /// 4096 tokens in less.
  public var requestSeconds = 600
  /// Bytes of one uploaded file: 10,000 lines with pictures of 100 KB, or 10 million short lines.
  public var fileByteCount = 2 << 30
  /// Files kept, results included; listed in memory at about 300 bytes each.
  public var files = 10_000
  /// Bytes of all files together.
  public var filesByteCount = 32 << 30
  /// Batches kept; their states are in memory.
  public var batches = 10_000
  /// Batches under way at once: two, so that a short one needn't wait for a long one; they take turns
  /// fairly in the scheduler.
  public var runningBatches = 2
  /// Items of a list where the request doesn't say; about 30 KB.
  public var listedItems = 100
  /// Seconds that a batch may take: the one `completion_window` that OpenAI's clients know, 24 hours.
  public var batchSeconds = 86_400
  /// Videos being answered at once: each has a decoder process and up to 16 frames in memory, 45 MB of 720p.
  public var videoStreams = 16
  /// Ended videos that are still described.
  public var videoStreamsKept = 64
  /// Events of each video that a client may catch up with: some minutes of a camera; about 400 KB.
  public var videoEvents = 1000
  /// Seconds after which a client that was refused as busy should try again.
  public var retryAfterSeconds = 1
  /// Seconds that requests under way have left when the server is told to stop.
  public var shutdownSeconds = 10

  /// The standard limits.
  public init() {}
}
