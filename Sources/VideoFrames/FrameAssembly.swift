import Foundation
import Imaging

/// Puts a frame's bytes together, or skips them, as they come out of the pipe.
struct FrameAssembly {
  /// What a look into the pipe brought.
  enum Reading {
    case open, closed
    case broken(VideoError)
  }

  private enum Fate {
    case keep
    case skip
    case drop(FrameDrop.Cause)
  }

  private struct Current {
    var frame: FrameProgress.Arriving
    var fate: Fate
    var byteCount: Int
    var filled = 0
    var bytes: [UInt8]
    /// As it was before this frame: a decoder that dies in the middle of it is asked for it again.
    var samplerBefore: Sampler
  }

  private let core: FeedCore
  private var expected: [FrameProgress.Arriving] = []
  private var current: Current?
  private var size: (width: Int, height: Int)?
  /// The planes of the frame before, whose memory the next one takes: they became a picture, which is a copy.
  private var spare: [UInt8] = []

  init(core: FeedCore) { self.core = core }

  /// In the middle of a frame.
  var isBusy: Bool { current != nil }

  /// So many frames wait to be read that no more announcements should be.
  var isFull: Bool { expected.count >= VideoLimits.announcedFrameCount }

  /// What the decoder says of the colours of the frame that it announced last.
  mutating func amend(isFullRange: Bool?, redWeight: Double, blueWeight: Double) {
    let last = expected.isEmpty ? current?.frame : expected.last
    guard var form = last?.announcement.form else { return }
    form.isFullRange = isFullRange ?? form.isFullRange
    (form.redWeight, form.blueWeight) = (redWeight, blueWeight)
    if expected.isEmpty {
      current?.frame.announcement.form = form
    } else {
      expected[expected.count - 1].announcement.form = form
    }
  }

  /// A frame's bytes will come.
  mutating func expect(_ frame: FrameProgress.Arriving) { expected.append(frame) }

  /// Reads what there is, at most to the end of one frame.
  mutating func read(from pipe: Int32, _ progress: inout FrameProgress) -> Reading {
    if current == nil {
      guard !expected.isEmpty else { return readEnd(pipe) }
      do throws(VideoError) { current = try begin(expected.removeFirst(), &progress) } catch {
        return .broken(error)
      }
    }
    guard var now = current else { return .open }
    // The one owner of the bytes, or they would be copied.
    current = nil
    let rest = now.byteCount - now.filled
    var count = 0
    if case .keep = now.fate {
      let filled = now.filled
      count = now.bytes.withUnsafeMutableBytes { buffer in
        buffer.baseAddress.map { Glibc.read(pipe, $0 + filled, rest) } ?? 0
      }
    } else {
      count = withUnsafeTemporaryAllocation(byteCount: 256 << 10, alignment: 16) { buffer in
        buffer.baseAddress.map { Glibc.read(pipe, $0, min(rest, buffer.count)) } ?? 0
      }
    }
    if count > 0 { now.filled += count }
    current = now
    if count == 0 { return .closed }
    if count < 0 {
      return errno == EAGAIN || errno == EINTR
        ? .open : .broken(Self.broken(String(cString: strerror(errno))))
    }
    if now.filled == now.byteCount { end(&progress) }
    return .open
  }

  /// Nothing was announced, so nothing but the end may come.
  private func readEnd(_ pipe: Int32) -> Reading {
    var byte: UInt8 = 0
    let count = Glibc.read(pipe, &byte, 1)
    if count == 0 { return .closed }
    return count < 0 ? .open : .broken(Self.broken("bytes of a frame that was not announced"))
  }

  private mutating func begin(
    _ frame: FrameProgress.Arriving, _ progress: inout FrameProgress
  ) throws(VideoError) -> Current {
    let (width, height) = (frame.announcement.width, frame.announcement.height)
    let (area, isOver) = width.multipliedReportingOverflow(by: height)
    guard width > 0, height > 0, !isOver, area <= Int.max / 4 else {
      throw Self.broken("a frame of \(width) x \(height)")
    }
    let byteCount =
      frame.announcement.form?.byteCount(width: width, height: height) ?? 3 * area
    var now = Current(
      frame: frame, fate: .skip, byteCount: byteCount, bytes: [], samplerBefore: progress.sampler)
    let isChosen =
      !frame.isOld
      && progress.sampler.isChosen(
        number: frame.number, pts: frame.pts, isKeyFrame: frame.announcement.isKeyFrame)
    guard isChosen else { return now }
    let limits = core.options.imageLimits
    if area > limits.pixelCount || max(width, height) > limits.sidePixelCount {
      now.fate = .drop(
        .unreadable("\(width) x \(height) pixels are above the limit of \(limits.pixelCount)"))
    } else if core.queue.reception == .drop {
      now.fate = .drop(.newest)
    } else {
      now.fate = .keep
      now.bytes =
        spare.count == now.byteCount ? spare : [UInt8](repeating: 0, count: now.byteCount)
      spare = []
    }
    return now
  }

  /// A frame is complete.
  private mutating func end(_ progress: inout FrameProgress) {
    guard let now = current else { return }
    current = nil
    progress.finish(now.frame)
    let (frame, announcement) = (now.frame, now.frame.announcement)
    switch now.fate {
    case .skip: return
    case .drop(let cause):
      core.queue.post(.drop(FrameDrop(number: frame.number, pts: frame.pts, cause: cause)))
    case .keep:
      do {
        let picture = try picture(announcement, now.bytes)
        if announcement.form != nil { spare = now.bytes }
        if progress.sampler.needsPicture, !progress.sampler.isChosen(Thumbnail(picture)) { return }
        noteSize(of: picture, frame.number)
        core.queue.post(
          .frame(
            VideoFrame(
              number: frame.number, pts: frame.pts, timeBase: frame.timeBase,
              isTimestampEstimated: frame.isEstimated, isKeyFrame: announcement.isKeyFrame,
              picture: picture, arrival: .now)))
      } catch {
        core.queue.post(
          .drop(FrameDrop(number: frame.number, pts: frame.pts, cause: .unreadable("\(error)"))))
      }
    }
  }

  private func picture(
    _ announcement: DecoderLog.Announcement, _ bytes: [UInt8]
  ) throws(ImagingError) -> Picture {
    let (width, height) = (announcement.width, announcement.height)
    let limits = core.options.imageLimits
    guard let form = announcement.form else {
      return try Picture(width: width, height: height, rgb: bytes, limits: limits)
    }
    return try Picture(width: width, height: height, planes: bytes, form: form, limits: limits)
  }

  private mutating func noteSize(of picture: Picture, _ number: Int) {
    let new = (width: picture.width, height: picture.height)
    if let size, size != new {
      core.queue.post(.notice(.sizeChanged(frame: number, width: new.width, height: new.height)))
    }
    size = new
  }

  /// The decoder ended; a frame that is not complete counts as not seen.
  mutating func abandon(_ progress: inout FrameProgress) {
    if let current { progress.sampler = current.samplerBefore }
    current = nil
    expected = []
  }

  static func broken(_ cause: String) -> VideoError {
    VideoError(
      .decoderBroken, cause: "the decoder's frames and its words disagree: \(cause)",
      remedy: "use Debian 12's ffmpeg 5.1, and report the video")
  }
}
