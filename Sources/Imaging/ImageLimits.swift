/// What a picture from outside may cost.
///
/// Checked against its headers, before anything is decoded.
public struct ImageLimits: Sendable, Equatable {
  /// The most pixels, width times height.
  public let pixelCount: Int
  /// The most pixels along one side.
  public let sidePixelCount: Int
  /// The most encoded bytes.
  public let byteCount: Int

  /// The limits of a worker with nothing else said.
  ///
  /// - 100,000,000 pixels are 300 MB as RGB8, and 600 MB more while a progressive JPEG is decoded:
  ///   with two at work, what a 4 GB machine can spare. Every camera and phone stays below it;
  ///   Pillow warns from 89 million and refuses from 179 million.
  /// - 65,535 pixels a side is the most that JPEG can say. It also bounds the resampling tables.
  /// - 256 MiB hold 100 million pixels at 21 bits each, more than any photograph compresses to.
  public static let standard = ImageLimits(
    pixelCount: 100_000_000,
    sidePixelCount: 65_535,
    byteCount: 256 << 20
  )

  /// Limits of your own; no side may be longer than 65,535 whatever is said here.
  public init(pixelCount: Int, sidePixelCount: Int = 65_535, byteCount: Int) {
    self.pixelCount = pixelCount
    self.sidePixelCount = min(sidePixelCount, 65_535)
    self.byteCount = byteCount
  }

  /// Throws unless a picture of this size is allowed.
  public func check(width: Int, height: Int) throws(ImagingError) {
    guard width >= 1, height >= 1 else {
      throw ImagingError(.invalidSize, "a picture of \(width) x \(height) has no pixels")
    }
    guard width <= sidePixelCount, height <= sidePixelCount else {
      throw ImagingError(
        .tooManyPixels,
        "a side of \(max(width, height)) pixels is longer than the limit of \(sidePixelCount)"
      )
    }
    // Neither side is above 65,535 here, so the product cannot overflow.
    guard width * height <= pixelCount else {
      throw ImagingError(
        .tooManyPixels,
        "\(width) x \(height) = \(width * height) pixels are above the limit of \(pixelCount)"
      )
    }
  }
}
