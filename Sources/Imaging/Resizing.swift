import CImageCodecs

extension Picture {
  /// The picture resized straight to a size, with the bits of Pillow 13's `resize(size, BICUBIC)`.
  ///
  /// No cropping, no keeping of the aspect: PaliGemma was trained on pictures squeezed like this.
  /// The same size gives the same picture.
  ///
  /// - Parameters:
  ///   - newWidth: pixels, at least 1.
  ///   - newHeight: pixels, at least 1.
  /// - Returns: `[newHeight, newWidth, 3]` pixels.
  /// - Throws: `invalid_size` or `too_many_pixels` for a size that no picture may have,
  ///   `out_of_memory`.
  public func resized(toWidth newWidth: Int, height newHeight: Int) throws(ImagingError) -> Picture
  {
    if newWidth == width && newHeight == height { return self }
    try ImageLimits.standard.check(width: newWidth, height: newHeight)
    // The sides of `self` are within 65,535 too, by `init` and `decode`.
    let byteCount = 3 * newWidth * newHeight
    var status: Int32 = 0
    let resized = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initializedCount in
      status = image_resample_bicubic(
        rgb,
        UInt32(width),
        UInt32(height),
        buffer.baseAddress,
        UInt32(newWidth),
        UInt32(newHeight)
      )
      initializedCount = status == IMAGE_OK.status ? byteCount : 0
    }
    guard status == IMAGE_OK.status else {
      throw ImagingError(
        .outOfMemory,
        "no memory to resize \(width) x \(height) to \(newWidth) x \(newHeight)"
      )
    }
    return Picture(checkedWidth: newWidth, height: newHeight, rgb: resized, warning: warning)
  }
}
