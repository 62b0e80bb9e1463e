import Messaging
import Pipelining

/// `GET /v1/cluster`: the status, and what the model is called.
struct ClusterDocument: Encodable {
  let model: String
  let status: StatusDocument

  private enum Key: String, CodingKey { case model }

  func encode(to encoder: any Encoder) throws {
    try status.encode(to: encoder)
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(model, forKey: .model)
  }
}

/// `GET /v1/cluster/history`: a column per figure, a value per second, the present one last.
struct HistoryDocument: Codable, Equatable {
  /// Whole seconds since the engine started.
  var second: [Int]
  var succeeded: [Int]
  var failed: [Int]
  var images: [Int]
  var tokens: [Int]
  var waiting: [Int]
  var inFlight: [Int]
  /// Milliseconds; null in seconds without an answer.
  var answerP50: [Double?]
  var answerP95: [Double?]
  var firstTokenP50: [Double?]
  var firstTokenP95: [Double?]

  init(_ points: [HistoryPoint]) {
    second = points.map(\.second)
    succeeded = points.map(\.succeeded)
    failed = points.map(\.failed)
    images = points.map(\.images)
    tokens = points.map(\.tokens)
    waiting = points.map(\.waiting)
    inFlight = points.map(\.inFlight)
    func percentiles(
      _ histogram: (HistoryPoint) -> LatencyHistogram, _ share: Double
    ) -> [Double?] {
      points.map(histogram).map {
        $0.count == 0 ? nil : ($0.percentile(share) * 100_000).rounded() / 100
      }
    }
    answerP50 = percentiles(\.answer, 0.5)
    answerP95 = percentiles(\.answer, 0.95)
    firstTokenP50 = percentiles(\.firstToken, 0.5)
    firstTokenP95 = percentiles(\.firstToken, 0.95)
  }
}

/// `GET /v1/cluster/trace`: spans as rows of numbers, since there are hundreds a second.
struct TraceDocument: Encodable {
  struct Track: Codable, Equatable {
    let stage: Int
    let stageName: String
    let worker: Int
    let workerName: String
    let node: String
  }
  /// `[worker, phase, start, wait, busy, send, requests, rows, queue, name]`, times in milliseconds;
  /// names as in the trace file, because JSON's numbers have 53 bits.
  struct Row: Encodable {
    let span: TraceSpan

    func encode(to encoder: any Encoder) throws {
      var row = encoder.unkeyedContainer()
      try row.encode(span.worker)
      try row.encode(span.phase == .prefill ? "prefill" : "decode")
      try row.encode(TraceDocument.milliseconds(span.startNanoseconds))
      try row.encode(TraceDocument.milliseconds(span.waitingNanoseconds))
      try row.encode(TraceDocument.milliseconds(span.busyNanoseconds))
      try row.encode(TraceDocument.milliseconds(span.sendingNanoseconds))
      try row.encode(span.requestCount)
      try row.encode(span.rowCount)
      try row.encode(span.queueLength)
      try row.encode(ChromeTrace.name(of: span.sequence))
    }
  }
  /// The coordinator's clock.
  let nowMilliseconds: Double
  /// For the next look's `after`.
  let cursor: UInt64
  let tracks: [Track]
  let spans: [Row]

  init(_ trace: Trace, cursor: UInt64) {
    nowMilliseconds = Self.milliseconds(trace.nowNanoseconds)
    self.cursor = cursor
    tracks = trace.tracks.map {
      Track(
        stage: $0.stage, stageName: $0.stageName, worker: $0.worker, workerName: $0.workerName,
        node: $0.node)
    }
    spans = trace.spans.map(Row.init)
  }

  /// To a microsecond.
  fileprivate static func milliseconds(_ nanoseconds: UInt64) -> Double {
    Double(nanoseconds / 1000) / 1000
  }
}
