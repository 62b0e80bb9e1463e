import Messaging

extension Telemetry {
  /// What the lock guards. Times are nanoseconds of `Clock`.
  struct State {
    private struct Open {
      let since: UInt64
      let images: Int
    }
    private let start: UInt64
    private var open: [UInt64: Open] = [:]
    private var activeSince: UInt64?
    private var active = RecentCounter()
    private var succeeded = RecentCounter()
    private var images = RecentCounter()
    private var tokens = RecentCounter()
    private var inFlight = 0
    private var epoch: UInt64 = 0
    private(set) var totals = ServiceTotals()
    private(set) var history = History()
    private(set) var base = Status(state: "starting")
    var model: ModelIdentity?
    var pictureSide: Int?
    var measures: [Int: WorkerMeasure] = [:]
    var spans = Ring<TraceSpan>(capacity: MessageLimits.traceSpanCount)

    init(now: UInt64) { start = now }

    func second(at now: UInt64) -> Int { Int((now - min(now, start)) / 1_000_000_000) }

    // MARK: Requests

    mutating func began(_ id: UInt64, images: Int, at now: UInt64) {
      if open.isEmpty {
        activeSince = now
        active.add(0, from: now, to: now)
      }
      open[id] = Open(since: now, images: images)
      noteQueues(at: now)
    }

    mutating func received(_ batch: TokenBatch, at now: UInt64) {
      // Probes and requests given up are nobody's tokens.
      let results = batch.results.filter { $0.finish != .failed && open[$0.request] != nil }
      guard !results.isEmpty else { return }
      totals.tokens += UInt64(results.count)
      tokens.add(Double(results.count), from: now, to: now)
      let first = results.filter { $0.index == 0 }.compactMap { open[$0.request]?.since }
        .map { Self.seconds(from: $0, to: now) }
      for seconds in first { totals.firstToken.add(seconds: seconds) }
      history.change(second(at: now)) { point in
        point.tokens += results.count
        for seconds in first { point.firstToken.add(seconds: seconds) }
      }
    }

    mutating func ended(_ id: UInt64, _ result: Result<Completion, Failure>, at now: UInt64) {
      guard let request = open.removeValue(forKey: id) else { return }
      if open.isEmpty, let since = activeSince {
        active.add(Double(now - min(now, since)), from: since, to: now)
        activeSince = nil
      }
      switch result {
      case .success:
        let seconds = Self.seconds(from: request.since, to: now)
        totals.succeeded += 1
        totals.images += UInt64(request.images)
        totals.answer.add(seconds: seconds)
        succeeded.add(1, from: now, to: now)
        images.add(Double(request.images), from: now, to: now)
        history.change(second(at: now)) { point in
          point.succeeded += 1
          point.images += request.images
          point.answer.add(seconds: seconds)
        }
      case .failure(let failure):
        totals.failed(failure.code)
        history.change(second(at: now)) { $0.failed += 1 }
      }
    }

    private mutating func noteQueues(at now: UInt64) {
      let (waiting, inFlight) = (open.count - min(open.count, inFlight), inFlight)
      history.change(second(at: now)) { point in
        point.waiting = max(point.waiting, waiting)
        point.inFlight = max(point.inFlight, inFlight)
      }
    }

    private static func seconds(from start: UInt64, to end: UInt64) -> Double {
      Double(end - min(end, start)) / 1e9
    }

    // MARK: Workers

    mutating func publish(_ base: Status, epoch: UInt64, inFlight: Int, at now: UInt64) {
      if epoch != self.epoch { spans.removeAll() }  // numbers begin anew with every plan
      (self.base, self.epoch, self.inFlight) = (base, epoch, min(inFlight, open.count))
      if measures.count > base.stages.count {
        let present = Set(base.stages.map(\.workerIndex))
        measures = measures.filter { present.contains($0.key) }
      }
      if let since = activeSince {
        active.add(Double(now - min(now, since)), from: since, to: now)
        activeSince = now
      }
      if !open.isEmpty { noteQueues(at: now) }
    }

    mutating func heard(_ heartbeat: Heartbeat, from worker: Int, at now: UInt64) {
      guard heartbeat.epoch == epoch,
        let stage = base.stages.first(where: { $0.workerIndex == worker })?.stage
      else { return }
      measures[worker, default: WorkerMeasure(at: now)].take(heartbeat, at: now)
      // A worker's clock may be off, but not so far.
      for var span in heartbeat.spans where span.startNanoseconds < now + 60_000_000_000 {
        (span.stage, span.worker) = (stage, worker)
        spans.append(span)
      }
    }

    // MARK: Reading

    func status(at now: UInt64) -> Status {
      var status = base
      status.model = model
      status.pictureSide = pictureSide
      var active = active
      if let since = activeSince {
        active.add(Double(now - min(now, since)), from: since, to: now)
      }
      let activeShare = min(1, active.rate(at: now) / 1e9)
      for index in status.stages.indices {
        measures[status.stages[index].workerIndex]?.fill(
          &status.stages[index], activeShare: activeShare, at: now)
      }
      status.service = service(at: now)
      status.bottleneck = Self.bottleneck(status.stages)
      return status
    }

    private func service(at now: UInt64) -> ServiceStatus {
      var service = ServiceStatus()
      service.uptimeMilliseconds = Int((now - min(now, start)) / 1_000_000)
      service.inFlight = min(inFlight, open.count)
      service.waiting = open.count - service.inFlight
      service.succeeded = totals.succeeded
      service.failed = totals.failures.values.reduce(0, +)
      service.images = totals.images
      service.tokens = totals.tokens
      service.requestsPerSecond = succeeded.rate(at: now)
      service.imagesPerSecond = images.rate(at: now)
      service.tokensPerSecond = tokens.rate(at: now)
      var (firstToken, answer) = (LatencyHistogram(), LatencyHistogram())
      for point in history.known(60, until: second(at: now)) {
        firstToken.add(point.firstToken)
        answer.add(point.answer)
      }
      (service.firstToken, service.answer) = (firstToken.latency, answer.latency)
      return service
    }

    /// The busiest stage of the last seconds, the mean of its replicas; empty when all were idle.
    static func bottleneck(_ rows: [StageStatus]) -> String {
      var shares: [Int: [Double]] = [:]
      for row in rows { shares[row.stage, default: []].append(row.recentBusyShare) }
      let means = shares.mapValues { $0.reduce(0, +) / Double($0.count) }
      guard let (stage, share) = means.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }),
        share >= 0.01
      else { return "" }
      return rows.first { $0.stage == stage }?.name ?? ""
    }
  }
}
