import Messaging

/// How long a worker's micro-batches take, and whether it has become slow: from the spans and the
/// state its heartbeats bring.
struct WorkerPace {
  /// The cost of one unit: a row in prefill, a micro-batch in decode.
  private struct Cost {
    var usual = 0.0
    var count = 0
    var factor = 1.0

    mutating func take(_ cost: Double, slowFactor: Double) {
      guard cost > 0 else { return }
      count += 1
      factor = usual > 0 ? cost / usual : 1
      // What is slow teaches nothing about what is usual.
      guard count <= Self.learning || factor < slowFactor / 2 else { return }
      let weight = 1 / Double(min(count, Self.learning))
      usual += (cost - usual) * weight
    }

    var isKnown: Bool { count > Self.learning }
    private static let learning = 8
  }

  private var prefill = Cost()
  private var decode = Cost()
  private var largestNanoseconds: UInt64 = 0
  /// Heartbeats in a row that showed it slow.
  private(set) var slowCount = 0
  /// How many times longer than usual it takes now.
  private(set) var factor = 1.0

  /// Takes what a heartbeat brings.
  mutating func take(_ heartbeat: Heartbeat, limits: Limits) {
    let slow = limits.slowFactor
    var (rows, rowTime, steps, stepTime) = (0, UInt64(0), 0, UInt64(0))
    for span in heartbeat.spans {
      switch span.phase {
      case .prefill: (rows, rowTime) = (rows + span.rowCount, rowTime + span.busyNanoseconds)
      case .decode: (steps, stepTime) = (steps + 1, stepTime + span.busyNanoseconds)
      }
      largestNanoseconds = max(largestNanoseconds, span.busyNanoseconds)
    }
    guard rows + steps > 0 else { return }
    var factors: [Double] = []
    if rows > 0 {
      prefill.take(Double(rowTime) / Double(rows), slowFactor: slow)
      if prefill.isKnown { factors.append(prefill.factor) }
    }
    if steps > 0 {
      decode.take(Double(stepTime) / Double(steps), slowFactor: slow)
      if decode.isKnown { factors.append(decode.factor) }
    }
    factor = factors.max() ?? 1
    slowCount = factor >= slow ? slowCount + 1 : 0
  }

  /// How long one micro-batch may take: ten times the costliest so far, and never less than a floor
  /// that a busy machine needs; while nothing is known, as long as the first token may.
  func deadlineMilliseconds(_ limits: Limits) -> Int {
    guard largestNanoseconds > 0 else { return limits.probeMilliseconds }
    let costliest = Double(largestNanoseconds) / 1e6
    return max(limits.microBatchMilliseconds, Int(costliest * limits.slowFactor))
  }
}
