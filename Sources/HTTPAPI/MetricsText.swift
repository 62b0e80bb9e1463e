/// The text that Prometheus reads (format 0.0.4), written family by family.
struct MetricsText {
  /// What was written so far.
  private(set) var text = ""

  /// Begins a family; its samples follow.
  mutating func family(_ name: String, _ type: String, _ help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
  }

  /// One sample.
  mutating func sample(_ name: String, _ labels: [(String, String)] = [], _ value: Double) {
    text += name
    if !labels.isEmpty {
      text += "{" + labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",") + "}"
    }
    text += " \(Self.number(value))\n"
  }

  /// A family with one sample.
  mutating func single(_ name: String, _ type: String, _ help: String, _ value: Double) {
    family(name, type, help)
    sample(name, [], value)
  }

  /// The samples of one histogram.
  mutating func histogram(
    _ name: String, _ labels: [(String, String)] = [], _ histogram: Histogram
  ) {
    var count: UInt64 = 0
    for (bound, here) in zip(Histogram.bounds, histogram.counts) {
      count += here
      sample(name + "_bucket", labels + [("le", Self.number(bound))], Double(count))
    }
    sample(name + "_bucket", labels + [("le", "+Inf")], Double(histogram.count))
    sample(name + "_sum", labels, histogram.sum)
    sample(name + "_count", labels, Double(histogram.count))
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return value.rounded() == value && abs(value) < 1e15 ? String(Int(value)) : String(value)
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}

/// How often something took how long.
struct Histogram: Sendable, Equatable {
  /// Upper borders in seconds: from a word of the demo model to a long answer of a 3B on old CPUs.
  static let bounds: [Double] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 150, 600,
  ]
  /// How many fell below each border and above the one before.
  private(set) var counts = [UInt64](repeating: 0, count: Histogram.bounds.count)
  /// How many there were.
  private(set) var count: UInt64 = 0
  /// Of all together, in seconds.
  private(set) var sum = 0.0

  /// Counts one.
  mutating func observe(_ seconds: Double) {
    count += 1
    sum += seconds
    if let index = Self.bounds.firstIndex(where: { seconds <= $0 }) { counts[index] += 1 }
  }
}
