import Foundation
import Messaging

/// Runs a batch file: one request a line in, one result a line out, as they finish; killed and run
/// again, it goes on.
///
/// Memory is bounded by the window, not by the file: a portion of lines is read when there is room for
/// its requests, pictures are read from disk by the request's own task, and what is known of every
/// request is in the journal, on disk. Every line that is not blank ends in exactly one result line (a
/// line that stands for many pictures: one for each).
public struct BatchRunner: Sendable {
  /// What to do with the journal that is there.
  public enum Mode: Sendable {
    /// Begin, or go on with what a journal says.
    case goOn
    /// Throw away the results and the journal of earlier runs.
    case restart
    /// Run the requests that failed once more, and nothing that was never read.
    case retry
  }

  /// What to do.
  public struct Configuration: Sendable {
    /// The batch file.
    public var input: String
    /// Where results go; errors go beside it.
    public var output: String
    /// The journal's path; nil for `output` with `.journal` behind it.
    public var journal: String?
    /// What to do with a journal that is there.
    public var mode = Mode.goOn
    /// Put the results into the order of the input in the end.
    public var isOrdered = false
    /// Requests under way at once, 1 to `JobLimits.maximumWindow`; nil for as many as `roomInCluster` says.
    public var window: Int?
    /// What the cluster's plan takes at the moment; asked about once a second. Nil, or when it gives
    /// nil, `JobLimits.defaultWindow` counts.
    public var roomInCluster: (@Sendable () async -> Int?)?
    /// Tokens of an answer at most, where the line doesn't say.
    public var maximumTokens = 256
    /// Further options that change answers, by name: a journal goes on with the same ones only.
    public var options: [String: String] = [:]
    /// The model that answers: a journal goes on with the same one only. Nil when it can't be told.
    public var model: ModelIdentity?
    /// Whether pictures may be files of this machine; not for clients over HTTP.
    public var readsLocalFiles = true
    /// Where annotated pictures go; nil for none.
    public var annotations: AnnotationFolder?
    /// Fetches pictures over http and https; nil fetches none.
    public var remoteImages: (any RemoteImageSource)?
    /// The name under which the requests share their turns with other jobs; nil for the output's.
    public var job: String?
    /// How long to wait while the service fails for reasons of its own.
    public var patience = Duration.seconds(600)

    /// The defaults.
    public init(input: String, output: String) {
      self.input = input
      self.output = output
    }

    var allOptions: [String: String] {
      var options = options
      options["--max-tokens"] = String(maximumTokens)
      return options
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

  /// Where the journal of a batch with this output is: `out.jsonl` → `out.jsonl.journal`.
  public static func journalPath(for output: String) -> String { Journal.path(for: output) }

  /// Looks whether a run could begin or go on, before anything expensive is done for it.
  ///
  /// - Throws: what `run` would throw at its beginning.
  public func check() async throws(BatchError) {
    let journal = configuration.journal ?? Journal.path(for: configuration.output)
    if configuration.mode == .goOn, OutputFile.exists(journal) {
      return try await BatchSession.open(configuration).journal.close()
    }
    _ = try BatchReader(path: configuration.input)
    if configuration.mode == .retry, !OutputFile.exists(journal) { throw .noJournal(path: journal) }
  }

  /// Runs what has no result yet.
  ///
  /// Cancelling the task stops reading; requests under way are withdrawn and have their turn in the next
  /// run.
  ///
  /// - Parameters:
  ///   - onResult: called after each line was written, in the order of the output.
  ///   - onTick: called about once a second.
  /// - Returns: how it ended.
  /// - Throws: `BatchError` when input, output or journal fail as a whole, or nobody answered for as
  ///   long as `patience`. Whatever is thrown, the same run can be begun again and goes on.
  public func run(
    onResult: (BatchResult, BatchProgress) -> Void = { _, _ in },
    onTick: (BatchProgress) -> Void = { _ in }
  ) async throws -> BatchSummary {
    let session = try await BatchSession.open(configuration)
    let run = BatchRun(
      session: session, configuration: configuration, service: service,
      progress: try await session.progress())
    let result: Result<BatchSummary, any Error>
    do { result = .success(try await run.finish(onTick: onTick, onResult: onResult)) } catch {
      result = .failure(error)
    }
    try? session.journal.close()
    return try result.get()
  }
}
