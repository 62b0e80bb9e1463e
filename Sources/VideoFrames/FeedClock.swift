/// Gives every frame of a feed a time that is later than the one before, and says where it isn't the container's own.
struct FeedClock: Sendable {
  /// A frame's time.
  struct Reading: Sendable, Equatable {
    var pts: MediaTime
    var isEstimated: Bool
    var notice: FeedNotice?
  }

  private(set) var last: MediaTime?
  private(set) var shift = MediaTime.zero
  private var isEstimating = false
  private var restart: MediaTime?

  /// The decoder of a live source was started anew, this long after the last frame.
  ///
  /// If the source's clock begins anew too, the feed's goes on by that pause.
  mutating func reconnected(after pause: Duration) { restart = MediaTime(pause) }

  /// Begins again at an earlier place of the same file.
  mutating func rewind(to time: MediaTime?) { last = time }

  /// The time of the next frame.
  ///
  /// - Parameters:
  ///   - raw: the container's; nil where it has none.
  ///   - frame: the frame's number, for notices.
  ///   - duration: how long a frame lasts as far as is known.
  /// - Returns: its time, and what is to be told about it.
  mutating func read(_ raw: MediaTime?, frame: Int, duration: MediaTime?) -> Reading {
    let step =
      duration.map { $0 > .zero ? $0 : VideoLimits.frameDurationDefault }
      ?? VideoLimits.frameDurationDefault
    let pause = restart
    restart = nil
    guard let raw else { return estimated(last.map { $0 + step } ?? .zero, frame) }
    var pts = raw + shift
    var notice: FeedNotice?
    if let last {
      let isBackwards = pts <= last
      let isLeap = pause != nil && pts > last + VideoLimits.clockLeap
      let isNewClock = pause != nil || last - pts > VideoLimits.clockDisorder
      if isLeap || isBackwards && isNewClock {
        let next = last + max(pause ?? step, step)
        shift = shift + (next - pts)
        notice = .clockShifted(frame: frame, by: shift)
        pts = next
      } else if isBackwards {
        return estimated(last + min(step, MediaTime(nanoseconds: 1_000_000)), frame)
      }
    }
    isEstimating = false
    last = pts
    return Reading(pts: pts, isEstimated: false, notice: notice)
  }

  private mutating func estimated(_ pts: MediaTime, _ frame: Int) -> Reading {
    let notice: FeedNotice? = isEstimating ? nil : .timestampsEstimated(frame: frame)
    isEstimating = true
    last = pts
    return Reading(pts: pts, isEstimated: true, notice: notice)
  }
}
