import Foundation
import Imaging
import Jobs
import Messaging
import Pipelining
import Synchronization
import VideoFrames

/// One video that a client began: its session, its last events, its latest frame.
final class VideoStream: Sendable {
  /// One server-sent event.
  struct Event: Sendable {
    let id: Int
    /// `record` or `state`.
    let name: String
    let json: JSONText
  }
  private struct State {
    var events: [Event] = []
    var nextID = 1
    var latest: (record: VideoRecord, picture: Picture)?
    var lastRecord: JSONText = .null
    var isOver = false
  }

  let id: String
  let session: VideoSession
  let createdAt = Int(Date().timeIntervalSince1970)
  private let state = Mutex(State())
  private let task = Mutex<Task<Void, Never>?>(nil)
  private let eventCount: Int

  init(_ session: VideoSession, eventCount: Int) {
    id = FileStore.identifier("video_")
    self.session = session
    self.eventCount = eventCount
  }

  /// Begins to answer; `metrics` counts along.
  func start(metrics: VideoMetrics) {
    let work = Task { [self] in
      do {
        try await session.run(onState: note) { record, frame in
          metrics.count(record)
          take(record, frame)
        }
      } catch {
        // Nothing that takes records here fails; the session's state says how it ended.
      }
      state.withLock { $0.isOver = true }
    }
    task.withLock { $0 = work }
  }

  /// Ends it, and waits for its end.
  func stop() async {
    await session.cancel()
    let task = task.withLock { $0 }
    // A file that waits for a cluster would wait on.
    task?.cancel()
    await task?.value
  }

  var isOver: Bool { state.withLock { $0.isOver } }

  /// Events behind `id`, how many were forgotten in between, and whether more can come.
  func events(after id: Int) -> (events: [Event], missed: Int, isOver: Bool) {
    state.withLock { state in
      let first = state.events.first?.id ?? state.nextID
      let new = state.events.drop { $0.id <= id }
      return (Array(new), max(0, first - 1 - max(id, 0)), state.isOver)
    }
  }

  /// The latest frame with its answer drawn on it; nil before there is one.
  func latestPicture() throws -> [UInt8]? {
    guard let (record, picture) = state.withLock({ $0.latest }) else { return nil }
    return try (record.answer?.drawn(on: picture, prompt: nil) ?? picture).encodedJPEG()
  }

  private func take(_ record: VideoRecord, _ frame: VideoFrame?) {
    let json = record.json
    state.withLock { state in
      add("record", json, &state)
      state.lastRecord = json
      if let frame, record.answer != nil { state.latest = (record, frame.picture) }
    }
  }

  private func note(_ new: FeedState) {
    state.withLock { add("state", Self.json(new), &$0) }
  }

  private func add(_ name: String, _ json: JSONText, _ state: inout State) {
    state.events.append(Event(id: state.nextID, name: name, json: json))
    state.nextID += 1
    if state.events.count > eventCount { state.events.removeFirst() }
  }

  /// Where a feed stands, with what belongs to it.
  static func json(_ state: FeedState) -> JSONText {
    var members: [String: JSONText] = ["state": .string(state.name)]
    switch state {
    case .connecting, .live: break
    case .stalled(let time): members["seconds"] = .decimal(time / .seconds(1), places: 1)
    case .reconnecting(let attempt, let delay, let cause):
      members["attempt"] = .integer(attempt)
      members["delay_seconds"] = .decimal(delay / .seconds(1), places: 2)
      members["cause"] = .string(cause)
    case .ended(let cause): members["cause"] = .string(cause.rawValue)
    case .failed(let error):
      members["error"] = .object([
        "code": .string(error.code.rawValue),
        "message": .string("\(error.cause); \(error.remedy)"),
      ])
    }
    return .object(members)
  }

  /// The stream as an object.
  var json: JSONText {
    let status = session.status
    let feed = session.feedStatus
    let latency = status.latency.latency
    let last = state.withLock { $0.lastRecord }
    return .object([
      "id": .string(id), "object": .string("video.stream"), "created_at": .integer(createdAt),
      "source": .string(status.source), "prompt": .string(session.options.prompt),
      "sampling": .string("\(session.options.feed.sampling)"), "state": .string(status.state.name),
      "status": Self.json(status.state),
      "frames": .object([
        "source": .integer(feed.sourceFrameCount), "sampled": .integer(feed.sampledCount),
        "answered": .integer(status.answered), "repeated": .integer(status.repeated),
        "collected": .integer(status.collected),
        "failed": .integer(status.failed.values.reduce(0, +)),
        "dropped": .object(status.dropped.mapValues { .integer($0) }),
        "under_way": .integer(status.underWay),
      ]),
      "saved_share": .decimal(status.savedShare, places: 4),
      "frames_per_second": .decimal(status.framesPerSecond, places: 2),
      "reconnections": .integer(feed.reconnectionCount),
      "latency_ms": .object([
        "p50": .decimal(latency.p50Milliseconds, places: 1),
        "p99": .decimal(latency.p99Milliseconds, places: 1),
      ]),
      "notices": .array(status.notices.map(JSONText.string)), "last": last,
    ])
  }
}
