import Jobs
import Messaging
import Pipelining

/// What `palisade bench video` measured.
struct VideoBenchReport {
  let every: Int
  let threads: Int
  /// Milliseconds.
  let budget: Int
  /// Images a second of the pipeline alone, before and after the film.
  var before = 0.0
  var after = 0.0
  /// Sampled frames a second that the decoder and our colours bring by themselves, nobody asking about them.
  var decoded = 0.0
  /// Frames a second through the whole path.
  var film = 0.0
  var filmLatency = VideoSessionStatus(source: "").latency.latency
  /// Frames a second that the live source sends.
  var liveRate = 0
  var live = VideoSessionStatus(source: "")
  /// Each second of the live stream.
  var residentBytes: [Int] = []

  init(every: Int, threads: Int, budget: Int) {
    (self.every, self.threads, self.budget) = (every, threads, budget)
  }

  var ratio: Double { film / max(1e-9, (before + after) / 2) }
  /// The film's rate by what the slower of its two halves does alone.
  var overlap: Double { film / max(1e-9, min(decoded, (before + after) / 2)) }

  /// Memory in the middle of the first and of the last quarter.
  private var memory: (early: Int, late: Int) {
    guard !residentBytes.isEmpty else { return (0, 0) }
    let eighth = residentBytes.count / 8
    return (residentBytes[eighth], residentBytes[residentBytes.count - 1 - eighth])
  }

  var text: String {
    let dropped = live.dropped.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
    let latency = live.latency.latency
    let number = { (value: Double) in Readable.fixed(value, places: 1) }
    return """
      pipeline alone      \(number(before)) and \(number(after)) images/s (\(threads) thread(s))
      decoding alone      \(number(decoded)) sampled frames/s (720p, each \(every). frame)
      720p film           \(number(film)) frames/s, each \(every). frame; ratio \(Readable.fixed(ratio, places: 3)), \
      \(Readable.fixed(overlap, places: 3)) of the slower half alone
      live                \(liveRate) frames/s sent, budget \(budget) ms: \(live.answered) answered \
      (\(number(live.framesPerSecond))/s), dropped \(dropped.joined(separator: ", "))
      capture to answer   p50 \(number(latency.p50Milliseconds)) ms, p99 \(number(latency.p99Milliseconds)) ms, \
      longest \(number(live.longestLatency * 1000)) ms
      memory              \(Readable.bytes(memory.early)) early, \(Readable.bytes(memory.late)) late
      """
  }

  var json: JSONText {
    let latency = live.latency.latency
    return .object([
      "bench": .string("video"), "threads": .integer(threads), "every": .integer(every),
      "pipeline_images_per_second": .array([
        .decimal(before, places: 2), .decimal(after, places: 2),
      ]),
      "decoded_frames_per_second": .decimal(decoded, places: 2),
      "film_frames_per_second": .decimal(film, places: 2), "ratio": .decimal(ratio, places: 4),
      "overlap": .decimal(overlap, places: 4),
      "film_p50_ms": .decimal(filmLatency.p50Milliseconds, places: 1),
      "film_p99_ms": .decimal(filmLatency.p99Milliseconds, places: 1),
      "live_frames_per_second_sent": .integer(liveRate), "live_budget_ms": .integer(budget),
      "live_answered": .integer(live.answered),
      "live_dropped": .object(live.dropped.mapValues { .integer($0) }),
      "live_failed": .object(live.failed.mapValues { .integer($0) }),
      "live_p50_ms": .decimal(latency.p50Milliseconds, places: 1),
      "live_p99_ms": .decimal(latency.p99Milliseconds, places: 1),
      "live_longest_ms": .decimal(live.longestLatency * 1000, places: 1),
      "live_resident_bytes": .array([.integer(memory.early), .integer(memory.late)]),
    ])
  }
}
