import ArgumentParser
import Foundation
import Jobs
import Messaging
import PaliGemma
import Pipelining
import Tensors

/// Who answers: a model in this process, or a cluster; and how much is asked at once. Shared by the
/// commands that answer many requests.
struct ServiceOptions: ParsableArguments {
  @Option(help: "The model's folder, to work in this process.")
  var model: String?
  @Option(help: "Where a coordinator listens, to work on its cluster.")
  var coordinator: String?
  @Option(help: "A cluster file, to work on the cluster of its coordinator.")
  var cluster: String?
  @Option(help: "Seconds to wait for a cluster that isn't ready yet.")
  var wait: Int = 60
  @Option(
    help: """
      Requests under way at once (default: as many as the cluster's plan takes, 28 for each worker that \
      decodes, and \(JobLimits.defaultWindow) in this process).
      """)
  var window: Int?
  @Option(help: "Tokens of an answer at most, where the request doesn't say.")
  var maxTokens: Int = 256
  @OptionGroup var local: LocalOptions
  @OptionGroup var link: LinkOptions

  /// How many of --model, --coordinator and --cluster were given: one is enough.
  var count: Int { [model, coordinator, cluster].compactMap { $0 }.count }

  func validate() throws {
    guard model != nil || local.isEmpty else {
      throw ValidationError(
        "--stages, --threads, --precision and --mask-decoder go with --model; a cluster has its own "
          + "from `serve`")
    }
    guard model == nil || link.isEmpty else {
      throw ValidationError("--keys, --key and --insecure go with a cluster, not with --model")
    }
    guard (1...JobLimits.maximumWindow).contains(window ?? 1) else {
      throw ValidationError("--window takes 1 to \(JobLimits.maximumWindow)")
    }
    guard (0...86400).contains(wait) else { throw ValidationError("--wait takes 0 to 86400") }
    guard (1...MessageLimits.tokenCount).contains(maxTokens) else {
      throw ValidationError("--max-tokens takes 1 to \(MessageLimits.tokenCount)")
    }
  }

  /// What answers.
  struct Answering {
    let service: any AnswerService
    /// For a cluster, what tells how it is.
    let watch: ClusterWatch?
    /// Which model that is; nil when a cluster doesn't say.
    let model: ModelIdentity?
    /// The side of the model's pictures; nil when a cluster doesn't say.
    var pictureSide: Int?
    /// The engine in this process.
    fileprivate var engine: LocalEngine?
  }

  /// The model in this process, as a journal knows it, before it is loaded; nil for a cluster.
  ///
  /// - Throws: what is wrong with the folder.
  func localModel() throws -> ModelIdentity? {
    try model.map {
      try LocalModel.identity(
        directory: $0, precision: local.precision, maskDecoder: local.maskDecoder)
    }
  }

  /// Loads the model, or waits for the cluster; lets `body` ask, and ends what was begun.
  ///
  /// - Throws: what is wrong with the model, what the cluster lacks, or what `body` throws.
  func answering<Value>(_ body: (Answering) async throws -> Value) async throws -> Value {
    let answering = try await start()
    defer { answering.watch?.stop() }
    return try await LocalModel.using(answering.engine) { try await body(answering) }
  }

  private func start() async throws -> Answering {
    if let model {
      let (service, engine) = try await LocalModel.service(
        directory: model, stages: local.stages ?? 1, threads: local.threads,
        precision: local.precision, maskDecoder: local.maskDecoder)
      return Answering(
        service: service, watch: nil, model: try localModel(),
        pictureSide: service.preparation.config.vision.imageSide, engine: engine)
    }
    let endpoint =
      try coordinator ?? cluster.map { try ClusterFile(path: $0).coordinator }
      ?? ServeCommand.defaultEndpoint
    let links = try link.links(.client)
    let status = try await ClusterReadiness.wait(endpoint, links: links, seconds: wait)
    let service = try RemoteAnswerService(endpoint: endpoint, links: links)
    return Answering(
      service: service, watch: ClusterWatch(service, knowing: status), model: status.model,
      pictureSide: status.pictureSide)
  }
}
