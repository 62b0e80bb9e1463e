import Messaging
import Pipelining

/// One picture of a cluster in characters.
struct TopPicture {
  let status: Status
  let trace: Trace
  let tokens: Sparkline
  let endpoint: String
  let isColoured: Bool
  let size: (columns: Int, rows: Int)

  /// Its lines, none wider than the terminal.
  var lines: [String] {
    var lines = [bold("palisade") + " \(status.state) at \(endpoint)"]
    lines.append(fitted(StatusText.plain(status.message)))
    guard !status.stages.isEmpty else { return lines }
    lines += [""] + StatusText(status).service.map { fitted(String($0.dropFirst(2))) }
    let width = max(10, min(60, size.columns - 24))
    let peak = Readable.fixed(tokens.peak, places: 0)
    lines += ["", "tokens/s  \(tokens.text(width: width))  peak \(peak)"]
    lines += [""] + stages + [""] + timeline
    return lines
  }

  private var stages: [String] {
    var table = TextTable(
      ["stage", "blocks", "busy", "", "bubble", "queue", "RAM", "KV", "in/s", "out/s", "worker"],
      rightAligned: [3, 4, 5, 6, 7, 8, 9])
    for stage in status.stages {
      let gauges = stage.gauges
      table.add([
        StatusText.plain(stage.name), "\(stage.blocks.lowerBound)–\(stage.blocks.upperBound - 1)",
        Self.bar(stage.recentBusyShare, width: 12), StatusText.percent(stage.recentBusyShare),
        StatusText.percent(stage.bubbleShare), "\(gauges.queueLength + gauges.waitingTokens)",
        Readable.bytes(gauges.residentBytes), Readable.bytes(gauges.cacheBytes),
        StatusText.bytes(stage.receivedBytesPerSecond), StatusText.bytes(stage.sentBytesPerSecond),
        StatusText.plain("\(stage.worker) on \(stage.node)"),
      ])
    }
    let rows = table.text.split(separator: "\n").map { fitted(String($0)) }
    return rows.enumerated().map { index, row in
      if index == 0 { return dim(row) }
      return status.stages[index - 1].name == status.bottleneck ? yellow(row) : row
    } + StatusText(status).bottleneck.map { String($0.dropFirst(2)) }
  }

  /// The last second of each worker: filled where it computed, dots where it did nothing.
  private var timeline: [String] {
    let names = trace.tracks.map { StatusText.plain("\($0.stageName) \($0.workerName)") }
    let label = min(24, names.map(\.count).max() ?? 0)
    let width = max(10, size.columns - label - 2)
    // Spans come with heartbeats: of the last half second not all workers have told theirs.
    let told = trace.nowNanoseconds - min(trace.nowNanoseconds, 600_000_000)
    let end = min(told, trace.spans.map { $0.startNanoseconds + $0.busyNanoseconds }.max() ?? 0)
    guard end > 0 else { return [dim("no micro-batches yet")] }
    let rows = zip(trace.tracks, names).map { track, name in
      let cells = Self.cells(
        trace.spans.filter { $0.worker == track.worker }, until: end, width: width)
      let padding = String(repeating: " ", count: max(0, label - name.count))
      return "\(name.prefix(label))\(padding)  \(cells)"
    }
    return [dim("the last second that had work: █ prefill  ▒ decode  · nothing")] + rows
  }

  /// Which of `width` slices of the second before `end` were filled, and with what.
  static func cells(_ spans: [TraceSpan], until end: UInt64, width: Int) -> String {
    let window: UInt64 = 1_000_000_000
    let start = end - min(end, window)
    let slice = Double(window) / Double(width)
    var busy = [(prefill: Double, decode: Double)](repeating: (0, 0), count: width)
    for span in spans where span.startNanoseconds + span.busyNanoseconds > start {
      let from = Double(max(span.startNanoseconds, start) - start)
      let to = Double(span.startNanoseconds + span.busyNanoseconds - start)
      for cell in Int(from / slice)...max(Int(from / slice), min(width - 1, Int(to / slice)))
      where cell < width {
        let part = min(to, Double(cell + 1) * slice) - max(from, Double(cell) * slice)
        if span.phase == .prefill { busy[cell].prefill += part } else { busy[cell].decode += part }
      }
    }
    return busy.map { prefill, decode in
      // Less than a twelfth of a character is nothing to see.
      if prefill + decode < slice / 12 { return "·" }
      return prefill >= decode ? "█" : "▒"
    }.joined()
  }

  /// A bar of eighths.
  static func bar(_ share: Double, width: Int) -> String {
    let eighths = Int((min(1, max(0, share)) * Double(width * 8)).rounded())
    let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
    let text = String(repeating: "█", count: eighths / 8) + partial
    return text + String(repeating: "░", count: width - text.count)
  }

  private func fitted(_ line: String) -> String { String(line.prefix(size.columns)) }
  private func bold(_ text: String) -> String { styled(text, "1") }
  private func dim(_ text: String) -> String { styled(text, "2") }
  private func yellow(_ text: String) -> String { styled(text, "33") }
  private func styled(_ text: String, _ style: String) -> String {
    isColoured ? "\u{1b}[\(style)m\(text)\u{1b}[0m" : text
  }
}

/// The last values of something, as a line of little bars.
struct Sparkline {
  private var values: [Double] = []
  private static let countMaximum = 512

  mutating func add(_ value: Double) {
    values.append(max(0, value))
    values.removeFirst(max(0, values.count - Self.countMaximum))
  }

  /// The largest value there is.
  var peak: Double { values.max() ?? 0 }

  /// The newest `width` values, the last on the right.
  func text(width: Int) -> String {
    let levels = Array("▁▂▃▄▅▆▇█")
    let shown = values.suffix(width)
    let most = max(shown.max() ?? 0, 1e-9)
    let bars = shown.map { levels[min(7, Int($0 / most * 7.99))] }
    return String(repeating: " ", count: width - bars.count) + String(bars)
  }
}
