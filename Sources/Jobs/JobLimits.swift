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
  /// 3 MB it is 96 MB.
  public static let requestImageByteCount = 64 << 20
  /// Bytes of one `custom_id`; OpenAI allows 512 characters.
  public static let customIDByteCount = 2048
  /// Bytes read from a batch file at once.
  static let chunkByteCount = 1 << 20
  /// Requests of one batch under way at once.
  ///
  /// Twice what a pipeline of 8 stages needs with two micro-batches a stage.
  public static let defaultWindow = 32
  /// The largest window; four times as many results may wait for an earlier one.
  public static let maximumWindow = 512
  /// Results that wait for an earlier one to be written, for each request of the window.
  static let resultsPerWindow = 4
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
  /// Rows of a table of results.
  public static let tableRowCount = 1000
}
