import Foundation
import Messaging

/// A trace as Chrome's trace-event JSON, which https://ui.perfetto.dev and chrome://tracing open: a
/// process per stage, a thread per worker, a slice per micro-batch, arrows from stage to stage.
public enum ChromeTrace {
  /// The whole file.
  ///
  /// - Throws: never in practice; encoding numbers and text can't fail.
  public static func json(_ trace: Trace) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(File(traceEvents: events(trace)))
  }

  struct File: Codable {
    var traceEvents: [Event]
    var displayTimeUnit = "ms"
  }

  /// One event; times in microseconds from the trace's beginning.
  struct Event: Codable {
    var name: String
    var ph: String  // M metadata, X complete, s/t/f flow, C counter
    var cat: String?
    var pid: Int
    var tid: Int
    var ts: Double?
    var dur: Double?
    var id: String?
    var bp: String?
    var args: [String: Argument]?
  }

  /// A number or a text.
  enum Argument: Codable, Equatable {
    case text(String)
    case count(Int)
    case milliseconds(Double)

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .text(let text): try container.encode(text)
      case .count(let count): try container.encode(count)
      case .milliseconds(let value): try container.encode(value)
      }
    }

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let count = try? container.decode(Int.self) {
        self = .count(count)
      } else if let value = try? container.decode(Double.self) {
        self = .milliseconds(value)
      } else {
        self = .text(try container.decode(String.self))
      }
    }
  }

  static func events(_ trace: Trace) -> [Event] {
    let zero = trace.spans.map { $0.startNanoseconds - $0.waitingNanoseconds }.min() ?? 0
    let known = Set(trace.tracks.map(\.worker))
    let spans = trace.spans.filter { known.contains($0.worker) }
    return trace.tracks.flatMap(names) + spans.flatMap { slices($0, zero: zero) }
      + flows(spans, zero: zero)
  }

  private static func names(_ track: TraceTrack) -> [Event] {
    let (pid, tid) = (track.stage + 1, track.worker + 1)
    let metadata = { (name: String, value: Argument, key: String) in
      Event(name: name, ph: "M", pid: pid, tid: tid, args: [key: value])
    }
    return [
      metadata("process_name", .text("\(track.stage + 1) \(track.stageName)"), "name"),
      metadata("process_sort_index", .count(track.stage), "sort_index"),
      metadata("thread_name", .text("\(track.workerName) on \(track.node)"), "name"),
    ]
  }

  private static func microseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1000 }

  private static func slices(_ span: TraceSpan, zero: UInt64) -> [Event] {
    let (pid, tid) = (span.stage + 1, span.worker + 1)
    let start = span.startNanoseconds - zero
    let computing = Event(
      name: span.requestCount == 0 ? "release" : "\(span.phase)", ph: "X", cat: "\(span.phase)",
      pid: pid, tid: tid, ts: microseconds(start), dur: microseconds(span.busyNanoseconds),
      args: [
        "micro-batch": .text(name(of: span.sequence)),
        "requests": .count(span.requestCount),
        "rows": .count(span.rowCount),
        "first request": .count(Int(clamping: span.firstRequest)),
        "waited ms": .milliseconds(Double(span.waitingNanoseconds) / 1e6),
      ])
    let queue = Event(
      name: "waiting micro-batches, worker \(span.worker)", ph: "C", pid: pid, tid: tid,
      ts: microseconds(start), args: ["count": .count(span.queueLength)])
    guard span.sendingNanoseconds > 0 else { return [computing, queue] }
    let sending = Event(
      name: "send", ph: "X", cat: "send", pid: pid, tid: tid,
      ts: microseconds(start + span.busyNanoseconds),
      dur: microseconds(span.sendingNanoseconds))
    return [computing, sending, queue]
  }

  /// What a micro-batch is called: `p7`, or `d7` for decode steps, whose numbers have the upper half.
  public static func name(of sequence: UInt64) -> String {
    sequence >> 63 == 0 ? "p\(sequence)" : "d\(sequence & ~(1 << 63))"
  }

  /// An arrow from each stage to the next that computed the same micro-batch.
  private static func flows(_ spans: [TraceSpan], zero: UInt64) -> [Event] {
    var events: [Event] = []
    for (sequence, hops) in Dictionary(grouping: spans, by: \.sequence).sorted(by: {
      $0.key < $1.key
    }) {
      let hops = hops.sorted { ($0.stage, $0.startNanoseconds) < ($1.stage, $1.startNanoseconds) }
      guard hops.count > 1 else { continue }
      for (index, hop) in hops.enumerated() {
        let isLast = index == hops.count - 1
        // Inside the slice, so that the arrow is bound to it.
        let time = hop.startNanoseconds - zero + hop.busyNanoseconds / 2
        events.append(
          Event(
            name: "micro-batch", ph: index == 0 ? "s" : isLast ? "f" : "t", cat: "flow",
            pid: hop.stage + 1, tid: hop.worker + 1, ts: microseconds(time),
            // Perfetto reads ids as hexadecimal numbers, and drops arrows with any other.
            id: String(sequence, radix: 16), bp: index == 0 ? nil : "e"))
      }
    }
    return events
  }
}
