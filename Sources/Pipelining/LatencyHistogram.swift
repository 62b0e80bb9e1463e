import Foundation
import Messaging

/// How long things took: counts in buckets whose bounds grow by √2, from 1 ms to 12 minutes. A
/// percentile read from it is off by a fifth at most.
public struct LatencyHistogram: Sendable, Equatable {
  /// Upper bounds of the buckets in seconds; the last bucket has everything above, too.
  public static let upperBounds: [Double] = (0..<40).map { 0.001 * pow(2, Double($0) / 2) }
  /// How many fell into each bucket.
  public private(set) var counts = [UInt64](repeating: 0, count: upperBounds.count)
  /// Sum of all durations, in seconds.
  public private(set) var sumSeconds = 0.0

  /// An empty histogram.
  public init() {}

  /// How many durations it has.
  public var count: UInt64 { counts.reduce(0, +) }

  /// Adds one duration.
  public mutating func add(seconds: Double) {
    let bucket = Self.upperBounds.firstIndex { seconds <= $0 } ?? counts.count - 1
    counts[bucket] += 1
    sumSeconds += seconds
  }

  /// Adds all durations of another.
  mutating func add(_ other: LatencyHistogram) {
    for index in counts.indices { counts[index] += other.counts[index] }
    sumSeconds += other.sumSeconds
  }

  /// What a share of all durations stays below, in seconds; 0 when there are none.
  public func percentile(_ share: Double) -> Double {
    let wanted = share * Double(count)
    var below = 0.0
    for (bucket, number) in counts.enumerated() where number > 0 {
      if below + Double(number) >= wanted {
        let low = bucket == 0 ? 0 : Self.upperBounds[bucket - 1]
        let part = (wanted - below) / Double(number)
        return low + (Self.upperBounds[bucket] - low) * max(0, min(1, part))
      }
      below += Double(number)
    }
    return 0
  }

  /// The usual percentiles.
  public var latency: Latency {
    Latency(
      count: count, p50Milliseconds: percentile(0.5) * 1000,
      p95Milliseconds: percentile(0.95) * 1000, p99Milliseconds: percentile(0.99) * 1000)
  }
}
