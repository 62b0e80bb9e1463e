import Foundation
import HTTPTypes
import Jobs
import Messaging
import VideoFrames

/// Which videos clients may have opened, beside files that they uploaded: none, unless the operator says so.
///
/// A source is a way into the server's network and disk, so each has to be on the list: a protocol with a host, a protocol
/// with any host, or a folder.
public struct VideoAllowList: Sendable {
  private struct Address: Sendable, Hashable {
    let kind: VideoProtocol
    /// Nil for every host.
    let host: String?
    let port: Int?
  }

  private var addresses: Set<Address> = []
  /// Real paths, with a slash at the end.
  private var folders: [String] = []

  /// Nothing but uploaded files.
  public init() {}

  /// Reads `rtsp`, `rtsp://HOST`, `rtsp://HOST:PORT` or a folder's path.
  ///
  /// - Throws: `invalid_video_source` for anything else.
  public init(_ items: [String]) throws(Failure) {
    for item in items {
      if let kind = VideoProtocol(rawValue: item), VideoProtocol.network.contains(kind) {
        addresses.insert(Address(kind: kind, host: nil, port: nil))
      } else if item.contains("://"), let source = try? VideoSource(item),
        let (host, port) = source.authority
      {
        addresses.insert(Address(kind: source.kind, host: host.lowercased(), port: port))
      } else if let folder = Self.realPath(item), Self.isFolder(folder) {
        folders.append(folder.hasSuffix("/") ? folder : folder + "/")
      } else {
        let names = VideoProtocol.network.map(\.rawValue).sorted().joined(separator: ", ")
        throw Failure(
          code: "invalid_video_source",
          message: "'\(item)' is no folder, no protocol (\(names)) and no PROTOCOL://HOST[:PORT]")
      }
    }
  }

  /// The source that a client asks for.
  ///
  /// - Throws: 403 for one that isn't on the list, 400 for what is none.
  func source(_ text: String) throws(APIError) -> VideoSource {
    let source: VideoSource
    do throws(VideoError) {
      source = try VideoSource(
        text, allowed: VideoProtocol.network.union([.file]))
    } catch {
      throw APIError(
        error.code == .protocolNotAllowed ? .forbidden : .badRequest, code: error.code.rawValue,
        message: "\(error.cause); \(error.remedy)", parameter: "source")
    }
    guard source.kind != .file else { return try file(text) }
    guard let (host, port) = source.authority,
      [
        Address(kind: source.kind, host: nil, port: nil),
        Address(kind: source.kind, host: host.lowercased(), port: nil),
        Address(kind: source.kind, host: host.lowercased(), port: port),
      ].contains(where: addresses.contains)
    else { throw refusal(source.name) }
    return source
  }

  /// A file in one of the folders, wherever links lead.
  private func file(_ text: String) throws(APIError) -> VideoSource {
    // Whether there is such a file is nobody's business outside the folders.
    guard let path = Self.realPath(text), folders.contains(where: { path.hasPrefix($0) }),
      let source = try? VideoSource(path, allowed: [.file])
    else { throw refusal("this file") }
    return source
  }

  private func refusal(_ what: String) -> APIError {
    APIError(
      .forbidden, code: "source_not_allowed",
      message: "\(what) may not be opened here; upload the video as a file, or have the operator "
        + "allow its source (palisade serve --allow-video)", parameter: "source")
  }

  private static func realPath(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      && isFolder.boolValue
  }
}
