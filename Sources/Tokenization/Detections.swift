/// One object that the model found.
public struct DetectedBox: Equatable, Sendable {
  /// What the model calls it, without surrounding spaces; any characters, or none.
  public let label: String
  /// The borders y1, x1, y2, x2 as the model wrote them, in 1/1024 of the picture: four of 0…1023.
  public let yxyx: [Int]
  /// The mask's 16 code words of 0…127, for the mask decoder; nil when the answer has none.
  public let segments: [Int]?
  /// Whether an earlier box of this answer has the same borders and label.
  public let isRepeat: Bool

  /// The borders in pixels of the original picture, ordered and within it.
  ///
  /// value / 1024 × size, as big_vision does it.
  public func xyxy(width: Int, height: Int) -> PixelBox {
    func pixels(_ index: Int, _ size: Int) -> Double {
      let size = Double(max(0, size))
      let bin = yxyx.indices.contains(index) ? Double(yxyx[index]) : 0
      return min(max(bin / 1024 * size, 0), size)
    }
    let (y1, x1) = (pixels(0, height), pixels(1, width))
    let (y2, x2) = (pixels(2, height), pixels(3, width))
    return PixelBox(x1: min(x1, x2), y1: min(y1, y2), x2: max(x1, x2), y2: max(y1, y2))
  }
}

/// A rectangle in pixels, from the picture's top left; x1 ≤ x2 and y1 ≤ y2.
public struct PixelBox: Equatable, Sendable {
  /// Left border.
  public let x1: Double
  /// Upper border.
  public let y1: Double
  /// Right border.
  public let x2: Double
  /// Lower border.
  public let y2: Double

  /// Whether it covers no area.
  public var isEmpty: Bool { x1 == x2 || y1 == y2 }
}

/// A part of an answer that does not follow the form of a detection, reported and not guessed at.
public struct MalformedPart: Equatable, Sendable {
  /// What is wrong with it.
  public enum Reason: Equatable, Sendable {
    /// A run of so many `<loc>` tokens; a box has four.
    case locationCount(Int)
    /// A run of so many `<seg>` tokens after a box; a mask has sixteen. The box itself is kept.
    case segmentCount(Int)
    /// `<seg>` tokens without a box in front.
    case segmentsWithoutBox
    /// Text that belongs to no box.
    case textWithoutBox

    /// The kind of reason, for programs.
    public var word: String {
      switch self {
      case .locationCount: "location_count"
      case .segmentCount: "segment_count"
      case .segmentsWithoutBox: "segments_without_box"
      case .textWithoutBox: "text_without_box"
      }
    }
  }

  /// What is wrong with it.
  public let reason: Reason
  /// The part as the model wrote it, spaces between its tokens left out.
  public let text: String
}

/// All that one answer holds, in the order of the answer.
public struct Detections: Equatable, Sendable {
  /// The well-formed boxes.
  public var boxes: [DetectedBox] = []
  /// Everything else.
  public var malformed: [MalformedPart] = []

  /// No boxes.
  public init() {}
}
