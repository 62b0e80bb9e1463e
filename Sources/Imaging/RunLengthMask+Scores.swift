extension RunLengthMask {
  /// A mask from scores that cover a rectangle of the picture, such as a mask decoder's.
  ///
  /// As big_vision's evaluator of segmentation does it: the scores are resized to the rectangle with
  /// Pillow's `BILINEAR` in floating point, to the bit (when made smaller, its triangle widens), and
  /// what is above 0 is inside. Needs memory for some columns only, whatever the size.
  ///
  /// - Parameters:
  ///   - scores: `[scoreHeight, scoreWidth]`, row-major.
  ///   - scoreWidth: at least 1.
  ///   - scoreHeight: at least 1.
  ///   - left: the rectangle's first column; what lies outside the picture is cut off.
  ///   - top: the rectangle's first row.
  ///   - right: the first column behind it; a rectangle without pixels gives an empty mask.
  ///   - bottom: the first row below it.
  ///   - width: pixels across the picture.
  ///   - height: pixels down the picture.
  /// - Throws: `invalid_size` when the scores don't match their size, or a side of the rectangle is
  ///   longer than a picture's may be; `too_many_pixels`.
  public init(
    scores: [Float], scoreWidth: Int, scoreHeight: Int, left: Int, top: Int, right: Int,
    bottom: Int, width: Int, height: Int
  ) throws(ImagingError) {
    let sides = 0...ImageLimits.standard.sidePixelCount
    guard scoreWidth >= 1, scoreHeight >= 1, sides.contains(scoreWidth),
      sides.contains(scoreHeight), scores.count == scoreWidth * scoreHeight
    else {
      throw ImagingError(
        .invalidSize, "\(scores.count) scores are not \(scoreWidth) x \(scoreHeight)")
    }
    let edges = [left, top, right, bottom]
    guard edges.allSatisfy({ abs($0 / 2) <= sides.upperBound }),
      right - left <= sides.upperBound, bottom - top <= sides.upperBound
    else { throw ImagingError(.invalidSize, "a rectangle with the edges \(edges) is too large") }
    let across = BilinearTaps(from: scoreWidth, to: max(0, right - left))
    let down = BilinearTaps(from: scoreHeight, to: max(0, bottom - top))
    let columns = Self.inside(left, right, width)
    let rows = Self.inside(top, bottom, height)
    try self.init(columns: columns, rows: rows, width: width, height: height) { x in
      // One column of the horizontal pass, rounded to f32 as Pillow stores it.
      let column = (0..<scoreHeight).map { row in
        across.value(at: x - left) { scores[row * scoreWidth + $0] }
      }
      return rows.map { y in down.value(at: y - top) { column[$0] } > 0 }
    }
  }

  /// What of `start..<end` is within `0..<count`.
  private static func inside(_ start: Int, _ end: Int, _ count: Int) -> Range<Int> {
    let first = min(max(start, 0), count)
    return first..<max(first, min(end, count))
  }
}

/// Pillow's `BILINEAR` along one axis: for each new place, which old ones it is made of.
private struct BilinearTaps {
  private let starts: [Int]
  private let weights: [[Double]]

  init(from oldSize: Int, to newSize: Int) {
    let scale = Double(oldSize) / Double(max(newSize, 1))
    let support = max(scale, 1)
    var (starts, weights): ([Int], [[Double]]) = ([], [])
    for place in 0..<newSize {
      let centre = (Double(place) + 0.5) * scale
      let start = max(0, Int(centre - support + 0.5))
      let end = min(oldSize, Int(centre + support + 0.5))
      let inverse = 1 / support
      let taps = (start..<end).map { old in
        max(0, 1 - abs((Double(old) - centre + 0.5) * inverse))
      }
      let sum = taps.reduce(0, +)
      starts.append(start)
      weights.append(sum == 0 ? taps : taps.map { $0 / sum })
    }
    self.starts = starts
    self.weights = weights
  }

  func value(at place: Int, _ old: (Int) -> Float) -> Float {
    var sum = 0.0
    for (tap, weight) in weights[place].enumerated() {
      sum += Double(old(starts[place] + tap)) * weight
    }
    return Float(sum)
  }
}
