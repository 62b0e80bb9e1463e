import Imaging

/// When a frame counts as a repeat of one before it.
public struct DuplicateRule: Sendable, Equatable {
  /// Frames that differ by less, 0 to 1 (see `Thumbnail.difference`), are repeats.
  public var difference: Double

  /// What compression and a camera's noise change in a scene where nothing moves stays below 0.01.
  public static let standard = DuplicateRule(difference: 0.01)

  /// A rule with a threshold of your own.
  public init(difference: Double) { self.difference = difference }
}

/// A picture as 32 x 32 cells of brightness, to compare it with others.
public struct Thumbnail: Sendable, Equatable {
  static let side = 32
  /// `[32, 32]` luma (ITU-R BT.601), 0 to 255.
  let luma: [UInt8]

  /// The picture, squeezed; nil when there is no memory for it.
  public init?(_ picture: Picture) {
    let side = Self.side
    guard let small = try? picture.resized(toWidth: side, height: side) else { return nil }
    luma = small.rgb.withUnsafeBufferPointer { rgb in
      (0..<(side * side)).map { cell in
        let at = 3 * cell
        let sum = 299 * Int(rgb[at]) + 587 * Int(rgb[at + 1]) + 114 * Int(rgb[at + 2])
        return UInt8(sum / 1000)
      }
    }
  }

  /// How different two pictures look: 0 (alike) to 1 (black against white).
  ///
  /// The mean difference of all cells, or an eighth of the largest difference of a single cell, whichever is more: something
  /// small that appears must count too, though it changes few cells.
  public func difference(from other: Thumbnail) -> Double {
    var (sum, largest) = (0, 0)
    for (left, right) in zip(luma, other.luma) {
      let difference = abs(Int(left) - Int(right))
      sum += difference
      largest = max(largest, difference)
    }
    return max(Double(sum) / Double(255 * luma.count), Double(largest) / (8 * 255))
  }
}

/// Finds frames that repeat an earlier one.
///
/// Each frame is compared with the last one that was no repeat, not with the frame just before: a slow change adds up.
public struct DuplicateFinder: Sendable {
  private let rule: DuplicateRule
  private var reference: (number: Int, thumbnail: Thumbnail)?

  /// A finder that has seen nothing yet.
  public init(_ rule: DuplicateRule) { self.rule = rule }

  /// The number of the frame that this one repeats; nil when it is new, and now the reference.
  public mutating func repeated(by frame: VideoFrame) -> Int? {
    guard let thumbnail = Thumbnail(frame.picture) else { return nil }
    if let reference, thumbnail.difference(from: reference.thumbnail) < rule.difference {
      return reference.number
    }
    reference = (frame.number, thumbnail)
    return nil
  }
}
