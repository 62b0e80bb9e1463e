import HTTPTypes
import Jobs
import Messaging
import VideoFrames

/// The videos that clients began; so many at once, and the last ended ones for a while.
actor VideoStreams {
  nonisolated let metrics = VideoMetrics()
  private let limits: HTTPLimits
  private var streams: [String: VideoStream] = [:]
  private var order: [String] = []
  private var isStopped = false

  init(limits: HTTPLimits) { self.limits = limits }

  /// All of them, the newest first.
  var all: [VideoStream] { order.reversed().compactMap { streams[$0] } }

  /// Begins one.
  ///
  /// - Throws: 429 when there are too many, 400 when it can't be read.
  func begin(_ session: () throws(VideoError) -> VideoSession) throws(APIError) -> VideoStream {
    let running = streams.values.count { !$0.isOver }
    guard running < limits.videoStreams, !isStopped else {
      var error = APIError(
        .tooManyRequests, code: "too_many_streams",
        message:
          "\(running) videos are being answered, \(limits.videoStreams) are allowed; end one "
          + "with DELETE, or try again later")
      error.retryAfterSeconds = limits.retryAfterSeconds
      throw error
    }
    let stream: VideoStream
    do throws(VideoError) {
      stream = VideoStream(try session(), eventCount: limits.videoEvents)
    } catch {
      throw APIError(
        error.code == .decoderMissing ? .internalServerError : .badRequest,
        code: error.code.rawValue, message: "\(error.cause); \(error.remedy)")
    }
    streams[stream.id] = stream
    order.append(stream.id)
    forgetOldest()
    stream.start(metrics: metrics)
    return stream
  }

  /// The ended ones beyond what is kept.
  private func forgetOldest() {
    var ended = order.filter { streams[$0]?.isOver ?? true }
    while ended.count > limits.videoStreamsKept {
      let id = ended.removeFirst()
      streams[id] = nil
      order.removeAll { $0 == id }
    }
  }

  /// One by its id.
  ///
  /// - Throws: 404.
  func stream(_ id: String) throws(APIError) -> VideoStream {
    guard let stream = streams[id] else { throw .notFound("there is no video \(id.prefix(64))") }
    return stream
  }

  /// Ends one, and forgets it.
  func delete(_ id: String) async throws(APIError) {
    let stream = try stream(id)
    streams[id] = nil
    order.removeAll { $0 == id }
    await stream.stop()
  }

  /// Ends all.
  func stop() async {
    isStopped = true
    for stream in streams.values { await stream.stop() }
  }
}
