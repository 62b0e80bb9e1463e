import Foundation
import Messaging
import Synchronization

/// Runs a batch file: one request a line in, one result a line out, in the file's order.
///
/// Memory is bounded by the window, not by the file: a line is read when there is room for its
/// request, pictures are read from disk by the request's own task, and results that wait for an
/// earlier one are counted. Every line that is not blank ends in exactly one result line.
public struct BatchRunner: Sendable {
  /// What to do.
  public struct Configuration: Sendable {
    /// The batch file.
    public var input: String
    /// Where results go; errors go beside it.
    public var output: String
    /// Replace the files of an earlier run.
    public var isOverwriting = false
    /// Requests under way at once, 1 to `JobLimits.maximumWindow`.
    public var window = JobLimits.defaultWindow
    /// Tokens of an answer at most, where the line doesn't say.
    public var maximumTokens = 256
    /// Whether pictures may be files of this machine; not for clients over HTTP.
    public var readsLocalFiles = true
    /// Where annotated pictures go; nil for none.
    public var annotations: AnnotationFolder?

    /// The defaults.
    public init(input: String, output: String) {
      self.input = input
      self.output = output
    }
  }

  private let configuration: Configuration
  private let service: any AnswerService

  /// Runs `configuration` with `service`.
  public init(_ configuration: Configuration, service: any AnswerService) {
    self.configuration = configuration
    self.service = service
  }

  /// Where the errors of a batch with this output go: `out.jsonl` → `out.errors.jsonl`.
  public static func errorsPath(for output: String) -> String {
    BatchOutput.errorsPath(for: output)
  }

  /// Runs the whole file.
  ///
  /// Cancelling the task stops reading; lines under way are withdrawn and get no result.
  ///
  /// - Parameter onResult: called after each line was written, in order.
  /// - Returns: how it ended.
  /// - Throws: `BatchError` when input or output fail as a whole.
  public func run(
    onResult: (BatchResult, BatchProgress) -> Void = { _, _ in }
  ) async throws -> BatchSummary {
    var reader = try BatchReader(path: configuration.input)
    var output = try BatchOutput(
      path: configuration.output, isOverwriting: configuration.isOverwriting,
      input: configuration.input)
    let window = min(max(configuration.window, 1), JobLimits.maximumWindow)
    let order = OrderedWindow(inFlight: window, unfinished: window * JobLimits.resultsPerWindow)
    let start = ContinuousClock.now
    var progress = BatchProgress()
    progress.bytesTotal = reader.fileByteCount
    var seen: Set<String> = []
    let annotation = FirstFailure()
    try await order.run(
      next: {
        if Task.isCancelled { return nil }
        guard let raw = try reader.next() else { return nil }
        return item(raw, &seen)
      },
      work: { item in await result(of: item, annotation) },
      take: { result in
        if Task.isCancelled, case .failure = result.outcome { return }
        try output.write(result)
        progress.add(result, elapsed: start.duration(to: .now))
        onResult(result, progress)
      })
    try output.finish()
    return BatchSummary(
      progress: progress, annotationFailure: annotation.value, isInterrupted: Task.isCancelled)
  }

  /// A line, parsed, with the check that its name is new.
  private struct Item: Sendable {
    let raw: (number: Int, endOffset: Int)
    let line: BatchLine
  }

  private func item(_ raw: RawLine, _ seen: inout Set<String>) -> Item {
    var line = BatchLine.parse(
      raw.bytes, maximumTokens: configuration.maximumTokens,
      readsLocalFiles: configuration.readsLocalFiles)
    if let id = line.customID, !seen.insert(id).inserted {
      line = BatchLine(
        customID: id,
        failure: Failure(
          code: "duplicate_custom_id",
          message: "an earlier line has this custom_id too; give every line its own"))
    }
    return Item(raw: (raw.number, raw.endOffset), line: line)
  }

  private func result(of item: Item, _ annotation: FirstFailure) async -> BatchResult {
    func result(
      _ request: BatchRequest?, _ images: [EncodedImage], _ outcome: Result<Answer, Failure>
    ) -> BatchResult {
      BatchResult(
        line: item.raw.number, endOffset: item.raw.endOffset, customID: item.line.customID,
        imageNames: images.map(\.name), prompt: request?.prompt ?? "", model: request?.model,
        outcome: outcome)
    }
    let request: BatchRequest
    switch item.line.request {
    case .failure(let failure): return result(nil, [], .failure(failure))
    case .success(let parsed): request = parsed
    }
    var images: [EncodedImage] = []
    do throws(Failure) {
      let folder = URL(filePath: configuration.input).deletingLastPathComponent()
      images = try request.loadImages(folder: folder)
      let answer = try await answer(
        AnswerRequest(images: images, prompt: request.prompt, sampling: request.sampling))
      if let image = images.first { annotate(answer, on: image, item, request, annotation) }
      return result(request, images, .success(answer))
    } catch { return result(request, images, .failure(error)) }
  }

  /// The service's answer; while it is overloaded, this waits and asks again, for a minute.
  private func answer(_ request: AnswerRequest) async throws(Failure) -> Answer {
    var milliseconds = 20
    let end = ContinuousClock.now + .seconds(60)
    while true {
      do throws(Failure) { return try await service.answer(request) } catch {
        guard error.code == "overloaded", ContinuousClock.now < end, !Task.isCancelled else {
          throw error
        }
      }
      try? await Task.sleep(for: .milliseconds(milliseconds))
      milliseconds = min(2 * milliseconds, 1000)
    }
  }

  private func annotate(
    _ answer: Answer, on image: EncodedImage, _ item: Item, _ request: BatchRequest,
    _ annotation: FirstFailure
  ) {
    guard let folder = configuration.annotations, let id = item.line.customID else { return }
    // Two names may become one file name; the line's number keeps them apart.
    let isPlain = AnnotationFolder.fileName(id) == id
    do throws(Failure) {
      try folder.write(
        answer, on: image, prompt: request.prompt,
        name: isPlain ? id : "\(id)-line\(item.raw.number)")
    } catch { annotation.note(error) }
  }
}

/// Keeps the first of many failures.
private final class FirstFailure: Sendable {
  private let first = Mutex<Failure?>(nil)
  var value: Failure? { first.withLock { $0 } }
  func note(_ failure: Failure) { first.withLock { $0 = $0 ?? failure } }
}

extension BatchProgress {
  /// Counts one result.
  mutating func add(_ result: BatchResult, elapsed: Duration) {
    self.elapsed = elapsed
    bytesDone = result.endOffset
    switch result.outcome {
    case .success(let answer):
      succeeded += 1
      imageCount += answer.imageSizes.count
    case .failure: failed += 1
    }
  }
}
