import Foundation
import Imaging

/// Reads a folder of pictures as a feed, on the feed's thread.
struct PictureRunner {
  let core: FeedCore
  let files: [String]

  func run() {
    let options = core.options
    let queue = core.queue
    queue.post(.state(.connecting))
    var sampler = Sampler(options.sampling, resumingAfter: options.resumeAfter)
    let first = options.resumeAfter.map { max(0, $0.frame + 1) } ?? 0
    var size: (Int, Int)?
    for number in files.indices.dropFirst(first) {
      while queue.reception == .wait, !core.isCancelled { core.pause(nil) }
      guard !core.isCancelled else { return core.finishCancelled() }
      let pts = MediaTime(seconds: Double(number) / options.picturesPerSecond)
      queue.update {
        $0.sourceFrameCount = number + 1
        $0.newestPTS = pts
      }
      if number == first { queue.post(.state(.live)) }
      guard sampler.isChosen(number: number, pts: pts, isKeyFrame: true) else { continue }
      if queue.reception == .drop {
        queue.post(.drop(FrameDrop(number: number, pts: pts, cause: .newest)))
        continue
      }
      do {
        let picture = try read(files[number])
        if sampler.needsPicture, !sampler.isChosen(Thumbnail(picture)) { continue }
        if size.map({ $0 != (picture.width, picture.height) }) ?? false {
          queue.post(
            .notice(.sizeChanged(frame: number, width: picture.width, height: picture.height)))
        }
        size = (picture.width, picture.height)
        let frame = VideoFrame(
          number: number, pts: pts, timeBase: .microsecond, isTimestampEstimated: false,
          isKeyFrame: true, picture: picture, arrival: .now)
        queue.post(.frame(frame))
      } catch {
        let reason =
          "'\(files[number])': \((error as? ImagingError)?.description ?? error.localizedDescription)"
        queue.post(.drop(FrameDrop(number: number, pts: pts, cause: .unreadable(reason))))
      }
    }
    queue.post(.state(core.isCancelled ? .ended(.cancelled) : .ended(.complete)))
  }

  private func read(_ path: String) throws -> Picture {
    let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
    guard size <= core.options.imageLimits.byteCount else {
      // The same words as for the bytes themselves, without reading them.
      throw VideoError(
        .tooLarge,
        cause: "\(size) bytes are above the limit of \(core.options.imageLimits.byteCount)",
        remedy: "send a smaller file")
    }
    return try Picture.decode(
      Data(contentsOf: URL(filePath: path)), limits: core.options.imageLimits)
  }
}
