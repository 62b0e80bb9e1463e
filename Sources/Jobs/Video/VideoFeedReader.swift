import VideoFrames

/// The one consumer of a feed, so that a task can wait for its next event while others answer.
actor VideoFeedReader {
  private var iterator: VideoFeed.Iterator

  init(_ feed: VideoFeed) { iterator = feed.makeAsyncIterator() }

  /// The next event; one task at a time may wait for it.
  func next() async -> FeedEvent? {
    var copy = iterator
    let event = await copy.next(isolation: self)
    iterator = copy
    return event
  }
}
