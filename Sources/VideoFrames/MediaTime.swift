/// A presentation timestamp, or a distance between two, in whole nanoseconds.
///
/// Containers count in ticks of a rational time base. Every time base of a second or less and a nanosecond or
/// more has its own nanosecond for each tick, so nothing is lost, order stays, and equality is exact.
public struct MediaTime: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// Nanoseconds since the source's own zero.
  public let nanoseconds: Int64

  /// The zero of a source's clock.
  public static let zero = MediaTime(nanoseconds: 0)

  /// A time of so many nanoseconds.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The nearest nanosecond to some seconds; what is beyond 292 years becomes 292 years, not-a-number 0.
  public init(seconds: Double) {
    guard !seconds.isNaN else { self = .zero; return }
    let scaled = (seconds * 1e9).rounded()
    let edge = 9.2e18
    nanoseconds = Int64(min(max(scaled, -edge), edge))
  }

  /// The nearest nanosecond to a tick of a time base; nil beyond 292 years.
  public init?(ticks: Int64, timeBase: TimeBase) {
    let product = Int128(ticks) * Int128(timeBase.numerator) * 1_000_000_000
    let denominator = Int128(timeBase.denominator)
    let half = product < 0 ? -denominator / 2 : denominator / 2
    guard let nanoseconds = Int64(exactly: (product + half) / denominator) else { return nil }
    self.nanoseconds = nanoseconds
  }

  /// Reads seconds as `description` writes them: `12`, `-0.5`, `3.000000001`; nil for anything else.
  public init?(_ text: String) {
    let isNegative = text.hasPrefix("-")
    let parts = text.dropFirst(isNegative ? 1 : 0).split(
      separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let digits = parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }
    guard digits, let whole = Int64(parts[0]) else { return nil }
    let fraction = parts.count == 2 ? String(parts[1].prefix(9)) : ""
    let padded = fraction + String(repeating: "0", count: 9 - fraction.count)
    let (scaled, isOver) = whole.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, isAbove) = scaled.addingReportingOverflow(Int64(padded) ?? 0)
    guard !isOver, !isAbove else { return nil }
    nanoseconds = isNegative ? -sum : sum
  }

  /// Seconds, to the precision of a double.
  public var seconds: Double { Double(nanoseconds) / 1e9 }

  /// The tick of a time base that is nearest to this time; the way back of `init(ticks:timeBase:)`.
  public func ticks(in timeBase: TimeBase) -> Int64 {
    let product = Int128(nanoseconds) * Int128(timeBase.denominator)
    let divisor = Int128(timeBase.numerator) * 1_000_000_000
    let half = product < 0 ? -divisor / 2 : divisor / 2
    return Int64(clamping: (product + half) / divisor)
  }

  /// Seconds as a decimal number without loss: `12`, `0.04`, `3.000000001`. Also a number in JSON.
  public var description: String {
    let size = nanoseconds.magnitude
    let sign = nanoseconds < 0 ? "-" : ""
    let fraction = String(size % 1_000_000_000)
    let padded = String(repeating: "0", count: 9 - fraction.count) + fraction
    let trimmed = padded.reversed().drop { $0 == "0" }.reversed()
    let whole = sign + String(size / 1_000_000_000)
    return trimmed.isEmpty ? whole : whole + "." + String(trimmed)
  }

  /// Earlier on the same clock.
  public static func < (left: MediaTime, right: MediaTime) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  /// The sum; stops at the ends of what can be said.
  public static func + (left: MediaTime, right: MediaTime) -> MediaTime {
    let (sum, isOver) = left.nanoseconds.addingReportingOverflow(right.nanoseconds)
    guard isOver else { return MediaTime(nanoseconds: sum) }
    return MediaTime(nanoseconds: right.nanoseconds < 0 ? .min : .max)
  }

  /// The difference; stops at the ends of what can be said.
  public static func - (left: MediaTime, right: MediaTime) -> MediaTime {
    let (difference, isOver) = left.nanoseconds.subtractingReportingOverflow(right.nanoseconds)
    guard isOver else { return MediaTime(nanoseconds: difference) }
    return MediaTime(nanoseconds: right.nanoseconds > 0 ? .min : .max)
  }
}

/// The length of a tick in seconds, as a fraction.
public struct TimeBase: Sendable, Hashable {
  /// At least 1.
  public let numerator: Int32
  /// At least 1.
  public let denominator: Int32

  /// A fraction; nil unless both are at least 1.
  public init?(_ numerator: Int32, _ denominator: Int32) {
    guard numerator >= 1, denominator >= 1 else { return nil }
    (self.numerator, self.denominator) = (numerator, denominator)
  }

  private init(microseconds: Int32) { (numerator, denominator) = (microseconds, 1_000_000) }

  /// A tick of a microsecond.
  public static let microsecond = TimeBase(microseconds: 1)
}
