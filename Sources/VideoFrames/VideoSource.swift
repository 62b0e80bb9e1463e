import Foundation

/// Where a video comes from, as a user types it.
public struct VideoSource: Sendable, Hashable, CustomStringConvertible {
  /// How it comes.
  public let kind: VideoProtocol
  /// What to open: a path, a pattern, or a URL with its secrets. Never shown; `name` is.
  let address: String
  /// Its name for people, logs, errors and results: without password, user and values of the query.
  public private(set) var name: String

  /// The same source under another name, such as that of a file that was uploaded: where it lies here is nobody's business.
  public func named(_ name: String) -> VideoSource {
    var source = self
    source.name = name
    return source
  }

  /// The same as `name`.
  public var description: String { name }

  /// True for what goes on whether it is read or not: drops rather than waits, and is connected to again.
  ///
  /// A file behind `http` counts as live until the decoder knows that it has an end.
  public var isLive: Bool { kind == .device || VideoProtocol.network.contains(kind) }

  /// Host and port as the URL has them, for those who decide which hosts may be reached; nil for what isn't a URL.
  public var authority: (host: String, port: Int?)? {
    guard VideoProtocol.network.contains(kind), let parts = URLComponents(string: address),
      let host = parts.host
    else { return nil }
    return (host, parts.port)
  }

  /// Understands what was typed.
  ///
  /// - `-`: standard input.
  /// - `rtsp://…` and the other URLs of `VideoProtocol.network`.
  /// - `/dev/video0`: a capture device.
  /// - A folder; a pattern with `*`, `?` or `[` that isn't the name of a file; a `.jpg`, `.jpeg`, `.png` or `.webp`: pictures.
  /// - Anything else: a video file, with whatever characters are in its name.
  ///
  /// - Parameters:
  ///   - text: what was typed.
  ///   - allowed: kinds that may be used.
  /// - Throws: `invalid_source`, `protocol_not_allowed`. Whether it is there is found out by the feed.
  public init(
    _ text: String, allowed: Set<VideoProtocol> = VideoProtocol.all
  ) throws(VideoError) {
    guard !text.isEmpty, text.utf8.count <= VideoLimits.sourceByteCount,
      !text.unicodeScalars.contains(where: { $0.value == 0 })
    else {
      throw VideoError(
        .invalidSource,
        cause: text.isEmpty ? "the source is empty" : "the source is too long, or has a zero byte",
        remedy: "give a file, a folder or pattern of pictures, '-', or a URL")
    }
    let kind = try Self.kind(of: text)
    guard allowed.contains(kind) else {
      let names = allowed.map(\.rawValue).sorted().joined(separator: ", ")
      throw VideoError(
        .protocolNotAllowed, cause: "a source of the kind '\(kind.rawValue)' isn't allowed here",
        remedy: "use one of: \(names)")
    }
    self.kind = kind
    address = text
    name = VideoProtocol.network.contains(kind) ? Redaction.url(text) : text
    guard VideoProtocol.network.contains(kind) else { return }
    guard text.unicodeScalars.allSatisfy({ (33...126).contains($0.value) }),
      let host = URLComponents(string: text)?.host, !host.isEmpty || kind == .udp
    else {
      throw VideoError(
        .invalidSource, cause: "'\(name)' is not a URL with a host",
        remedy: "write it as \(kind.rawValue)://host:port/path, with special characters as %XX")
    }
  }

  private static func kind(of text: String) throws(VideoError) -> VideoProtocol {
    if text == "-" { return .pipe }
    if let scheme = scheme(of: text) {
      if let kind = VideoProtocol(rawValue: scheme), VideoProtocol.network.contains(kind) {
        return kind
      }
      // A file may be called so; then it is one.
      guard FileManager.default.fileExists(atPath: text) else {
        throw VideoError(
          .protocolNotAllowed, cause: "'\(scheme)://' is not a protocol that is opened",
          remedy: "use \(VideoProtocol.network.map(\.rawValue).sorted().joined(separator: ", "))")
      }
    }
    if text.hasPrefix("/dev/video"), text.dropFirst(10).allSatisfy(\.isNumber) { return .device }
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: text, isDirectory: &isFolder) {
      return isFolder.boolValue || PictureFiles.isPicture(text) ? .pictures : .file
    }
    let isPattern = text.contains { "*?[".contains($0) }
    return isPattern || PictureFiles.isPicture(text) ? .pictures : .file
  }

  /// What stands before `://`, in small letters.
  private static func scheme(of text: String) -> String? {
    guard let range = text.range(of: "://") else { return nil }
    let scheme = text[..<range.lowerBound].lowercased()
    let isScheme = scheme.utf8.allSatisfy { byte in
      (97...122).contains(byte) || (48...57).contains(byte) || "+-.".utf8.contains(byte)
    }
    return isScheme && scheme.first?.isLetter == true ? scheme : nil
  }
}
