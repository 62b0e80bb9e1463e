/// Every maximum of this layer, with its reason.
public enum JobLimits {
  /// Bytes of one line of a batch file.
  ///
  /// 64 MiB hold 48 MiB of pictures in base64: sixteen photographs of 3 MB. A longer line is one
  /// error, and is skipped without being held in memory.
  public static let lineByteCount = 64 << 20
  /// Bytes of all encoded pictures of one request; as much as a line can carry, and more.
  ///
  /// With a window of 32 requests at most 2 GiB of encoded pictures are held; with photographs of
  /// 3 MB it is 96 MB. A window that follows a cluster stays within as much (`windowByteCount`).
  public static let requestImageByteCount = 64 << 20
  /// Bytes of one `custom_id`; OpenAI allows 512 characters.
  public static let customIDByteCount = 2048
  /// Bytes read from a batch file at once.
  static let chunkByteCount = 1 << 20
  /// Requests of one batch under way at once, where neither a user nor a cluster says how many.
  ///
  /// Enough for a pipeline in one process; a cluster's plan says itself what it takes
  /// (`Status.batchWindow`).
  public static let defaultWindow = 32
  /// Bytes of encoded pictures that a window beyond that may hold: as many as one of 32 of the largest
  /// requests. With photographs of 3 MB it never matters, with such of 10 MiB beyond 204 requests.
  static let windowByteCount = 32 * requestImageByteCount
  /// The largest window.
  public static let maximumWindow = 512
  /// Lines of a batch file read ahead and noted in the journal together: one transaction, and so one
  /// fsync, for so many.
  static let readAheadLineCount = 256
  /// Bytes of lines read ahead, beside the last one: pictures within lines are not piled up.
  static let readAheadByteCount = 4 << 20
  /// Results that a journal commits together. With the next limit: what is done again at most after a
  /// power loss, and what three fsyncs are spread over.
  static let commitCount = 256
  /// The longest that a result waits to be committed, and how often a run looks at the time.
  static let commitInterval = Duration.seconds(1)
  /// Prompts of one line about the same pictures.
  public static let promptCount = 64
  /// Answers to one prompt that a request may ask for. A server lets far fewer (`HTTPLimits.choices`); times the
  /// prompts that a body holds, which are fewer than its bytes, it stays below 2³⁷.
  static let choiceCount = 1024
  /// Pictures that one line may stand for; their names, about 100 bytes each, are in memory at once.
  static let linePictureCount = 100_000
  /// Pictures that `--images` may match; 100 MB of names while the list is written.
  public static let listedPictureCount = 1_000_000
  /// How often a request may be lost with a worker or a coordinator before it counts as the cause.
  static let lossCount = 5
  /// From so many losses on it runs alone among its like, so that it can't take others down with it.
  static let suspectLossCount = 2
  /// Kinds of failures counted apart; a coordinator's codes are a dozen.
  static let failureKindCount = 64
  /// Requests of one client waiting for their replies.
  ///
  /// Twice the largest window. The socket's queue has room for as many again, so that a full queue
  /// can only mean that nobody is connected.
  static let pendingRequestCount = 1024
  /// Messages queued in the client's socket: every pending request, and pings beside them.
  static let clientHighWaterMark = 2 * pendingRequestCount
  /// Masks made for one answer: 256 of 20 tokens each fill 5000 tokens, and take about a second. Boxes
  /// beyond keep their code words.
  static let maskCount = 256
  /// Pixels of one answer's masks together: four of the largest pictures, seconds of work.
  static let maskPixelCount = 400_000_000
  /// Frames of one video under way at once: enough for a pipeline of eight stages, and for one stage to have its next micro-batches
  /// waiting while answers come in bursts. They are small pictures, 5 MB at 224 pixels.
  public static let videoWindow = 32
  /// Frames that are being shrunk to the model's size: whole pictures, 11 MB of 720p.
  static let videoPreparations = 4
  /// The same for a live source, where what waits grows old.
  static let videoLiveWindow = 4
  /// Frames of a live source that wait for their question.
  static let videoLiveBuffer = 2
  /// The oldest that an answer about a live source may be, where nobody says.
  public static let videoBudget = Duration.milliseconds(500)
  /// Videos of one command: each has a decoder of its own.
  public static let videoCount = 64
  /// Records that wait for an earlier one of their source, beside those under way: drops and repeats.
  static let videoUnfinishedCount = 16
  /// Answers kept for frames that repeat them: a rule looks back at the last few frames only.
  static let videoAnswerCount = 64
  /// States and notices of a session that are told: what happened lately, 5 kB.
  static let videoStateCount = 64
  static let videoNoticeCount = 20
  /// Bytes of one record; the longest answer with 256 masks is below 2 MB.
  static let videoRecordByteCount = 16 << 20
  /// Rows of a table of results.
  public static let tableRowCount = 1000
}
