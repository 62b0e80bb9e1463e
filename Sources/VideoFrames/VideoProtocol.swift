/// The ways a video may come. Nothing else is ever opened, by us or by the decoder.
public enum VideoProtocol: String, Sendable, CaseIterable {
  /// A video file.
  case file
  /// Picture files: one, a folder's, or those of a pattern.
  case pictures
  /// Standard input.
  case pipe
  /// A capture device of Linux (v4l2).
  case device
  case rtsp, rtsps, rtmp, rtmps, http, https, udp, tcp

  /// Those that are reached over a network: what an HTTP API may offer to its clients.
  public static let network: Set<VideoProtocol> = [
    .rtsp, .rtsps, .rtmp, .rtmps, .http, .https, .udp, .tcp,
  ]
  /// All of them.
  public static let all = Set(allCases)

  /// What ffmpeg may open for it, by ffmpeg's names. Redirects and playlists can't leave this list.
  var transports: [String] {
    switch self {
    case .file, .device: ["file"]
    case .pictures: []
    case .pipe: ["pipe"]
    case .rtsp: ["rtp", "udp", "tcp"]
    case .rtsps: ["rtp", "udp", "tcp", "tls"]
    case .rtmp: ["rtmp", "tcp"]
    case .rtmps: ["rtmps", "rtmp", "tls", "tcp"]
    case .http: ["http", "tcp"]
    case .https: ["https", "http", "tls", "tcp"]
    case .udp: ["udp"]
    case .tcp: ["tcp"]
    }
  }
}
