import Foundation
import Imaging

/// Draws answers on frames and hands them to the encoder, on the writer's thread.
struct AnnotationDrawing: ~Copyable {
  private let path: String
  private let format: AnnotationFormat
  private let options: AnnotationOptions
  private var encoder: VideoEncoder?
  private var size = (width: 0, height: 0)
  private var last: (picture: Picture, time: MediaTime)?
  private var interval = VideoLimits.frameDurationDefault
  private var isOver = false

  init(path: String, format: AnnotationFormat, options: AnnotationOptions) {
    (self.path, self.format, self.options) = (path, format, options)
  }

  mutating func perform(_ task: AnnotationWorker.Task) -> Result<Void, VideoError> {
    do throws(VideoError) {
      switch task {
      case .write(let frame): try write(frame)
      case .finish(let end): try finish(end)
      case .cancel: cancel()
      }
      return .success(())
    } catch {
      return .failure(error)
    }
  }

  private mutating func write(_ frame: AnnotationWorker.Frame) throws(VideoError) {
    let time = frame.time - options.origin
    guard !isOver, time >= .zero, last.map({ time > $0.time }) ?? true else {
      throw VideoError(
        .invalidOption,
        cause: "a frame at \(time) s of '\(path)' comes too late, or is before its zero",
        remedy: "write frames in the order of their times, and before the end")
    }
    let picture = try drawn(frame)
    if encoder == nil {
      size = (picture.width, picture.height)
      encoder = try VideoEncoder(
        path: path, format: format, width: size.width, height: size.height,
        timeBase: frame.timeBase, options: options)
      try encoder?.begin()
    }
    try encoder?.write(picture, at: time)
    if let last { interval = time - last.time }
    last = (picture, time)
  }

  /// The frame with boxes and caption, in the video's size.
  private func drawn(_ frame: AnnotationWorker.Frame) throws(VideoError) -> Picture {
    do throws(ImagingError) {
      var picture = frame.picture.drawing(frame.boxes)
      if options.captionLineCount > 0 {
        picture = picture.captioned(frame.caption, lineCount: options.captionLineCount)
      }
      // Half as many colours as pixels each way, so both sides are even.
      let even = (width: (picture.width + 1) / 2 * 2, height: (picture.height + 1) / 2 * 2)
      let wanted = encoder == nil ? even : size
      if encoder != nil, wanted != even {
        return try picture.resized(toWidth: wanted.width, height: wanted.height)
      }
      return try picture.padded(toWidth: wanted.width, height: wanted.height)
    } catch {
      throw VideoError(
        .tooLarge, cause: "a frame for '\(path)' can't be drawn: \(error)", remedy: error.remedy)
    }
  }

  private mutating func finish(_ end: MediaTime?) throws(VideoError) {
    guard !isOver else { return }
    isOver = true
    defer { encoder = nil }
    do throws(VideoError) {
      if let last {
        // Once more: a last frame that lasts no time is left out by MP4, and by players.
        let end = end.map { $0 - options.origin } ?? last.time + interval
        if end > last.time { try encoder?.write(last.picture, at: end) }
      }
      try encoder?.finish()
    } catch {
      encoder?.cancel()
      throw error
    }
  }

  mutating func cancel() {
    isOver = true
    encoder?.cancel()
    encoder = nil
  }
}

extension Picture {
  /// The picture with black at the right and below; a size that isn't larger changes nothing.
  func padded(toWidth newWidth: Int, height newHeight: Int) throws(ImagingError) -> Picture {
    guard newWidth > width || newHeight > height else { return self }
    let rowByteCount = 3 * width
    let padding = [UInt8](repeating: 0, count: 3 * max(0, newWidth - width))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(3 * newWidth * newHeight)
    for row in 0..<height {
      bytes += rgb[(row * rowByteCount)..<((row + 1) * rowByteCount)]
      bytes += padding
    }
    bytes += [UInt8](repeating: 0, count: 3 * newWidth * newHeight - bytes.count)
    return try Picture(width: newWidth, height: newHeight, rgb: bytes)
  }
}
