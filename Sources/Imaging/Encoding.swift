import CImageCodecs

extension Picture {
  /// The picture as 8-bit RGB PNG.
  ///
  /// - Returns: a whole PNG file.
  /// - Throws: `out_of_memory`, or `unsupported_format` when the picture is too big for PNG.
  public func encodedPNG() throws(ImagingError) -> [UInt8] {
    try Self.encoded(rgb) { rgb, bytes, byteCount, report in
      image_encode_png(rgb, UInt32(width), UInt32(height), 3, &bytes, &byteCount, &report)
    }
  }

  /// The picture as baseline 4:2:0 JPEG.
  ///
  /// - Parameter quality: 1 (worst) to 100; anything outside counts as the nearer of the two.
  /// - Returns: a whole JPEG file.
  /// - Throws: `out_of_memory`, or `unsupported_format` when a side is too long for JPEG.
  public func encodedJPEG(quality: Int = 90) throws(ImagingError) -> [UInt8] {
    let quality = Int32(min(max(quality, 1), 100))
    return try Self.encoded(rgb) { rgb, bytes, byteCount, report in
      image_encode_jpeg(rgb, UInt32(width), UInt32(height), quality, &bytes, &byteCount, &report)
    }
  }

  fileprivate typealias Encoder = (
    _ pixels: [UInt8],
    _ bytes: inout UnsafeMutablePointer<UInt8>?,
    _ byteCount: inout Int,
    _ report: inout image_report
  ) -> Int32

  fileprivate static func encoded(
    _ pixels: [UInt8], _ encode: Encoder
  ) throws(ImagingError) -> [UInt8] {
    var bytes: UnsafeMutablePointer<UInt8>?
    var byteCount = 0
    var report = image_report()
    let status = encode(pixels, &bytes, &byteCount, &report)
    defer { image_free(bytes) }
    try check(status, report)
    return Array(UnsafeBufferPointer(start: bytes, count: byteCount))
  }
}

extension RunLengthMask {
  /// The mask as 8-bit grey PNG: 255 inside, 0 outside.
  ///
  /// - Returns: a whole PNG file.
  /// - Throws: `out_of_memory`.
  public func encodedPNG() throws(ImagingError) -> [UInt8] {
    let grey = bitmap.map { $0 * 255 }
    return try Picture.encoded(grey) { grey, bytes, byteCount, report in
      image_encode_png(grey, UInt32(width), UInt32(height), 1, &bytes, &byteCount, &report)
    }
  }
}
