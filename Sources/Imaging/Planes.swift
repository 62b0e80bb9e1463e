import CImageCodecs

/// Pixels as decoders of video leave them: one plane of brightness, two of differences of colour, 8 bits each.
public struct PlanarForm: Sendable, Equatable {
  /// Whether the planes of colour have half as many samples each way, rounded up (4:2:0), or as many as pixels (4:4:4).
  public var isHalved: Bool
  /// Whether brightness counts from 0 to 255, as in JPEG, or from 16 to 235, as in video.
  public var isFullRange: Bool
  /// The share of red in brightness: Kr of the matrix.
  public var redWeight: Double
  /// The share of blue: Kb.
  public var blueWeight: Double

  /// A form; without weights those of BT.601, which hold where a video declares none.
  public init(
    isHalved: Bool, isFullRange: Bool, redWeight: Double = 0.299, blueWeight: Double = 0.114
  ) {
    self.isHalved = isHalved
    self.isFullRange = isFullRange
    self.redWeight = redWeight
    self.blueWeight = blueWeight
  }

  /// The bytes of a frame: at most three for each pixel and three more.
  public func byteCount(width: Int, height: Int) -> Int {
    let side = { (pixels: Int) in isHalved ? (pixels + 1) / 2 : pixels }
    return width * height + 2 * side(width) * side(height)
  }
}

extension Picture {
  /// A picture from a video's frame; see `yuv.c` for how colours are made.
  ///
  /// - Parameters:
  ///   - width: pixels from left to right.
  ///   - height: pixels from top to bottom.
  ///   - planes: brightness, then blue's difference, then red's.
  ///   - form: how they are coded.
  ///   - limits: what such a picture may cost.
  /// - Throws: `invalid_size`, `too_many_pixels`, `out_of_memory`.
  public init(
    width: Int, height: Int, planes: [UInt8], form: PlanarForm, limits: ImageLimits = .standard
  ) throws(ImagingError) {
    try limits.check(width: width, height: height)
    guard planes.count == form.byteCount(width: width, height: height) else {
      throw ImagingError(
        .invalidSize, "\(planes.count) bytes are not the planes of \(width) x \(height) pixels")
    }
    let byteCount = 3 * width * height
    var status: Int32 = 0
    let rgb = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initializedCount in
      status = image_from_yuv(
        planes, UInt32(width), UInt32(height), form.isHalved, form.redWeight, form.blueWeight,
        form.isFullRange, buffer.baseAddress)
      initializedCount = status == IMAGE_OK.status ? byteCount : 0
    }
    guard status == IMAGE_OK.status else {
      throw ImagingError(.outOfMemory, "no memory for the colours of \(width) x \(height) pixels")
    }
    self.init(checkedWidth: width, height: height, rgb: rgb, warning: nil)
  }
}
