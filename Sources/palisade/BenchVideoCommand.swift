import ArgumentParser
import Foundation
import Imaging
import Jobs
import Messaging
import PaliGemma
import Pipelining
import VideoFrames

/// `palisade bench video`: what video costs beside the pipeline itself, and how a live source is kept up with.
struct BenchVideoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "video",
    abstract:
      "Measure frames/s through the whole path against the pipeline's images/s, and live latency.",
    discussion: """
      Draws a 720p H.264 film with ffmpeg. First the pipeline alone, with frames of that film in memory; then decoding \
      alone, nobody asking; then the film, decoded and sampled meanwhile; then the pipeline again: 'ratio' is the film's \
      rate by the mean of the pipeline's two, and where decoding alone is slower than the pipeline, no overlap can reach 1. Then \
      a live stream over UDP at twice the film's rate: what is answered, what is dropped and why, the time from \
      capture to answer, and memory. All in this process, one after the other.
      """)

  @Option(help: "The model's folder.") var model = "cluster/demo/model"
  @Option(help: "What to ask.") var prompt = "detect red circle"
  @Option(help: "Sample each N-th frame.") var every = 3
  @Option(help: "Seconds of the live stream.") var seconds = 60
  @Option(help: "Seconds of each of the three measurements before.") var fileSeconds = 20
  @Option(help: "The staleness budget of the live stream, in milliseconds.") var budget = 500
  @Option(help: "Threads for the arithmetic.") var threads = 1
  @Flag(help: "Print one JSON line.") var json = false

  func validate() throws {
    guard (1...1000).contains(every) else { throw ValidationError("--every takes 1 to 1000") }
    guard (1...86_400).contains(seconds), (1...3600).contains(fileSeconds) else {
      throw ValidationError("--seconds takes 1 to 86400, --file-seconds 1 to 3600")
    }
    guard (10...60_000).contains(budget) else {
      throw ValidationError("--budget takes 10 to 60000")
    }
    guard (1...64).contains(threads) else { throw ValidationError("--threads takes 1 to 64") }
  }

  func run() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "palisade-bench-\(UUID().uuidString.prefix(8))", directoryHint: .isDirectory)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let (service, engine) = try await LocalModel.service(
      directory: model, stages: 1, threads: threads, precision: nil)
    let work = Task {
      try await LocalModel.using(engine) { try await measure(service, folder) }
    }
    Interruption.install { _ in work.cancel() }
    let report = try await work.value
    try Terminal.result(json ? report.json.line : report.text)
  }

  private func measure(_ service: EngineAnswerService, _ folder: URL) async throws
    -> VideoBenchReport
  {
    let film = folder.appending(path: "film.mp4").path(percentEncoded: false)
    try await BenchFilm.draw(film, size: "1280x720", rate: 30, seconds: 10)
    let images = try await frames(of: film)
    var report = VideoBenchReport(every: every, threads: threads, budget: budget)
    Terminal.note("bench: the pipeline alone …")
    let marked: @Sendable (Int) throws -> EncodedImage = { number in
      EncodedImage(
        name: "\(number)", picture: try Self.marked(images[number % images.count], number))
    }
    report.before = try await pipeline(service, image: marked)
    // Long enough, however fast this machine is: the run is ended by time. Drawn whole, not repeated: a frame that
    // comes again would be found in the vision cache.
    let length = Int(1.3 * report.before * Double(fileSeconds * every) / 30) + 5
    let long = folder.appending(path: "long.mp4").path(percentEncoded: false)
    Terminal.note("bench: drawing \(length) s of film …")
    try await BenchFilm.draw(long, size: "1280x720", rate: 30, seconds: length)
    Terminal.note("bench: decoding alone …")
    report.decoded = try await decoding(long)
    Terminal.note("bench: the film …")
    let status = try await session(service, try VideoSource(long), seconds: fileSeconds) {
      $0.feed.sampling = .everyFrames(every)
    }
    report.film = status.framesPerSecond
    report.filmLatency = status.latency.latency
    Terminal.note("bench: the pipeline alone, again …")
    // Pictures of their own: those of before are in the vision cache.
    report.after = try await pipeline(service) { try marked($0 + 1 << 23) }
    try await live(service, folder, &report)
    return report
  }

  private func live(
    _ service: EngineAnswerService, _ folder: URL, _ report: inout VideoBenchReport
  ) async throws {
    let rate = max(2, Int((2 * report.film).rounded()))
    report.liveRate = rate
    let film = folder.appending(path: "live.ts").path(percentEncoded: false)
    // What comes again after two minutes has left the vision cache by then.
    try await BenchFilm.draw(film, size: "640x360", rate: rate, seconds: min(seconds, 120))
    let port = try BenchFilm.freePort()
    let address = "udp://127.0.0.1:\(port)"
    Terminal.note("bench: live at \(rate) frames/s for \(seconds) s …")
    let sender = try BenchFilm.start([
      "-re", "-stream_loop", "-1", "-i", film, "-c", "copy", "-f", "mpegts",
      address + "?pkt_size=1316",
    ])
    defer { BenchFilm.end(sender) }
    let meter = ProcessMeter(pid: getpid())
    let memory = Task {
      var samples: [Int] = []
      while !Task.isCancelled {
        try? await Task.sleep(for: .seconds(1))
        samples.append(meter.residentBytes)
      }
      return samples
    }
    report.live = try await session(
      service, try VideoSource(address + "?fifo_size=100000&overrun_nonfatal=1"), seconds: seconds
    ) {
      $0.feed.policy = .staleness(budget: .milliseconds(budget))
      $0.budget = .milliseconds(budget)
    }
    memory.cancel()
    report.residentBytes = await memory.value
  }

  /// Images a second of the pipeline, with as many under way as a session has, for so many seconds.
  private func pipeline(
    _ service: EngineAnswerService, image: @escaping @Sendable (Int) throws -> EncodedImage
  ) async throws -> Double {
    let (prompt, start) = (prompt, ContinuousClock.now)
    let end = start + .seconds(fileSeconds)
    let count = try await withThrowingTaskGroup(of: Int.self) { group in
      for lane in 0..<JobLimits.videoWindow {
        group.addTask {
          var count = 0
          while ContinuousClock.now < end {
            try Task.checkCancellation()
            let image = try image(lane + count * JobLimits.videoWindow)
            _ = try await service.answer(
              AnswerRequest(
                images: [image], prompt: prompt, sampling: Sampling(maximumTokens: 256),
                handling: Handling(priority: .batch)))
            count += 1
          }
          return count
        }
      }
      return try await group.reduce(0, +)
    }
    return Double(count) / (start.duration(to: .now) / .seconds(1))
  }

  /// A picture that the vision cache doesn't know, as a film's frames are: with a mark of its own in a corner.
  private static func marked(_ picture: Picture, _ number: Int) throws -> Picture {
    var rgb = picture.rgb
    let side = min(96, picture.width, picture.height)
    for row in 0..<side {
      for column in 0..<3 * side {
        // Three cells side by side, each a byte of the number.
        let cell = column / side
        rgb[3 * row * picture.width + column] = UInt8(truncatingIfNeeded: number >> (8 * cell))
      }
    }
    return try Picture(width: picture.width, height: picture.height, rgb: rgb)
  }

  /// The film's sampled frames.
  private func feed(_ film: String) throws -> VideoFeed {
    var options = FeedOptions()
    options.sampling = .everyFrames(every)
    return try VideoFeed(try VideoSource(film), options: options)
  }

  /// The first sampled frames of a film, in memory.
  private func frames(of film: String) async throws -> [Picture] {
    var images: [Picture] = []
    for await event in try feed(film) {
      guard case .frame(let frame) = event else { continue }
      images.append(frame.picture)
      if images.count == 64 { break }
    }
    return images
  }

  /// Sampled frames a second of a film that nobody is asked about, from the first one on.
  private func decoding(_ film: String) async throws -> Double {
    var (count, start) = (-1, ContinuousClock.now)
    for await event in try feed(film) {
      guard case .frame = event else { continue }
      if count < 0 { start = .now }
      count += 1
      if start.duration(to: .now) > .seconds(fileSeconds) { break }
    }
    try Task.checkCancellation()
    return Double(max(0, count)) / max(1e-9, start.duration(to: .now) / .seconds(1))
  }

  private func session(
    _ service: EngineAnswerService, _ source: VideoSource, seconds: Int,
    _ change: (inout VideoSessionOptions) -> Void
  ) async throws -> VideoSessionStatus {
    var options = VideoSessionOptions(prompt: prompt, source: source)
    options.pictureSide = service.preparation.config.vision.imageSide
    change(&options)
    let session = try VideoSession(source, options: options, service: service)
    let end = Task {
      // From the first frame on: opening a source is not what is measured.
      while session.status.firstFrame == nil, !Task.isCancelled {
        try? await Task.sleep(for: .milliseconds(20))
      }
      try? await Task.sleep(for: .seconds(seconds))
      await session.cancel()
    }
    try await session.run { _, _ in }
    end.cancel()
    try Task.checkCancellation()
    return session.status
  }
}
