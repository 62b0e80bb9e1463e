import Messaging
import VideoFrames

/// Makes what is made of a source's records - subtitles, an annotated video - once more from its earlier ones.
///
/// A killed run leaves these files torn, or behind the records: the records are the truth. So a resumed run writes them
/// anew: the records are read, and for an annotated video the source is decoded again up to where the run goes on. The
/// model is not asked again.
public struct VideoReplay: Sendable {
  /// The file of records.
  public let path: String
  /// Whose records.
  public let source: VideoSource
  /// How the source is sampled.
  public let feed: FeedOptions
  /// The last frame with a record.
  public let last: ResumePoint

  /// What is made once more; `feed` are the options of the run that goes on.
  public init(path: String, source: VideoSource, feed: FeedOptions, last: ResumePoint) {
    (self.path, self.source, self.last) = (path, source, last)
    var feed = feed
    (feed.resumeAfter, feed.duplicates, feed.policy) = (nil, nil, .wait)
    self.feed = feed
  }

  /// Hands every earlier record to `sinks`, in order, with its frame where they draw.
  ///
  /// - Throws: what is wrong with the file of records, the source, or the files that are written.
  public func run(into sinks: VideoSinks) async throws {
    var records = try VideoRecordReader(path: path)
    var waiting = try next(&records)
    if await sinks.draws {
      let frames = try VideoFeed(source, options: feed)
      for await event in frames {
        guard case .frame(let frame) = event else { continue }
        // Records of frames that could not be read have no picture.
        while let record = waiting, record.frame < frame.number {
          try await sinks.take(record, nil)
          waiting = try next(&records)
        }
        if let record = waiting, record.frame == frame.number {
          try await sinks.take(record, frame)
          waiting = try next(&records)
        }
        guard waiting != nil, frame.number < last.frame else { break }
      }
      await frames.cancel()
      try Task.checkCancellation()
    }
    while let record = waiting {
      try await sinks.take(record, nil)
      waiting = try next(&records)
    }
  }

  private func next(_ records: inout VideoRecordReader) throws(Failure) -> VideoRecord? {
    while let record = try records.next() {
      // What is appended meanwhile by other sources, or by a run that has begun, is none of this.
      guard record.source == source.name else { continue }
      return record.frame <= last.frame ? record : nil
    }
    return nil
  }
}
