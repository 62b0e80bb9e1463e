import Foundation

/// Pictures without compression: a "P6" portable pixmap (netpbm), for pixels that are there already, such as a
/// video's frames. Nothing is lost, and writing and reading cost one copy each.
extension Picture {
  /// The bytes of a binary pixmap: `P6`, width, height, 255, then the pixels.
  public func encodedPixmap() -> [UInt8] {
    var bytes = Array("P6\n\(width) \(height)\n255\n".utf8)
    bytes.reserveCapacity(bytes.count + rgb.count)
    bytes += rgb
    return bytes
  }

  /// Whether the bytes begin as a binary pixmap does.
  static func isPixmap(_ raw: UnsafeRawBufferPointer) -> Bool {
    raw.count > 2 && raw[0] == 0x50 && raw[1] == 0x36 && isSpace(raw[2])
  }

  /// Reads a binary pixmap with 8 bits a channel; comments, which netpbm allows, are not read.
  static func pixmap(
    _ raw: UnsafeRawBufferPointer, _ limits: ImageLimits
  ) throws(ImagingError) -> Picture {
    var at = 2
    var numbers: [Int] = []
    while numbers.count < 3 {
      while at < raw.count, isSpace(raw[at]) { at += 1 }
      let start = at
      var number = 0
      // Nine digits are far above any limit, and can't overflow.
      while at < raw.count, (48...57).contains(raw[at]), at - start < 9 {
        number = 10 * number + Int(raw[at] - 48)
        at += 1
      }
      guard at < raw.count else {
        throw ImagingError(.truncated, "the pixmap ends within its header")
      }
      guard at > start, isSpace(raw[at]) else {
        throw ImagingError(.corrupt, "the pixmap's header has something else than numbers")
      }
      numbers.append(number)
    }
    guard numbers[2] == 255 else {
      throw ImagingError(.unsupportedFormat, "the pixmap's channels end at \(numbers[2]), not 255")
    }
    let (width, height) = (numbers[0], numbers[1])
    try limits.check(width: width, height: height)
    let pixels = UnsafeRawBufferPointer(rebasing: raw[(at + 1)...])
    guard pixels.count >= 3 * width * height else {
      throw ImagingError(
        .truncated, "\(pixels.count) bytes are fewer than \(width) x \(height) pixels of 3 bytes")
    }
    return Picture(
      checkedWidth: width, height: height, rgb: Array(pixels.prefix(3 * width * height)),
      warning: nil)
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}
