import ArgumentParser
import Foundation
import Jobs
import Messaging
import VideoFrames

/// `palisade video`: videos and live streams in, a record for each sampled frame out.
struct VideoCommand: AsyncParsableCommand, Sendable {
  static let configuration = CommandConfiguration(
    commandName: "video",
    abstract: "Answer the frames of videos and live streams, with their timestamps.",
    usage: """
      palisade video SOURCE... --prompt "detect red circle" --every 0.5s --output OUT.jsonl \\
        (--model DIR | --coordinator ENDPOINT | --cluster FILE)
      """,
    discussion: """
      A source is a video file, a folder or quoted pattern of pictures, - (standard input), a camera \
      (/dev/video0) or a stream (rtsp, rtmp, http, udp, tcp). ffmpeg decodes in a process of its own.

      OUT.jsonl has exactly one record for each sampled frame, in order of time for each source: source, \
      frame, pts, text, boxes, masks, latency_ms, dropped (why), repeats (a frame whose answer stands \
      again), error. Killed, the same command with --resume goes on after the last record of each file, \
      and makes its subtitles and its annotated video whole. Files wait for the model; live sources drop what would be answered too late, and say so.

        palisade video in.mp4 --prompt "detect red circle" --every 0.5s --output out.jsonl \\
          --subtitles out.vtt --annotate out.mp4 --model DIR
        palisade video rtsp://camera/1 --task count --prompt people --every 2/s --output cam.jsonl ...
        palisade video in.mp4 --prompt "caption en" --every 4/s --clip 16 --stride 8 --output out.jsonl ...

      Exit code 0 when all sources were read to their ends, 2 when some frames or sources failed, 1 \
      when it could not run, 130 after Ctrl-C.
      """)

  @Argument(help: "Videos, folders, patterns, streams; - is standard input.")
  var sources: [String]
  @Option(help: "What to ask about each frame; with --task its text.")
  var prompt: String = ""
  @Option(help: "Build the prompt: caption, vqa, detect, segment, count or ocr.")
  var task: PromptTask?
  @Option(help: "The language that --task asks for.")
  var lang: String = "en"
  @Flag(help: "Keep answers to detect and segment prompts to the task's form.")
  var constrain = false
  @Option(help: "The file of records (JSONL).")
  var output: String
  @Flag(help: "Go on after the last record of each source.")
  var resume = false
  @Flag(help: "Throw away the records of earlier runs.")
  var overwrite = false
  @Option(help: "Write the answers as subtitles: .vtt or .srt; may be given for both.")
  var subtitles: [String] = []
  @Option(help: "Write the sampled frames with their answers drawn: .mp4, .mkv or .webm.")
  var annotate: String?
  @OptionGroup var video: VideoOptions
  @OptionGroup var work: ServiceOptions

  func validate() throws {
    guard !sources.isEmpty, sources.count <= JobLimits.videoCount else {
      throw ValidationError("give 1 to \(JobLimits.videoCount) sources")
    }
    guard Set(sources).count == sources.count else {
      throw ValidationError("a source is there twice; ask for it once")
    }
    guard work.count == 1 else {
      throw ValidationError("give one of --model DIR, --coordinator ENDPOINT and --cluster FILE")
    }
    guard !prompt.isEmpty || task != nil else {
      throw ValidationError("give --prompt, \"caption en\" for instance, or --task")
    }
    guard !(resume && overwrite) else {
      throw ValidationError("--resume goes on with what is there, --overwrite throws it away")
    }
    let hasGrammar = PromptTask.grammar(of: try wholePrompt()) != nil
    guard !constrain || hasGrammar else {
      throw ValidationError("--constrain goes with detect and segment prompts")
    }
    for source in try parsedSources() where resume && !source.isRepeatable {
      throw ValidationError(
        "\(source) doesn't begin anew when it is read again: leave --resume out")
    }
  }

  func run() async throws {
    let task = Task { try await answerAll() }
    Interruption.install { _ in task.cancel() }
    try await task.value
  }

  private func parsedSources() throws -> [VideoSource] {
    try sources.map { text in
      do { return try VideoSource(text) } catch { throw ValidationError("\(error)") }
    }
  }

  /// The prompt as the model sees it.
  private func wholePrompt() throws -> String {
    guard let task else { return prompt }
    do { return try task.prompt(text: prompt, language: lang) } catch {
      throw ValidationError(error.message)
    }
  }

  private func answerAll() async throws {
    let sources = try parsedSources()
    let prompt = try wholePrompt()
    let file = try VideoRecordFile(
      path: output, mode: resume ? .resume : overwrite ? .overwrite : .new)
    try await work.answering { answering in
      var runs: [VideoWork] = []
      for (index, source) in sources.enumerated() {
        var options = try video.session(
          source, prompt: prompt, resume: file.resumePoints[source.name],
          window: work.window)
        options.sampling.maximumTokens = work.maxTokens
        options.sampling.grammar = constrain ? PromptTask.grammar(of: prompt) : nil
        options.pictureSide = answering.pictureSide
        options.keepsPictures = annotate != nil
        let number = sources.count == 1 ? nil : index + 1
        let sinks = try VideoSinks(
          prompt: prompt, subtitles: subtitles.map { Self.path($0, number: number) },
          annotate: annotate.map { Self.path($0, number: number) })
        let replay = file.resumePoints[source.name].map {
          VideoReplay(path: output, source: source, feed: options.feed, last: $0)
        }
        runs.append(
          VideoWork(
            session: try VideoSession(source, options: options, service: answering.service),
            file: file, sinks: sinks, replay: replay))
      }
      try await VideoReport(runs: runs, output: output, watch: answering.watch).runAll()
    }
  }

  /// `out.mp4` of the second of several sources is `out-2.mp4`.
  static func path(_ path: String, number: Int?) -> String {
    guard let number else { return path }
    let url = URL(filePath: path)
    return url.deletingPathExtension().path(percentEncoded: false) + "-\(number)."
      + url.pathExtension
  }
}
