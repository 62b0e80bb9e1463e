import Foundation

/// Which frames of a source are looked at.
public enum SamplingRule: Sendable, Equatable, CustomStringConvertible {
  /// Every frame.
  case all
  /// The first frame, and each that comes `count` frames after the last one sampled.
  ///
  /// Where the size of the frames changes, the decoder counts anew: there the distance can be up to twice as long.
  case everyFrames(Int)
  /// The first frame, and the first at or after each multiple of the period on the source's own clock.
  ///
  /// Multiples, not distances from the frame before: it doesn't drift, and a resumed run samples the same frames.
  case every(MediaTime)
  /// Frames that are coded without reference to others.
  case keyFrames
  /// The first frame, and each that differs from the frame before it by at least this much, 0 to 1 (see `Thumbnail.difference`).
  case sceneChange(Double)
  /// Whatever is newest when the consumer asks; for live sources.
  case freshest

  /// The scene change that `scene` alone means: cuts, but no pans and no walkers.
  public static let sceneChangeDefault = 0.15

  /// Reads `all`, `10` (every 10th), `0.5s`, `250ms`, `2/s`, `keyframes`, `scene`, `scene:0.2`, `freshest`.
  ///
  /// - Throws: `invalid_option`.
  public init(_ text: String) throws(VideoError) {
    guard let rule = Self.rule(text.trimmingCharacters(in: .whitespaces).lowercased()) else {
      throw VideoError(
        .invalidOption, cause: "'\(text.prefix(40))' is no sampling rule",
        remedy:
          "write all, 10 (every 10th frame), 0.5s, 250ms, 2/s, keyframes, scene, scene:0.2 or freshest"
      )
    }
    self = rule
  }

  private static func rule(_ text: String) -> SamplingRule? {
    func period(_ number: Substring, perUnit unit: Double) -> SamplingRule? {
      guard let value = Double(number), value > 0, value.isFinite else { return nil }
      let period = MediaTime(seconds: value * unit)
      return VideoLimits.samplingPeriods.contains(period) ? .every(period) : nil
    }
    switch text {
    case "all": return .all
    case "keyframes", "key": return .keyFrames
    case "scene": return .sceneChange(sceneChangeDefault)
    case "freshest": return .freshest
    default: break
    }
    if text.hasPrefix("scene:") {
      return Double(text.dropFirst(6)).flatMap { (0...1).contains($0) ? .sceneChange($0) : nil }
    }
    if text.hasSuffix("/s") {
      guard let rate = Double(text.dropLast(2)), rate > 0 else { return nil }
      return period(Substring(String(1 / rate)), perUnit: 1)
    }
    if text.hasSuffix("ms") { return period(text.dropLast(2), perUnit: 1e-3) }
    if text.hasSuffix("s") { return period(text.dropLast(1), perUnit: 1) }
    guard let count = Int(text), (1...VideoLimits.samplingFrameCount).contains(count) else {
      return nil
    }
    return count == 1 ? .all : .everyFrames(count)
  }

  /// The rule as it is written.
  public var description: String {
    switch self {
    case .all: "all"
    case .everyFrames(let count): "\(count)"
    case .every(let period): "\(period)s"
    case .keyFrames: "keyframes"
    case .sceneChange(let difference): "scene:\(difference)"
    case .freshest: "freshest"
    }
  }
}
