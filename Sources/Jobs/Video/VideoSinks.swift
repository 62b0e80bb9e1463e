import Foundation
import Imaging
import Messaging
import VideoFrames

/// Where the records of one source go beside the file of records: subtitles and an annotated video.
public actor VideoSinks {
  private let prompt: String
  private var subtitles: [SubtitleWriter] = []
  private var video: AnnotatedVideoWriter?
  /// Whether it wants frames.
  var draws: Bool { video != nil }
  private var last: MediaTime?
  private var text = ""

  /// Prepares the files.
  ///
  /// - Parameters:
  ///   - prompt: stands in front of a text in the annotated video.
  ///   - subtitles: paths with the ending `.vtt` or `.srt`.
  ///   - annotate: a path with the ending `.mp4`, `.mkv` or `.webm`.
  /// - Throws: `invalid_option` for another ending, `unwritable`, `decoder_missing`.
  public init(
    prompt: String, subtitles: [String], annotate: String?
  ) throws(VideoError) {
    self.prompt = prompt
    for path in subtitles {
      self.subtitles.append(try SubtitleWriter(path: path))
    }
    video = try annotate.map { path throws(VideoError) in try AnnotatedVideoWriter(path: path) }
  }

  /// Takes a record, in order, with its frame.
  public func take(_ record: VideoRecord, _ frame: VideoFrame?) async throws(VideoError) {
    last = record.pts
    if let answer = record.answer {
      // In clips an answer stands until the next one.
      text = AnswerTable.summary(answer)
      for writer in subtitles { try writer.append(at: record.pts, text: text) }
    }
    guard let video, let frame else { return }
    let boxes = record.answer.map(LabelledBox.boxes) ?? []
    let caption = boxes.isEmpty ? text : ""
    try await video.append(
      frame.picture, at: record.pts, timeBase: frame.timeBase, boxes: boxes, caption: caption)
  }

  /// Makes the files whole.
  public func finish() async throws(VideoError) {
    for writer in subtitles { try writer.finish(at: last) }
    try await video?.finish(at: nil)
  }
}

extension LabelledBox {
  /// The boxes of an answer, as they are drawn.
  public static func boxes(_ answer: Answer) -> [LabelledBox] {
    answer.boxes.map { box in
      LabelledBox(
        label: box.label, left: box.x1, top: box.y1, right: box.x2, bottom: box.y2,
        mask: answer.mask(of: box))
    }
  }
}
