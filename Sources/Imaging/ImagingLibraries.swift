import CImageCodecs

/// The versions of the libraries that decode pictures.
public enum ImagingLibraries {
  /// libjpeg-turbo's version, as compiled against.
  public static var jpegVersion: String { String(cString: image_jpeg_version()) }
  /// libpng's version.
  public static var pngVersion: String { String(cString: image_png_version()) }
  /// libwebp's version.
  public static var webPVersion: String {
    let packed = image_webp_version()
    return "\(packed >> 16 & 255).\(packed >> 8 & 255).\(packed & 255)"
  }
}
