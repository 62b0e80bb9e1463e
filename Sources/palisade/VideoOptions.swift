import ArgumentParser
import Foundation
import Jobs
import Messaging
import VideoFrames

/// How `palisade video` reads and asks.
struct VideoOptions: ParsableArguments {
  @Option(
    help: "Frames to ask about: 0.5s, 2/s, 10 (each tenth), all, keyframes, scene:0.2, freshest.")
  var every: String = "1s"
  @Option(
    help: "When frames pile up: wait, oldest, newest, stale:0.5s (default: files wait, live drops)."
  )
  var policy: String?
  @Option(help: "Sampled frames that may wait for their question.")
  var buffer: Int?
  @Option(
    help: "A frame that differs by less (0 to 1, 0.01 for instance) repeats the last answer.")
  var skipDuplicates: Double?
  @Option(help: "Ask about so many frames together, a clip, instead of each by itself.")
  var clip: Int?
  @Option(help: "Frames from one clip's beginning to the next one's (default: as many as --clip).")
  var stride: Int?
  @Option(help: "Pictures a second, for a folder of pictures.")
  var rate: Double = 1
  @Option(help: "interactive overtakes batch work (default: live sources do, others don't).")
  var priority: String?
  @Option(help: "Seconds to wait for a cluster that is away (default: 600, live sources 0).")
  var patience: Int?

  func validate() throws {
    _ = try sampling()
    _ = try bufferPolicy()
    if let buffer, !(1...4096).contains(buffer) {
      throw ValidationError("--buffer takes 1 to 4096")
    }
    if let skipDuplicates, !(skipDuplicates > 0 && skipDuplicates <= 1) {
      throw ValidationError("--skip-duplicates takes more than 0, up to 1; 0.01 for instance")
    }
    let frames = VideoSessionOptions.Mode.frameCountMaximum
    if let clip, !(1...frames).contains(clip) {
      throw ValidationError("--clip takes 1 to \(frames) frames")
    }
    guard stride == nil || clip != nil else { throw ValidationError("--stride goes with --clip") }
    if let stride, stride < 1 { throw ValidationError("--stride takes 1 or more frames") }
    guard clip == nil || skipDuplicates == nil else {
      throw ValidationError("clips have all their frames: leave --skip-duplicates or --clip out")
    }
    guard rate.isFinite, rate > 0, rate <= 1000 else {
      throw ValidationError("--rate takes more than 0, up to 1000")
    }
    guard priority == nil || priority == "interactive" || priority == "batch" else {
      throw ValidationError("--priority takes interactive or batch")
    }
    if let patience, !(0...86400 * 30).contains(patience) {
      throw ValidationError("--patience takes 0 to 2592000 (30 days)")
    }
  }

  private func sampling() throws -> SamplingRule {
    do { return try SamplingRule(every) } catch {
      throw ValidationError("--every \(every): \(error.cause); \(error.remedy)")
    }
  }

  private func bufferPolicy() throws -> BufferPolicy? {
    guard let policy else { return nil }
    do { return try BufferPolicy(policy) } catch {
      throw ValidationError("--policy \(policy): \(error.cause); \(error.remedy)")
    }
  }

  /// The options of a session.
  ///
  /// - Parameters:
  ///   - source: what is read.
  ///   - prompt: what is asked.
  ///   - resume: where an earlier run stopped.
  ///   - window: questions under way at once; nil for the usual number.
  /// - Returns: the options.
  /// - Throws: what is wrong with them.
  func session(
    _ source: VideoSource, prompt: String, resume: ResumePoint?, window: Int?
  ) throws -> VideoSessionOptions {
    var feed = FeedOptions()
    feed.sampling = try sampling()
    feed.policy = try bufferPolicy()
    feed.bufferedFrameCount = buffer
    feed.duplicates = skipDuplicates.map { DuplicateRule(difference: $0) }
    feed.resumeAfter = resume
    feed.picturesPerSecond = rate
    var options = VideoSessionOptions(prompt: prompt, source: source, feed: feed)
    if let clip { options.mode = .clip(count: clip, stride: stride ?? clip) }
    if let window { options.window = window }
    if let priority { options.priority = priority == "batch" ? .batch : .interactive }
    if let patience { options.patience = .seconds(patience) }
    return options
  }
}

extension PromptTask: ExpressibleByArgument {}
