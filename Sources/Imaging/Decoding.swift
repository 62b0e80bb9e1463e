import CImageCodecs
import Foundation

extension Picture {
  /// Decodes JPEG, PNG, WebP or a binary pixmap to what Pillow's `exif_transpose(open(f)).convert("RGB")` gives.
  ///
  /// The format is known by its first bytes. Alpha is dropped, not composited. Of an animated WebP
  /// the first frame is taken. 16-bit channels keep their high byte (Pillow clips 16-bit grey at
  /// 255 instead, which is white for nearly everything). The orientation is read from EXIF only.
  ///
  /// - Parameters:
  ///   - bytes: the encoded picture; never trusted.
  ///   - limits: checked against the headers, before anything is decoded or allocated.
  /// - Returns: the picture, upright.
  /// - Throws: `empty`, `too_large`, `too_many_pixels`, `unsupported_format`, `truncated`,
  ///   `corrupt` or `out_of_memory`.
  public static func decode(
    _ bytes: some ContiguousBytes,
    limits: ImageLimits = .standard
  ) throws(ImagingError) -> Picture {
    let result = bytes.withUnsafeBytes { raw in
      Result { () throws(ImagingError) in try decode(raw, limits) }
    }
    return try result.get()
  }

  private static func decode(
    _ raw: UnsafeRawBufferPointer,
    _ limits: ImageLimits
  ) throws(ImagingError) -> Picture {
    guard raw.count <= limits.byteCount else {
      throw ImagingError(
        .tooLarge,
        "\(raw.count) bytes are above the limit of \(limits.byteCount)"
      )
    }
    if isPixmap(raw) { return try pixmap(raw, limits) }
    let bytes = raw.assumingMemoryBound(to: UInt8.self)
    guard let start = bytes.baseAddress, !bytes.isEmpty else {
      throw ImagingError(.empty, "there are no bytes to decode")
    }
    var info = image_info()
    var report = image_report()
    try check(image_probe(start, bytes.count, &info, &report), report)
    let (width, height) = (Int(info.width), Int(info.height))
    try limits.check(width: width, height: height)

    var status: Int32 = 0
    let byteCount = 3 * width * height
    let stored = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initializedCount in
      status = image_decode(start, bytes.count, &info, buffer.baseAddress, &report)
      initializedCount = status == IMAGE_OK.status ? byteCount : 0
    }
    try check(status, report)
    let warning = report.warning_count == 0 ? nil : text(of: report.warning)
    return upright(stored, info, warning)
  }

  private static func upright(
    _ stored: [UInt8],
    _ info: image_info,
    _ warning: String?
  ) -> Picture {
    let (width, height) = (Int(info.width), Int(info.height))
    guard info.orientation != 1 else {
      return Picture(checkedWidth: width, height: height, rgb: stored, warning: warning)
    }
    let turned = [UInt8](unsafeUninitializedCapacity: stored.count) { buffer, initializedCount in
      image_orient(stored, info.width, info.height, info.orientation, buffer.baseAddress)
      initializedCount = stored.count
    }
    let isTurned = info.orientation >= 5
    return Picture(
      checkedWidth: isTurned ? height : width,
      height: isTurned ? width : height,
      rgb: turned,
      warning: warning
    )
  }
}

extension image_status {
  var status: Int32 { Int32(rawValue) }
}

/// Throws what a C function reported, unless it reported success.
func check(_ status: Int32, _ report: image_report) throws(ImagingError) {
  let code: ImagingError.Code
  switch status {
  case IMAGE_OK.status: return
  case IMAGE_UNSUPPORTED.status: code = .unsupportedFormat
  case IMAGE_TRUNCATED.status: code = .truncated
  case IMAGE_OUT_OF_MEMORY.status: code = .outOfMemory
  default: code = .corrupt
  }
  throw ImagingError(code, text(of: report.error))
}

/// The text in one of the fixed C arrays of a report, up to its first zero.
private func text<CArray>(of array: CArray) -> String {
  withUnsafeBytes(of: array) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
