import Foundation
import Imaging

/// The encoder's child and the pipe to it, on one thread.
struct VideoEncoder: ~Copyable {
  private let path: String
  private let partPath: String
  private let width: Int
  private let height: Int
  private var child: ChildProcess
  private var log = DecoderLog()
  private var words: [String] = []

  /// Starts an encoder that writes beside `path`; `finish` gives the file its name.
  init(
    path: String, format: AnnotationFormat, width: Int, height: Int, timeBase: TimeBase,
    options: AnnotationOptions
  ) throws(VideoError) {
    let partPath = path + ".part"
    guard FileManager.default.createFile(atPath: partPath, contents: nil) else {
      throw SubtitleFile.unwritable(path, String(cString: strerror(errno)))
    }
    let program = try ChildProcess.find(options.encoder)
    let arguments = format.arguments(
      path: partPath, timeBase: timeBase, threadCount: options.encoderThreadCount)
    child = try ChildProcess(program, arguments, input: .pipe, output: .null)
    (self.path, self.partPath, self.width, self.height) = (path, partPath, width, height)
    Pipes.unblock(child.input)
  }

  /// Announces the frames; before the first.
  mutating func begin() throws(VideoError) {
    try send(MatroskaStream.header(width: width, height: height))
  }

  /// Writes one frame of the size that was announced.
  mutating func write(_ picture: Picture, at time: MediaTime) throws(VideoError) {
    try send(MatroskaStream.frameHeader(time: time, byteCount: picture.rgb.count))
    try send(picture.rgb)
  }

  private mutating func send(_ bytes: [UInt8]) throws(VideoError) {
    var sent = 0
    while sent < bytes.count {
      var watched = [
        pollfd(fd: child.input, events: Int16(POLLOUT), revents: 0),
        pollfd(fd: child.errors, events: Int16(POLLIN), revents: 0),
      ]
      let ready = poll(&watched, 2, VideoLimits.encoderPatience.pollMilliseconds)
      if watched[1].revents != 0 { hear() }
      let input = child.input
      let count = bytes.withUnsafeBytes { buffer in
        buffer.baseAddress.map { Glibc.write(input, $0 + sent, buffer.count - sent) } ?? 0
      }
      if count > 0 { sent += count }
      if ready == 0 {
        throw died("it took nothing for \(VideoLimits.encoderPatience.components.seconds) s")
      }
      if count < 0, errno != EAGAIN, errno != EINTR { throw died(String(cString: strerror(errno))) }
    }
  }

  /// Waits until everything is written, and gives the file its name.
  mutating func finish() throws(VideoError) {
    child.closeInput()
    let exit = child.wait(grace: VideoLimits.encoderPatience)
    hear()
    guard exit == .code(0) else { throw died("it ended with \(exit)") }
    guard rename(partPath, path) == 0 else {
      throw SubtitleFile.unwritable(path, String(cString: strerror(errno)))
    }
  }

  /// Kills the encoder and removes what it has written.
  mutating func cancel() {
    child.kill()
    _ = child.wait(grace: .zero)
    unlink(partPath)
  }

  private mutating func hear() {
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(child.errors, &bytes, bytes.count)
      guard count > 0 else { return }
      bytes.withUnsafeBytes { buffer in
        log.read(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { item in
          guard case .complaint(let text, _) = item else { return }
          if words.count >= VideoLimits.lastWordCount { words.removeFirst() }
          words.append(String(text.prefix(VideoLimits.complaintByteCount)))
        }
      }
    }
  }

  private mutating func died(_ reason: String) -> VideoError {
    hear()
    let said = words.isEmpty ? "" : ": " + words.joined(separator: "; ")
    return VideoError(
      .encoderDied, cause: "the encoder of '\(path)' failed, \(reason)\(said)",
      remedy: "see that the disk has room, and that this ffmpeg has libx264 and libvpx-vp9")
  }
}
