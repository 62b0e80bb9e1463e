/// Which pixels of a picture belong to a thing, as COCO writes it: the lengths of runs.
///
/// Runs go down the columns, column after column from the left; the first is of pixels outside the
/// mask (and may be empty), and they take turns. Equal masks are equal values.
public struct RunLengthMask: Sendable, Hashable {
  /// Pixels from left to right; at least 1.
  public let width: Int
  /// Pixels from top to bottom; at least 1.
  public let height: Int
  /// Lengths of runs, outside and inside by turns; only the first may be 0, and their sum is
  /// `width * height`.
  public let counts: [Int]

  /// A mask from run lengths in the order described above.
  ///
  /// - Parameters:
  ///   - counts: lengths of runs; empty ones are allowed anywhere, and left out.
  ///   - width: pixels across.
  ///   - height: pixels down.
  ///   - limits: what such a mask may cost; only the sizes matter.
  /// - Throws: `invalid_size` and `too_many_pixels` for the size, `invalid_mask` unless the lengths
  ///   are not negative and add up to it.
  public init(
    counts: [Int],
    width: Int,
    height: Int,
    limits: ImageLimits = .standard
  ) throws(ImagingError) {
    try limits.check(width: width, height: height)
    var runs = RunList()
    var rest = width * height
    for (index, count) in counts.enumerated() {
      guard count >= 0, count <= rest else {
        throw ImagingError(
          .invalidMask, "run \(index) has \(count) pixels where \(rest) of the picture are left")
      }
      rest -= count
      runs.append(count, isInside: index % 2 == 1)
    }
    guard rest == 0 else {
      throw ImagingError(.invalidMask, "the runs leave out \(rest) pixels of \(width) x \(height)")
    }
    self.init(runs, width: width, height: height)
  }

  /// A mask from a bitmap.
  ///
  /// - Parameters:
  ///   - bitmap: `[height, width]`, row-major; anything but 0 is inside.
  ///   - width: pixels across.
  ///   - height: pixels down.
  /// - Throws: `invalid_size`, `too_many_pixels`.
  public init(bitmap: [UInt8], width: Int, height: Int) throws(ImagingError) {
    try self.init(
      patch: bitmap.map { $0 != 0 }, patchWidth: width, patchHeight: height, left: 0, top: 0,
      width: width, height: height)
  }

  /// A mask from a bitmap.
  ///
  /// - Parameters:
  ///   - bitmap: `[height, width]`, row-major; true is inside.
  ///   - width: pixels across.
  ///   - height: pixels down.
  /// - Throws: `invalid_size`, `too_many_pixels`.
  public init(bitmap: [Bool], width: Int, height: Int) throws(ImagingError) {
    try self.init(
      patch: bitmap, patchWidth: width, patchHeight: height, left: 0, top: 0, width: width,
      height: height)
  }

  /// A mask that is given in a rectangle of the picture, and empty around it.
  ///
  /// - Parameters:
  ///   - patch: `[patchHeight, patchWidth]`, row-major; true is inside.
  ///   - patchWidth: pixels across the rectangle; may be 0.
  ///   - patchHeight: pixels down the rectangle; may be 0.
  ///   - left: the rectangle's first column.
  ///   - top: the rectangle's first row.
  ///   - width: pixels across the picture.
  ///   - height: pixels down the picture.
  /// - Throws: `invalid_size` when the bits don't match their size, or the rectangle reaches out of
  ///   the picture, `too_many_pixels`.
  public init(
    patch: [Bool], patchWidth: Int, patchHeight: Int, left: Int, top: Int, width: Int, height: Int
  ) throws(ImagingError) {
    try ImageLimits.standard.check(width: width, height: height)
    guard patchWidth >= 0, patchHeight >= 0, left >= 0, top >= 0, left <= width, top <= height,
      patchWidth <= width - left, patchHeight <= height - top
    else {
      throw ImagingError(
        .invalidSize,
        "a patch of \(patchWidth) x \(patchHeight) at (\(left), \(top)) is not within "
          + "\(width) x \(height) pixels")
    }
    guard patch.count == patchWidth * patchHeight else {
      throw ImagingError(
        .invalidSize, "\(patch.count) bits are not \(patchWidth) x \(patchHeight) pixels")
    }
    try self.init(
      columns: left..<(left + patchWidth), rows: top..<(top + patchHeight), width: width,
      height: height
    ) { x in
      (0..<patchHeight).map { patch[$0 * patchWidth + x - left] }
    }
  }

  /// A mask that is given column by column in a rectangle within the picture.
  init(
    columns: Range<Int>, rows: Range<Int>, width: Int, height: Int, column: (Int) -> [Bool]
  ) throws(ImagingError) {
    try ImageLimits.standard.check(width: width, height: height)
    var runs = RunList()
    runs.append(columns.lowerBound * height, isInside: false)
    for x in columns {
      runs.append(rows.lowerBound, isInside: false)
      for isInside in column(x) { runs.append(1, isInside: isInside) }
      runs.append(height - rows.upperBound, isInside: false)
    }
    runs.append((width - columns.upperBound) * height, isInside: false)
    self.init(runs, width: width, height: height)
  }

  private init(_ runs: RunList, width: Int, height: Int) {
    self.width = width
    self.height = height
    counts = runs.counts
  }

  /// Pixels inside.
  public var area: Int { insideRuns.reduce(0) { $0 + $1.count } }

  /// The mask as a bitmap: `[height, width]`, row-major, 1 inside and 0 outside.
  public var bitmap: [UInt8] {
    var bits = [UInt8](repeating: 0, count: width * height)
    for run in insideRuns {
      for position in run { bits[position % height * width + position / height] = 1 }
    }
    return bits
  }

  /// Pixels inside both masks; 0 for masks of different sizes.
  public func intersection(with other: RunLengthMask) -> Int {
    guard width == other.width, height == other.height else { return 0 }
    let (ours, theirs) = (insideRuns, other.insideRuns)
    var (i, j, shared) = (0, 0, 0)
    while i < ours.count, j < theirs.count {
      let start = max(ours[i].lowerBound, theirs[j].lowerBound)
      let end = min(ours[i].upperBound, theirs[j].upperBound)
      shared += max(0, end - start)
      if ours[i].upperBound < theirs[j].upperBound { i += 1 } else { j += 1 }
    }
    return shared
  }

  /// Shared pixels over pixels of either, 0 to 1; 0 for two empty masks and for different sizes.
  public func intersectionOverUnion(with other: RunLengthMask) -> Double {
    let shared = intersection(with: other)
    let union = area + other.area - shared
    return union > 0 ? Double(shared) / Double(union) : 0
  }

  /// Positions inside, counted down the columns from the top left, in order.
  var insideRuns: [Range<Int>] {
    var runs: [Range<Int>] = []
    var position = 0
    for (index, count) in counts.enumerated() {
      if index % 2 == 1 { runs.append(position..<(position + count)) }
      position += count
    }
    return runs
  }
}

/// Builds the shortest list of runs.
private struct RunList {
  private(set) var counts = [0]

  mutating func append(_ count: Int, isInside: Bool) {
    guard count > 0 else { return }
    if (counts.count % 2 == 0) == isInside {
      counts[counts.count - 1] += count
    } else {
      counts.append(count)
    }
  }
}
