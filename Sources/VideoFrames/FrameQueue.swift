import Foundation
import Imaging
import Synchronization

/// Events between the thread that reads the decoder and the one consumer: bounded, and by the rules of a `BufferPolicy`.
final class FrameQueue: Sendable {
  /// Readable after room was made or a cancellation was asked for; for the reading thread's `poll`.
  let wakeup: Int32
  private let waker: Int32
  private let policy: BufferPolicy
  private let frameCapacity: Int
  private let contents = Mutex(Contents())

  private struct Contents {
    var events: [FeedEvent] = []
    /// Events before this are taken; they are removed in one go.
    var head = 0
    var frameCount = 0
    var byteCount = 0
    var waiter: CheckedContinuation<FeedEvent?, Never>?
    var isFinished = false
    var status = FeedStatus()
  }

  init(policy: BufferPolicy, frameCapacity: Int) throws(VideoError) {
    self.policy = policy
    self.frameCapacity = frameCapacity
    guard let ends = Pipes.make() else {
      throw VideoError(
        .decoderMissing, cause: "no file descriptor is left for a feed",
        remedy: "raise the limit of open files (ulimit -n), or read fewer sources")
    }
    (wakeup, waker) = ends
    Pipes.unblock(wakeup)
    Pipes.unblock(waker)
  }

  deinit { for end in [wakeup, waker] { close(end) } }

  /// A copy of the counters.
  var status: FeedStatus {
    contents.withLock { contents in
      var status = contents.status
      status.bufferedCount = contents.frameCount
      return status
    }
  }

  func update(_ change: (inout FeedStatus) -> Void) { contents.withLock { change(&$0.status) } }

  func countDelivery(isRepeat: Bool) {
    update {
      $0.deliveredCount += 1
      if isRepeat { $0.repeatCount += 1 }
    }
  }

  /// What the reading thread does with the next sampled frame.
  enum Reception { case read, wait, drop }

  /// Looks at the buffer alone.
  var reception: Reception {
    contents.withLock { contents in
      // Drops and notices are bounded too: nothing is read until they are taken.
      if contents.events.count - contents.head >= VideoLimits.bufferedEventCount { return .wait }
      guard isFull(contents) else { return .read }
      switch policy {
      case .wait: return .wait
      case .dropNewest: return .drop
      case .dropOldest, .staleness: return .read
      }
    }
  }

  private func isFull(_ contents: Contents) -> Bool {
    contents.frameCount >= frameCapacity
      || contents.frameCount > 0 && contents.byteCount >= VideoLimits.bufferedByteCount
  }

  /// Leaves an event for the consumer; frames by the policy.
  func post(_ event: FeedEvent) {
    let handed: (CheckedContinuation<FeedEvent?, Never>, FeedEvent)? = contents.withLock {
      contents in
      guard !contents.isFinished else { return nil }
      if case .frame(let frame) = event {
        contents.status.sampledCount += 1
        while isFull(contents), policy != .wait, dropOldest(&contents) {}
        contents.frameCount += 1
        contents.byteCount += frame.picture.rgb.count
      }
      if case .drop(let drop) = event {
        contents.status.sampledCount += 1
        contents.status.dropCounts[drop.cause.name, default: 0] += 1
      }
      if case .state(let state) = event {
        contents.status.state = state
        contents.isFinished = state.isFinal
      }
      contents.events.append(event)
      guard let waiter = contents.waiter, let next = take(&contents) else { return nil }
      contents.waiter = nil
      return (waiter, next)
    }
    if let (waiter, next) = handed { waiter.resume(returning: next) }
  }

  /// Turns the oldest frame into the record of its drop, in its place.
  private func dropOldest(_ contents: inout Contents) -> Bool {
    for index in contents.events.indices[contents.head...] {
      guard case .frame(let frame) = contents.events[index] else { continue }
      replace(frame, in: &contents, cause: .oldest)
      contents.events[index] = .drop(
        FrameDrop(number: frame.number, pts: frame.pts, cause: .oldest))
      return true
    }
    return false
  }

  private func replace(_ frame: VideoFrame, in contents: inout Contents, cause: FrameDrop.Cause) {
    contents.frameCount -= 1
    contents.byteCount -= frame.picture.rgb.count
    contents.status.dropCounts[cause.name, default: 0] += 1
  }

  /// The oldest event; a frame that is too old as its drop.
  private func take(_ contents: inout Contents) -> FeedEvent? {
    guard contents.head < contents.events.count else { return nil }
    let event = contents.events[contents.head]
    // Frees the picture's memory now, not when the taken ones are removed.
    contents.events[contents.head] = .state(.connecting)
    contents.head += 1
    if contents.head >= 64, contents.head * 2 >= contents.events.count {
      contents.events.removeFirst(contents.head)
      contents.head = 0
    }
    guard case .frame(let frame) = event else { return event }
    if case .staleness(let budget) = policy {
      let age = ContinuousClock.now - frame.arrival
      if age > budget {
        replace(frame, in: &contents, cause: .stale(age: age))
        return .drop(FrameDrop(number: frame.number, pts: frame.pts, cause: .stale(age: age)))
      }
    }
    contents.frameCount -= 1
    contents.byteCount -= frame.picture.rgb.count
    return event
  }

  /// The next event; nil after the last, and for a second consumer at the same time.
  func next() async -> FeedEvent? {
    let event: FeedEvent? = await withCheckedContinuation { continuation in
      let answer: FeedEvent?? = contents.withLock { contents in
        if let event = take(&contents) { return .some(event) }
        if contents.isFinished || contents.waiter != nil { return .some(nil) }
        contents.waiter = continuation
        return nil
      }
      if let answer { continuation.resume(returning: answer) }
    }
    wake()
    return event
  }

  /// Throws away the frames that wait, for a feed that was cancelled.
  func discard() {
    contents.withLock { contents in
      contents.events.removeAll()
      (contents.head, contents.frameCount, contents.byteCount) = (0, 0, 0)
    }
  }

  func wake() {
    // A full pipe is readable anyway.
    var byte: UInt8 = 1
    _ = write(waker, &byte, 1)
  }

  /// Clears the wake-up; before looking at what it may have been for.
  func clearWakeup() {
    var bytes: [UInt8] = .init(repeating: 0, count: 256)
    while read(wakeup, &bytes, bytes.count) == bytes.count {}
  }
}
