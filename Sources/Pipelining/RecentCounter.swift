/// A total that grows, and how fast it grew in the last seconds.
struct RecentCounter {
  private struct Sample {
    let time: UInt64
    let total: Double
  }
  /// The total so far.
  private(set) var total = 0.0
  private var samples: [Sample] = []

  /// How far back "recent" reaches: ten heartbeats.
  static let windowNanoseconds: UInt64 = 5_000_000_000
  private static let spacingNanoseconds: UInt64 = 250_000_000
  /// A total that nobody has reported for so long has not grown.
  private static let freshNanoseconds: UInt64 = 1_000_000_000

  /// Sets the total as reported at `time`; between two reports it grew evenly.
  mutating func set(_ total: Double, at time: UInt64) {
    self.total = total
    let last = samples.count - 1
    if last >= 1, time < samples[last - 1].time + Self.spacingNanoseconds {
      samples[last] = Sample(time: max(time, samples[last].time), total: total)
      return
    }
    samples.append(Sample(time: max(time, samples.last?.time ?? 0), total: total))
    // One sample before the window is the window's beginning; those before it are of no use.
    let start = time - min(time, Self.windowNanoseconds)
    while samples.count > 2, samples[1].time <= start { samples.removeFirst() }
  }

  /// Lets the total grow by `more` between two times; before the first it did not.
  mutating func add(_ more: Double, from start: UInt64, to end: UInt64) {
    if let last = samples.last, start > last.time + Self.spacingNanoseconds {
      set(total, at: start)
    } else if samples.isEmpty {
      set(total, at: start)
    }
    set(total + more, at: end)
  }

  /// Growth a second over the window that ends now.
  func rate(at now: UInt64) -> Double {
    guard let first = samples.first, let last = samples.last else { return 0 }
    let end = now > last.time + Self.freshNanoseconds ? now : last.time
    let start = max(end - min(end, Self.windowNanoseconds), first.time)
    guard end > start else { return 0 }
    return max(0, last.total - total(at: start)) / (Double(end - start) / 1e9)
  }

  private func total(at time: UInt64) -> Double {
    guard let after = samples.firstIndex(where: { $0.time >= time }) else { return total }
    guard after > 0, samples[after].time > samples[after - 1].time else {
      return samples[after].total
    }
    let (low, high) = (samples[after - 1], samples[after])
    let share = Double(time - low.time) / Double(high.time - low.time)
    return low.total + (high.total - low.total) * share
  }
}
