import Foundation
import Imaging
import Synchronization

/// Writes frames with their answers drawn on them as a video of variable frame rate: each at its own time.
///
/// A child encodes (`ffmpeg`; H.264 in `.mp4` and `.mkv`, VP9 in `.webm`); a thread of its own draws and feeds it. The file has
/// its name only when it is whole: until `finish()` it is called `PATH.part`, which after a crash is of use in `.mkv` and
/// `.webm` only. Matroska and WebM count milliseconds; in `.mp4` times are exact. The first frame decides the size; others are resized to it.
public final class AnnotatedVideoWriter: Sendable {
  /// Where it writes.
  public let path: String
  private let worker: AnnotationWorker

  /// Prepares a file; the encoder starts with the first frame.
  ///
  /// - Throws: `invalid_option` for an unknown ending, `decoder_missing`.
  public init(
    path: String, options: AnnotationOptions = AnnotationOptions()
  ) throws(VideoError) {
    self.path = path
    let format = try AnnotationFormat(path: path)
    _ = try ChildProcess.find(options.encoder)
    worker = try AnnotationWorker(path: path, format: format, options: options)
  }

  deinit { worker.stop() }

  /// Draws and writes a frame; returns when the encoder has taken it, so that a slow one slows its caller.
  ///
  /// - Parameters:
  ///   - picture: the frame itself.
  ///   - time: later than the one before.
  ///   - timeBase: the source's (`VideoFrame.timeBase`); the first frame's counts.
  ///   - boxes: in pixels of the picture.
  ///   - caption: a text for the strip below.
  /// - Throws: `encoder_died`, `unwritable`, `invalid_option` for a time that isn't later.
  public func append(
    _ picture: Picture, at time: MediaTime, timeBase: TimeBase, boxes: [LabelledBox],
    caption: String?
  ) async throws(VideoError) {
    let frame = AnnotationWorker.Frame(
      picture: picture, time: time, timeBase: timeBase, boxes: boxes, caption: caption ?? "")
    try await worker.perform(.write(frame))
  }

  /// Waits until the file is whole, and gives it its name. Without a frame there is no file.
  ///
  /// - Parameter end: until when the last frame is shown; it is written once more then (in MP4 only its time remains).
  ///   Nil shows it as long as the one before.
  /// - Throws: `encoder_died`, `unwritable`.
  public func finish(at end: MediaTime? = nil) async throws(VideoError) {
    try await worker.perform(.finish(end))
  }

  /// Gives up: kills the encoder and removes the unfinished file.
  public func cancel() async {
    // Nothing can fail here that anybody could mend.
    try? await worker.perform(.cancel)
  }
}

/// The thread of an `AnnotatedVideoWriter`.
final class AnnotationWorker: Sendable {
  struct Frame: Sendable {
    var picture: Picture
    var time: MediaTime
    var timeBase: TimeBase
    var boxes: [LabelledBox]
    var caption: String
  }

  enum Task: Sendable {
    case write(Frame)
    case finish(MediaTime?)
    case cancel
  }

  private typealias Waiting = (Task, CheckedContinuation<Result<Void, VideoError>, Never>)

  private struct Mail {
    /// As long as the number of callers that wait: each waits for its own.
    var tasks: [Waiting] = []
    var isStopped = false
  }

  private let mail = Mutex(Mail())
  private let wakeup: (read: Int32, write: Int32)

  init(path: String, format: AnnotationFormat, options: AnnotationOptions) throws(VideoError) {
    guard let wakeup = Pipes.make() else {
      throw SubtitleFile.unwritable(path, String(cString: strerror(errno)))
    }
    Pipes.unblock(wakeup.write)
    self.wakeup = wakeup
    let thread = Thread { [self] in
      // A dead encoder is an error of `write`, not a signal; signals of pipes go to the thread that writes.
      var signals = sigset_t()
      sigemptyset(&signals)
      sigaddset(&signals, SIGPIPE)
      pthread_sigmask(SIG_BLOCK, &signals, nil)
      var drawing = AnnotationDrawing(path: path, format: format, options: options)
      while let (task, caller) = next() { caller.resume(returning: drawing.perform(task)) }
      drawing.cancel()
    }
    thread.name = "annotate"
    thread.start()
  }

  deinit { for end in [wakeup.read, wakeup.write] { close(end) } }

  func perform(_ task: Task) async throws(VideoError) {
    let result: Result<Void, VideoError> = await withCheckedContinuation { caller in
      mail.withLock { $0.tasks.append((task, caller)) }
      wake()
    }
    try result.get()
  }

  /// Ends the thread after what it is doing; an unfinished file is removed.
  func stop() {
    mail.withLock { $0.isStopped = true }
    wake()
  }

  private func wake() {
    var byte: UInt8 = 1
    _ = write(wakeup.write, &byte, 1)
  }

  private func next() -> Waiting? {
    while true {
      let (waiting, isStopped): (Waiting?, Bool) = mail.withLock { mail in
        (mail.tasks.isEmpty ? nil : mail.tasks.removeFirst(), mail.isStopped)
      }
      if let waiting { return waiting }
      if isStopped { return nil }
      var byte: UInt8 = 0
      _ = read(wakeup.read, &byte, 1)
    }
  }
}
