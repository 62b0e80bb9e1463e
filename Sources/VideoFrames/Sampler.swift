/// Chooses frames by a rule, exactly and one after the other.
struct Sampler: Sendable {
  let rule: SamplingRule
  private var lastNumber: Int?
  private var lastCell: Int64?
  private var lastThumbnail: Thumbnail?

  /// A sampler that has chosen nothing, or, of an earlier run, this frame last.
  init(_ rule: SamplingRule, resumingAfter point: ResumePoint? = nil) {
    self.rule = rule
    guard let point else { return }
    lastNumber = point.frame
    if case .every(let period) = rule { lastCell = Self.cell(point.pts, period) }
  }

  /// True when a choice needs the picture, `isChosen(_:)`, besides.
  var needsPicture: Bool { if case .sceneChange = rule { true } else { false } }

  /// Whether the rule chooses a frame, as far as can be said without its picture; it counts as chosen then.
  mutating func isChosen(number: Int, pts: MediaTime, isKeyFrame: Bool) -> Bool {
    switch rule {
    case .all, .freshest, .sceneChange: return true
    case .keyFrames: return isKeyFrame
    case .everyFrames(let count):
      if let lastNumber, number - lastNumber < count { return false }
      lastNumber = number
    case .every(let period):
      let cell = Self.cell(pts, period)
      if lastCell == cell { return false }
      lastCell = cell
    }
    return true
  }

  /// Whether a scene begins with this picture; every picture must be shown.
  mutating func isChosen(_ thumbnail: Thumbnail?) -> Bool {
    guard case .sceneChange(let difference) = rule, let thumbnail else { return true }
    defer { lastThumbnail = thumbnail }
    return lastThumbnail.map { thumbnail.difference(from: $0) >= difference } ?? true
  }

  /// Which multiple of the period a time belongs to, rounded down.
  private static func cell(_ time: MediaTime, _ period: MediaTime) -> Int64 {
    let (quotient, rest) = time.nanoseconds.quotientAndRemainder(dividingBy: period.nanoseconds)
    return rest < 0 ? quotient - 1 : quotient
  }
}
