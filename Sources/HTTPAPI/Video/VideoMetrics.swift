import Jobs
import Synchronization
import VideoFrames

/// What is counted of all videos, those that ended too.
final class VideoMetrics: Sendable {
  private struct State {
    var frames: [String: Int] = [:]
    var drops: [String: Int] = [:]
    var latency = Histogram()
  }
  private let state = Mutex(State())

  /// Counts a record.
  func count(_ record: VideoRecord) {
    state.withLock { state in
      switch record.outcome {
      case .answered:
        state.frames["answered", default: 0] += 1
        if let latency = record.latency { state.latency.observe(latency / .seconds(1)) }
      case .repeated: state.frames["repeated", default: 0] += 1
      case .collected: state.frames["collected", default: 0] += 1
      case .dropped(let cause): state.drops[cause, default: 0] += 1
      case .failed: state.frames["failed", default: 0] += 1
      }
    }
  }

  /// Writes all of it.
  func write(to text: inout MetricsText, streams: [VideoStream]) {
    let state = state.withLock { $0 }
    text.family(
      "palisade_video_frames_total", "counter", "Sampled frames by what became of them.")
    for (outcome, count) in state.frames.sorted(by: { $0.key < $1.key }) {
      text.sample("palisade_video_frames_total", [("outcome", outcome)], Double(count))
    }
    text.family("palisade_video_dropped_total", "counter", "Dropped frames by cause.")
    for (cause, count) in state.drops.sorted(by: { $0.key < $1.key }) {
      text.sample("palisade_video_dropped_total", [("cause", cause)], Double(count))
    }
    text.family(
      "palisade_video_latency_seconds", "histogram",
      "From a frame's coming out of the decoder to its answer.")
    text.histogram("palisade_video_latency_seconds", [], state.latency)
    text.family("palisade_video_streams", "gauge", "Videos by state.")
    let states = Dictionary(grouping: streams.map(\.session.status.state.name)) { $0 }
    for (name, items) in states.sorted(by: { $0.key < $1.key }) {
      text.sample("palisade_video_streams", [("state", name)], Double(items.count))
    }
  }
}
