import Imaging

/// The command line of the decoder, as a list of arguments: no shell reads it, and nothing a user typed is ever part of an option.
///
/// Frames come out in their own size: the model's resize must have Pillow's bits, and swscale's bicubic hasn't. Planes of 4:2:0 and 4:4:4 come out
/// as they were decoded, and become RGB here (`Picture.init(width:height:planes:form:)`); what is coded otherwise is converted with exact rounding and full chroma.
struct DecoderCommand: Sendable {
  /// Where decoding begins.
  enum Start: Sendable, Equatable {
    case beginning
    /// At a key frame before a time of the container's clock.
    case near(MediaTime)
  }

  var source: VideoSource
  var sampling: SamplingRule
  var start: Start
  /// Frames up to here are not needed.
  var after: MediaTime?
  var options: FeedOptions
  /// The names of the `showinfo` filters.
  var tags: [String]

  var arguments: [String] {
    [
      "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+info", "-filter_threads",
      "1",
    ]
      + inputOptions + ["-i", input]
      // The first stream that is video and no cover picture, each frame once, in its own size.
      + ["-map", "0:V:0", "-an", "-sn", "-dn", "-map_metadata", "-1", "-fps_mode", "passthrough"]
      // With more threads the "encoder" of raw video holds frames back, one each.
      + [
        "-threads", "1", "-autoscale", "0", "-vf", filters, "-f", "rawvideo", "-flush_packets", "1",
        "pipe:1",
      ]
  }

  private var inputOptions: [String] {
    let limits = options.imageLimits
    var list = ["-protocol_whitelist", source.kind.transports.joined(separator: ",")]
    list += ["-format_whitelist", Self.formats.joined(separator: ",")]
    list += ["-max_pixels", String(min(limits.pixelCount, Int(Int32.max)))]
    list += ["-threads", String(options.decoderThreadCount), "-max_error_rate", "1"]
    // Timestamps as they stand in the container, not moved to begin at 0.
    list += ["-copyts", "-fflags", "+genpts"]
    // Frames wait while the decoder looks at a stream; a second shows what there is. (`nobuffer` would lose them.)
    if source.isLive { list += ["-analyzeduration", "1000000"] }
    if case .near(let time) = start {
      list += ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", time.description]
    }
    switch source.kind {
    case .http, .https: list += ["-max_redirects", "0"]
    case .rtsp, .rtsps:
      list += ["-rtsp_transport", options.usesTCPForRTSP || source.kind == .rtsps ? "tcp" : "udp"]
    case .device: list += ["-f", "video4linux2"]
    default: break
    }
    return list
  }

  /// `file:` and `pipe:` before the name, so that no character in it means anything.
  private var input: String {
    switch source.kind {
    case .file: "file:" + source.address
    case .pipe: "pipe:0"
    default: source.address
    }
  }

  private var filters: String {
    // Side data is thousands of bytes of log a frame, and used up by now: the picture has been turned upright.
    let announce = tags.map { "\($0)=checksum=0" }
    // A format that is on the list passes through untouched.
    let exact = "scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    let formats = "format=pix_fmts=yuv420p|yuvj420p|yuv444p|yuvj444p|rgb24"
    let select = selection.map { ["select=\($0)"] } ?? []
    return (["sidedata=mode=delete", announce[0]] + select + [exact, formats, announce[1]])
      .joined(separator: ",")
  }

  /// An expression of numbers that lets every frame pass that the rule will choose, and few others: they are dropped before they are converted.
  ///
  /// Its arithmetic is in doubles, so it leaves a microsecond on either side; the exact rule is `Sampler`'s.
  private var selection: String? {
    let late = after.map { "gte(t\\,\(MediaTime(nanoseconds: $0.nanoseconds - 2000)))" }
    let rule: String? =
      switch sampling {
      case .all, .freshest, .sceneChange: nil
      // Counting from the beginning is only right from the beginning.
      case .everyFrames(let count):
        start == .beginning && after == nil ? "not(mod(n\\,\(count)))" : nil
      case .every(let period): Self.periodChanges(period)
      case .keyFrames: "key"
      }
    let parts = [late, rule].compactMap { $0 }.map { "(\($0))" }
    // A frame without timestamp is for the sampler to judge.
    return parts.isEmpty ? nil : "isnan(t)+" + parts.joined(separator: "*")
  }

  private static func periodChanges(_ period: MediaTime) -> String {
    let sides = ["+0.000001", "-0.000001"].map { side in
      let cells = ["t", "prev_t"].map { "floor((\($0)\(side))/\(period))" }
      return "not(eq(\(cells[0])\\,\(cells[1])))"
    }
    return "isnan(prev_t)+" + sides.joined(separator: "+")
  }

  /// Containers and streams that are opened. Not here: playlists and lists of files (hls, dash, concat, image2), which open others.
  private static let formats = [
    "mov", "matroska", "webm", "avi", "flv", "live_flv", "mpegts", "mpeg", "mpegvideo", "nut",
    "ogg", "asf", "wtv",
    "mxf", "rm", "gxf", "dv", "ivf", "obu", "av1", "h264", "hevc", "m4v", "mjpeg", "mpjpeg", "vc1",
    "h263", "gif", "apng", "webp_pipe",
    "yuv4mpegpipe", "rtsp", "sdp", "rtp", "video4linux2", "v4l2",
  ]
}
