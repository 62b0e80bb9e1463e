/// A decoded picture: upright, in RGB, one byte a channel.
public struct Picture: Sendable, Equatable {
  /// Pixels from left to right; at least 1.
  public let width: Int
  /// Pixels from top to bottom; at least 1.
  public let height: Int
  /// `[height, width, 3]` bytes, row-major: red, green, blue.
  public internal(set) var rgb: [UInt8]
  /// What the decoder objected to without giving up, or nil.
  public let warning: String?

  /// A picture from pixels that are already there, such as a video frame.
  ///
  /// - Parameters:
  ///   - width: pixels from left to right.
  ///   - height: pixels from top to bottom.
  ///   - rgb: `[height, width, 3]` bytes.
  ///   - limits: what such a picture may cost.
  /// - Throws: `invalid_size` when the bytes do not match the size or there are none,
  ///   `too_many_pixels` when the size is above the limits.
  public init(
    width: Int,
    height: Int,
    rgb: [UInt8],
    limits: ImageLimits = .standard
  ) throws(ImagingError) {
    try limits.check(width: width, height: height)
    guard rgb.count == 3 * width * height else {
      throw ImagingError(
        .invalidSize,
        "\(rgb.count) bytes are not \(width) x \(height) pixels of 3 bytes"
      )
    }
    self.init(checkedWidth: width, height: height, rgb: rgb, warning: nil)
  }

  /// For pixels whose count is known to be right.
  init(checkedWidth width: Int, height: Int, rgb: [UInt8], warning: String?) {
    self.width = width
    self.height = height
    self.rgb = rgb
    self.warning = warning
  }
}
