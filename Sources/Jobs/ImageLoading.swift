import Foundation
import Messaging

extension EncodedImage {
  /// Reads a picture's file.
  ///
  /// - Throws: `image_not_found`, `unreadable_image`, or `image_too_large`.
  public init(
    path: String, byteCountMaximum: Int = JobLimits.requestImageByteCount
  ) throws(Failure) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      let number = errno
      let reason = String(cString: strerror(number))
      throw Failure(
        code: number == ENOENT ? "image_not_found" : "unreadable_image",
        message: "\(path): \(reason); check the path, which is relative to the batch file's folder "
          + "or to where you are")
    }
    // A device or a pipe might never end.
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Failure(code: "unreadable_image", message: "\(path) is not a file; give a picture's")
    }
    guard status.st_size > 0 else {
      throw Failure(code: "invalid_image", message: "\(path) is empty; give a picture's file")
    }
    guard Int(status.st_size) <= byteCountMaximum else {
      throw Failure(
        code: "image_too_large",
        message: "\(path) has \(status.st_size) bytes, \(byteCountMaximum) are left for this "
          + "request; scale the picture down")
    }
    do {
      let data = try Data(contentsOf: URL(filePath: path))
      self.init(name: URL(filePath: path).lastPathComponent, bytes: Array(data))
    } catch {
      throw Failure(
        code: "unreadable_image",
        message: "\(path): \(error.localizedDescription); check its permissions")
    }
  }
}

extension EncodedImage {
  /// Reads what stands in a `data:` URI.
  ///
  /// - Throws: `invalid_image` or `image_too_large`.
  init(base64 text: String, name: String, byteCountMaximum: Int) throws(Failure) {
    // Before it is decoded: three bytes of four characters.
    guard text.utf8.count / 4 * 3 <= byteCountMaximum + 3 else { throw Self.tooLarge(name) }
    guard let data = Data(base64Encoded: text), !data.isEmpty else {
      throw Failure(
        code: "invalid_image", message: "\(name): the data: URI is empty or broken base64")
    }
    guard data.count <= byteCountMaximum else { throw Self.tooLarge(name) }
    self.init(name: name, bytes: Array(data))
  }

  /// What a request gets whose pictures are too large together.
  static func tooLarge(_ name: String) -> Failure {
    Failure(
      code: "image_too_large",
      message: "\(name): all pictures of a request may have "
        + "\(JobLimits.requestImageByteCount) bytes together; scale them down")
  }
}

extension BatchRequest {
  /// Loads all pictures, within the bytes that one request may have.
  ///
  /// - Parameters:
  ///   - folder: where relative paths start: the batch file's own folder.
  ///   - remote: fetches http and https addresses; nil fetches none.
  /// - Returns: the pictures in order.
  /// - Throws: a failure that names the picture.
  func loadImages(
    folder: URL, remote: (any RemoteImageSource)? = nil
  ) async throws(Failure) -> [EncodedImage] {
    try Self.checkCount(images)
    var loaded: [EncodedImage] = []
    var left = JobLimits.requestImageByteCount
    for (index, source) in images.enumerated() {
      let image: EncodedImage
      switch source {
      case .file(let path):
        let url = URL(filePath: path, relativeTo: folder)
        image = try EncodedImage(path: url.path(percentEncoded: false), byteCountMaximum: left)
      case .base64(let text):
        let name = "picture \(index + 1)"
        image = try EncodedImage(base64: text, name: name, byteCountMaximum: left)
      case .remote(let url):
        guard let remote else {
          throw Failure(
            code: "remote_image",
            message: "\(url.prefix(200)) is not fetched; allow its host with --allow-image-host, "
              + "or download the picture and give its path or a data: URI")
        }
        image = try await remote.image(at: url)
        guard image.content.byteCount <= left else { throw EncodedImage.tooLarge(image.name) }
      }
      left -= image.content.byteCount
      loaded.append(image)
    }
    return loaded
  }

  /// Refuses more pictures than a request may have.
  static func checkCount(_ images: [ImageSource]) throws(Failure) {
    guard images.count <= MessageLimits.imageCount else {
      throw Failure(
        code: "too_many_images",
        message: "\(images.count) pictures; send at most \(MessageLimits.imageCount)")
    }
  }
}
