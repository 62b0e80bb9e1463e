import Foundation
import Imaging
import Messaging

/// Checks every line of a batch file without running the model: JSON, names, pictures (each is read and
/// decoded), and with a model's tokenizer the number of tokens.
public struct BatchValidator: Sendable {
  private let input: String
  private let maximumTokens: Int
  private let window: Int
  private let remoteImages: (any RemoteImageSource)?
  private let preparation: RequestPreparation?

  /// Checks the input of `configuration`; its output is not looked at.
  ///
  /// - Parameters:
  ///   - configuration: of the run that is to come.
  ///   - preparation: counts tokens; nil to leave that out.
  public init(_ configuration: BatchRunner.Configuration, preparation: RequestPreparation?) {
    input = configuration.input
    maximumTokens = configuration.maximumTokens
    window = configuration.window ?? JobLimits.defaultWindow
    remoteImages = configuration.remoteImages
    self.preparation = preparation
  }

  /// Checks the file to its end, in memory for a few requests; names are compared on disk.
  ///
  /// - Parameters:
  ///   - onResult: called for each request as it was checked; its answer is empty.
  ///   - onTick: called about once a second.
  /// - Returns: the counts: `succeeded` for requests in which nothing is wrong.
  /// - Throws: `BatchError` when the input, or the temporary folder, fails as a whole.
  public func run(
    onResult: (BatchResult, BatchProgress) -> Void = { _, _ in },
    onTick: (BatchProgress) -> Void = { _ in }
  ) async throws -> BatchProgress {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "palisade-validate-\(UUID().uuidString)", directoryHint: .isDirectory)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let reader = try BatchReader(path: input)
    let journal = try Journal(path: folder.appending(path: "journal").path(percentEncoded: false))
    defer { try? journal.close() }
    let identity = BatchIdentity(reader, model: nil, options: [:])
    try await journal.begin(identity)
    let base = URL(filePath: input).deletingLastPathComponent()
    var feeder = BatchFeeder(
      reader: reader, journal: journal, state: JournalState(identity: identity, boot: Boot.id),
      folder: base, maximumTokens: maximumTokens, readsLocalFiles: true, readsOn: true)
    let work = BatchWork(
      service: CheckingService(preparation: preparation),
      availability: BatchAvailability(patience: .zero), folder: base, remote: remoteImages,
      handling: Handling(), annotations: nil)
    var progress = BatchProgress()
    progress.bytesTotal = reader.isFile ? reader.fileByteCount : 0
    let start = ContinuousClock.now
    try await CompletionWindow(inFlight: { window }, tick: JobLimits.commitInterval).run(
      next: { Task.isCancelled ? nil : try await feeder.next() },
      work: { item in (item, await work.outcome(of: item)) },
      take: { taken in
        progress.elapsed = start.duration(to: .now)
        guard case (let item, .result(let result, _))? = taken else { return onTick(progress) }
        progress.add(result, byteCount: item.byteCount)
        onResult(result, progress)
      })
    try Task.checkCancellation()
    return progress
  }
}

/// Does everything for a request that comes before the model.
private struct CheckingService: AnswerService {
  let preparation: RequestPreparation?

  func answer(
    _ request: AnswerRequest, onDelta: (@Sendable (AnswerDelta) -> Void)?
  ) async throws(Failure) -> Answer {
    var answer = Answer(
      text: "", tokenIDs: [], finish: .stop, promptTokens: 0, completionTokens: 0, imageSizes: [])
    if let preparation {
      let prepared = try preparation.prepare(request)
      (answer.promptTokens, answer.imageSizes) = (prepared.promptTokens, prepared.imageSizes)
      return answer
    }
    guard !request.images.isEmpty else {
      throw Failure(
        code: "no_image", message: "the request has no picture; PaliGemma answers about pictures")
    }
    for (index, image) in request.images.enumerated() {
      do {
        let picture = try image.decoded()
        answer.imageSizes.append(ImageSize(width: picture.width, height: picture.height))
      } catch { throw Failure(error, image: "picture \(index + 1)") }
    }
    return answer
  }
}
