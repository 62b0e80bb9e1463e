/// COCO's compressed form of the run lengths, as `pycocotools` reads and writes it.
///
/// From the fourth on, a run is given as its difference from the one two before. A number is written in
/// groups of five bits, lowest first, each a character from `0` (48) on: 16 is the sign in the last
/// group, 32 says that another follows.
extension RunLengthMask {
  /// Seven groups hold 35 bits: a run of any allowed picture has at most 27, its difference 28.
  private static let groupCountMaximum = 7

  /// The run lengths as COCO's `counts` string; bit-equal to `pycocotools.mask.encode`.
  public var cocoString: String {
    var bytes: [UInt8] = []
    for (index, count) in counts.enumerated() {
      var rest = index > 2 ? count - counts[index - 2] : count
      while true {
        var group = UInt8(rest & 0x1f)
        rest >>= 5
        let isLast = group & 0x10 != 0 ? rest == -1 : rest == 0
        if !isLast { group |= 0x20 }
        bytes.append(group + 48)
        if isLast { break }
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// A mask from COCO's `counts` string and `size`.
  ///
  /// - Parameters:
  ///   - cocoString: the compressed run lengths.
  ///   - width: pixels across: the second of `size`.
  ///   - height: pixels down: the first of `size`.
  ///   - limits: what such a mask may cost; only the sizes matter.
  /// - Throws: `invalid_size` and `too_many_pixels` for the size, `invalid_mask` for a string that
  ///   isn't such a mask.
  public init(
    cocoString: String,
    width: Int,
    height: Int,
    limits: ImageLimits = .standard
  ) throws(ImagingError) {
    try limits.check(width: width, height: height)
    var counts: [Int] = []
    var (value, groupCount) = (0, 0)
    for byte in cocoString.utf8 {
      guard (48..<112).contains(byte), groupCount < Self.groupCountMaximum else {
        throw ImagingError(
          .invalidMask, "run \(counts.count) of the mask's string is not one of COCO's numbers")
      }
      let group = Int(byte - 48)
      value |= (group & 0x1f) << (5 * groupCount)
      groupCount += 1
      if group & 0x20 != 0 { continue }
      if group & 0x10 != 0 { value |= -1 << (5 * groupCount) }
      if counts.count > 2 { value += counts[counts.count - 2] }
      // Checked at once, so that no sum of differences can overflow.
      guard (0...(width * height)).contains(value) else {
        throw ImagingError(
          .invalidMask,
          "run \(counts.count) of the mask's string has \(value) of \(width * height) pixels")
      }
      counts.append(value)
      (value, groupCount) = (0, 0)
    }
    guard groupCount == 0 else {
      throw ImagingError(.invalidMask, "the mask's string ends in the middle of a number")
    }
    try self.init(counts: counts, width: width, height: height, limits: limits)
  }
}
