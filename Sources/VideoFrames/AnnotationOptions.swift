import Foundation

/// How an annotated video is drawn and coded.
public struct AnnotationOptions: Sendable {
  /// Lines of the strip for captions below the picture; 0 is no strip.
  public var captionLineCount = 2
  /// The time that is 0 in the video.
  public var origin = MediaTime.zero
  /// The encoder; looked up in `PATH` when it has no slash.
  public var encoder = "ffmpeg"
  /// Threads of the encoder; 0 is one per core.
  public var encoderThreadCount = 2

  /// The defaults.
  public init() {}
}

/// A container for annotated video, and what is put into it.
enum AnnotationFormat: String, CaseIterable {
  case mp4, mkv, webm

  init(path: String) throws(VideoError) {
    guard let format = AnnotationFormat(rawValue: (path as NSString).pathExtension.lowercased())
    else {
      throw VideoError(
        .invalidOption, cause: "'\(path)' is no name for an annotated video",
        remedy: "end it in .mp4, .mkv or .webm")
    }
    self = format
  }

  private var muxer: String { self == .mkv ? "matroska" : rawValue }

  private var codec: [String] {
    switch self {
    case .mp4, .mkv:
      // No frames out of order: timestamps begin where the first frame's does.
      ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-bf", "0"]
    case .webm:
      [
        "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1", "-crf",
        "30", "-b:v", "0",
      ]
    }
  }

  /// The encoder's command line: a `MatroskaStream` in, a file out. `path` is behind `file:`, so no character in it means anything.
  func arguments(path: String, timeBase: TimeBase, threadCount: Int) -> [String] {
    let colours =
      "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"
    return [
      "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+warning", "-y",
      "-protocol_whitelist", "pipe", "-probesize", "32", "-analyzeduration", "0", "-fpsprobesize",
      "0",
      "-copyts", "-f", "matroska", "-i", "pipe:0", "-map", "0:v:0",
      // Each frame once, at its own time, in the source's own ticks.
      "-fps_mode", "passthrough", "-enc_time_base", "\(timeBase.numerator)/\(timeBase.denominator)",
      "-vf", colours + ",format=yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709",
      "-color_trc", "bt709", "-threads", String(threadCount),
    ] + codec + ["-f", muxer, "file:" + path]
  }
}
